import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import { AppError } from '../../../src/errors.ts'
import { eventually } from '../../contract/byte-cache.ts'
import { openObjects } from '../../support/objects.ts'
import { countRows } from '../../support/rows.ts'
import { openStore, sweepBeforePut, type TestStore } from '../../support/store.ts'

const PAYLOAD = Buffer.from('{"state":"kept"}')
const INPUT = { runId: 'run', stepId: 'step', idempotencyKey: 'key' }

describe('a capture that meets a sweeper', () => {
  for (const moment of ['before its bytes are there', 'when its bytes are there'] as const) {
    it(`I5: that takes its object for abandoned ${moment} begins again under a new key, and leaves nothing behind`, async () => {
      await using store = await openStore()
      let sweeps = 0
      const writer = store.writer({
        put:
          (real) =>
          async (...args) => {
            if (sweeps++ > 0) return real(...args)
            if (moment === 'before its bytes are there') {
              await store.sweep()
              return real(...args)
            }
            const stored = await real(...args)
            await store.sweep()
            return stored
          },
      })
      const { created, snapshot } = await writer.capture(INPUT, PAYLOAD)
      assert.equal(created, true)
      assert.equal(sweeps, 2)
      await isWhole(store, snapshot.storageUri)
    })
  }

  it('I5: that always comes first gives up, with no row and nothing left behind', async () => {
    await using store = await openStore()
    const writer = store.writer({
      put: sweepBeforePut(store),
    })
    await assert.rejects(writer.capture(INPUT, PAYLOAD), { code: 'STORAGE_UNAVAILABLE' })
    await store.sweep()
    await isEmpty(store)
    assert.equal((await store.writer().capture(INPUT, PAYLOAD)).created, true)
  })

  it('I5, I6: that runs all the time is never left with a row without its object', async () => {
    await using store = await openStore()
    let done = false
    const sweeping = (async () => {
      while (!done) await store.sweep()
    })()
    const captures = Array.from({ length: 40 }, (_, i) =>
      store.writer().capture({ runId: 'run', stepId: `${i}` }, Buffer.from(`{"n":${i}}`)),
    )
    const results = await Promise.allSettled(captures)
    done = true
    await sweeping
    await store.sweep()
    const { rows, live, declared, files } = await store.uris()
    assert.equal(rows.length, results.filter(({ status }) => status === 'fulfilled').length)
    assert.deepEqual([live, declared, files], [rows, rows, rows])
  })
})

describe('a capture whose storage fails', () => {
  for (const [moment, stores] of [
    ['before anything is stored', false],
    ['after all is stored', true],
  ] as const) {
    it(`${moment} leaves no row, and no object after the next sweep`, async () => {
      await using store = await openStore()
      const writer = store.writer({
        put:
          (real) =>
          async (...args) => {
            if (stores) await real(...args)
            throw new AppError('STORAGE_TIMEOUT', 'Too late')
          },
      })
      await assert.rejects(writer.capture(INPUT, PAYLOAD), { code: 'STORAGE_TIMEOUT' })
      assert.equal((await store.sweep()).deletedObjects, 1)
      await isEmpty(store)
      const again = await store.writer().capture(INPUT, PAYLOAD)
      assert.equal(again.created, true)
      await isWhole(store, again.snapshot.storageUri)
    })
  }
})

describe('captures in a folder', () => {
  it('D15: leave no folder of their own, whether they are refused or deleted', async () => {
    await using store = await openStore()
    const refusing = store.writer({ put: (real) => (uri, body) => real(uri, body, { sizeBytes: 1 }) })
    for (let count = 0; count < 3; count++) {
      await assert.rejects(refusing.capture({ runId: 'run' }, PAYLOAD), { code: 'BAD_REQUEST' })
      await store.writer().capture({ runId: 'run' }, PAYLOAD)
    }
    await store.writer().deleteRun('run')
    await store.sweep()
    const entries = await readdir(store.storagePath, { recursive: true })
    const day = /^snapshots(?:\/\d{4}(?:\/\d\d(?:\/\d\d(?:\/\.partials)?)?)?)?$/
    assert.deepEqual(
      entries.filter((entry) => !day.test(entry)),
      [],
    )
  })
})

describe('S1, D8: a capture', () => {
  it('notes its upload in parts while that is under way, and the version that was made of it', async () => {
    await using store = await openStore()
    const noted: unknown[] = []
    const look = async () =>
      noted.push(...(await store.db.rows(sql`select state, multipart_id, version_id from statelens_objects`)))
    const writer = store.writer({
      put: (real) => async (uri, body, options) => {
        await options?.onMultipart?.('upload-1')
        await look()
        return { ...(await real(uri, body, options)), versionId: 'version-1' }
      },
    })
    await writer.capture(INPUT, PAYLOAD)
    await look()
    assert.deepEqual(noted, [
      ['pending', 'upload-1', null],
      ['live', null, 'version-1'],
    ])
  })

  it('ends where its object was swept before an upload in parts began', async () => {
    await using store = await openStore()
    const writer = store.writer({
      put: (real) => async (uri, body, options) => {
        await store.sweep()
        await options?.onMultipart?.('upload-1')
        return await real(uri, body, options)
      },
    })
    await assert.rejects(writer.capture(INPUT, PAYLOAD), { code: 'STORAGE_UNAVAILABLE' })
    await store.sweep()
    await isEmpty(store)
  })
})

describe('a capture whose commit is in doubt', () => {
  it('is found where the commit was done and only its reply was lost', async () => {
    await using store = await openStore()
    const writer = store.writer({
      async commit(commit) {
        await commit()
        throw new AppError('DATABASE_UNAVAILABLE', 'The connection was lost')
      },
    })
    const { snapshot } = await writer.capture(INPUT, PAYLOAD)
    await store.sweep()
    await isWhole(store, snapshot.storageUri)
    const again = await store.writer().capture(INPUT, PAYLOAD)
    assert.deepEqual(again, { snapshot, created: false })
  })

  it('leaves no bytes of its own where another capture was first, though a sweeper had forgotten them', async () => {
    await using store = await openStore()
    const writer = store.writer({
      put: sweepBeforePut(store),
      async commit() {
        await store.writer().capture(INPUT, PAYLOAD)
        throw new AppError('DATABASE_UNAVAILABLE', 'The connection was lost')
      },
    })
    const { snapshot } = await writer.capture(INPUT, PAYLOAD)
    await store.sweep()
    await isWhole(store, snapshot.storageUri)
  })

  it('is found without any key as well', async () => {
    await using store = await openStore()
    const writer = store.writer({
      async commit(commit) {
        await commit()
        throw new AppError('DATABASE_UNAVAILABLE', 'The connection was lost')
      },
    })
    const { snapshot } = await writer.capture({ runId: 'run' }, PAYLOAD)
    await store.sweep()
    await isWhole(store, snapshot.storageUri)
  })

  for (const code of ['DATABASE_UNAVAILABLE', 'DATABASE_TIMEOUT', 'OVERLOADED'] as const) {
    it(`fails with ${code} where the commit was not done, and a retry with the same key stores it once`, async () => {
      await using store = await openStore()
      const writer = store.writer({
        commit: () => Promise.reject(new AppError(code, 'No')),
      })
      await assert.rejects(writer.capture(INPUT, PAYLOAD), { code })
      await store.sweep()
      await isEmpty(store)
      assert.equal((await store.writer().capture(INPUT, PAYLOAD)).created, true)
      assert.equal((await store.writer().capture(INPUT, PAYLOAD)).created, false)
    })
  }

  it('leaves no object where the failure was not foreseen', async () => {
    await using store = await openStore()
    const writer = store.writer({ commit: () => Promise.reject(new TypeError('a mistake')) })
    await assert.rejects(writer.capture(INPUT, PAYLOAD), TypeError)
    await store.sweep()
    await isEmpty(store)
  })
})

describe('captures that race', () => {
  it('for one key with other content: one wins, the others are in conflict', async () => {
    await using store = await openStore()
    const captures = Array.from({ length: 20 }, (_, i) => store.writer().capture(INPUT, Buffer.from(`{"n":${i}}`)))
    const results = await Promise.allSettled(captures)
    const won = results.filter((result) => result.status === 'fulfilled')
    const lost = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason.code)
    assert.equal(won.length, 1)
    assert.deepEqual(new Set(lost), new Set(['CONFLICT']))
    await store.sweep()
    await isWhole(store, won[0]?.value.snapshot.storageUri ?? null)
  })

  it('for one id in several runs: one wins', async () => {
    await using store = await openStore()
    const snapshotId = randomUUID()
    const captures = Array.from({ length: 10 }, (_, i) =>
      store.writer().capture({ runId: `${i}`, snapshotId }, PAYLOAD),
    )
    const results = await Promise.allSettled(captures)
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
    await store.sweep()
    assert.equal((await store.uris()).files.length, 1)
    assert.equal(await countRows(store.databaseUrl, 'state_snapshots'), 1)
  })

  it('with a signal that fires let go of the upload and leave nothing', async () => {
    await using store = await openStore()
    const controller = new AbortController()
    const writer = store.writer({
      put: (real) => async (uri, body, options) => {
        controller.abort(new AppError('BAD_REQUEST', 'The client went away'))
        return await real(uri, body, options)
      },
    })
    await assert.rejects(writer.capture(INPUT, PAYLOAD, controller.signal), { code: 'BAD_REQUEST' })
    assert.ok(await eventually(async () => (await store.uris()).files.length === 0))
    await store.sweep()
    await isEmpty(store)
  })
})

/** One row, its object live and its bytes equal, and nothing else. */
async function isWhole(store: TestStore, storageUri: string | null): Promise<void> {
  assert.ok(storageUri !== null)
  const expected = [storageUri]
  await store.sweep()
  assert.deepEqual(await store.uris(), { rows: expected, live: expected, declared: expected, files: expected })
  using objects = openObjects(store)
  const text = (await objects.get(storageUri)).toString()
  assert.match(text, /^\{"(state":"kept"|n":\d+)\}$/)
}

async function isEmpty(store: TestStore): Promise<void> {
  assert.deepEqual(await store.uris(), { rows: [], live: [], declared: [], files: [] })
  assert.equal(await countRows(store.databaseUrl, 'state_snapshots'), 0)
}
