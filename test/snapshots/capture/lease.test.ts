import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { beginObject } from '../../../src/db/queries/objects.ts'
import { withLease } from '../../../src/snapshots/capture/lease.ts'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { eventually } from '../../contract/byte-cache.ts'
import { filesBelow } from '../../support/objects.ts'
import { countRows, query } from '../../support/rows.ts'
import { openStore, sweepOnce, type TestStore } from '../../support/store.ts'

const RENEW_SECONDS = 0.02
const INPUT = { runId: 'run', stepId: 'step' }

describe('D3: an object whose bytes are on the way', () => {
  it('I5: is stored after longer than the grace, and swept at no time', async () => {
    await using store = await openStore()
    const writer = store.writer(
      {
        put: (real) => async (uri, body, options) =>
          real(
            uri,
            pausing(body, () => passHours(store)),
            options,
          ),
      },
      { renewSeconds: RENEW_SECONDS },
    )
    const { created, snapshot } = await writer.capture(INPUT, { chunks: chunksOf(['{"state":"kept"}']) })
    assert.equal(created, true)
    const { rows, live, declared, files } = await store.uris()
    assert.deepEqual([rows, live, declared, files], [[snapshot.storageUri], rows, rows, rows])
  })

  it('is swept once there was no sign of life for the grace', async () => {
    await using store = await openStore()
    const writer = store.writer(
      {
        put:
          (real) =>
          async (...args) => {
            const result = await real(...args)
            await age(store)
            assert.equal((await sweepOnce(store, { graceSeconds: 3600 })).deletedObjects, 1)
            return result
          },
      },
      { renewSeconds: 3600 },
    )
    await assert.rejects(writer.capture(INPUT, { chunks: chunksOf(['1']) }), { code: 'STORAGE_UNAVAILABLE' })
    await store.sweep()
    assert.deepEqual(await store.uris(), { rows: [], live: [], declared: [], files: [] })
  })

  it('is given up at once when a sweeper has it, and not only after its last byte', async () => {
    await using store = await openStore()
    let signal: AbortSignal | undefined
    const writer = store.writer(
      {
        put: (real) => (uri, body, options) => {
          signal = options?.signal
          return real(uri, body, options)
        },
      },
      { renewSeconds: RENEW_SECONDS },
    )
    const left = new AbortController()
    await using cleanup = new AsyncDisposableStack()
    const capture = writer.capture(INPUT, { chunks: endless() }, left.signal)
    cleanup.defer(() => left.abort())
    const refused = assert.rejects(capture, { code: 'STORAGE_UNAVAILABLE' })
    assert.ok(await eventually(async () => (await filesBelow(store.storagePath)).length === 1))
    await store.sweep()
    await refused
    assert.equal(signal?.aborted, true)
    await store.sweep()
    assert.deepEqual(await store.uris(), { rows: [], live: [], declared: [], files: [] })
  })

  it('outlives renewals that fail, for as long as the grace lasts', async () => {
    await using store = await openStore()
    const storageUri = `file:///${randomUUID()}.json`
    await beginObject(store.db, storageUri, randomUUID())
    const lease = { db: store.db, storageUri, renewSeconds: RENEW_SECONDS }
    await query(store.databaseUrl, 'alter table statelens_objects rename to hidden')
    const work = withLease(lease, async (signal) => {
      await query(store.databaseUrl, "update hidden set not_before = now() - interval '2 hours'")
      await query(store.databaseUrl, 'alter table hidden rename to statelens_objects')
      assert.ok(await eventually(() => isAlive(store)))
      return signal.aborted
    })
    assert.equal(await work, false)
    await query(store.databaseUrl, 'alter table statelens_objects rename to hidden')
    const lost = withLease({ ...lease, graceSeconds: 0.2 }, async (signal) => {
      await once(signal, 'abort')
      throw signal.reason
    })
    await assert.rejects(lost, { code: 'STORAGE_UNAVAILABLE' })
  })

  it('lets go of whoever has left', async () => {
    await using store = await openStore()
    const controller = new AbortController()
    const reason = new Error('gone')
    const lease = { db: store.db, storageUri: 'file:///a', renewSeconds: 3600, signal: controller.signal }
    const work = withLease(lease, async (signal) => {
      controller.abort(reason)
      throw signal.reason
    })
    await assert.rejects(work, reason)
  })
})

/** Whoever writes is taken for silent for two hours, and gives a sign of life; then sweepers come. */
async function passHours(store: TestStore): Promise<void> {
  await age(store)
  assert.ok(await eventually(() => isAlive(store)))
  assert.equal((await sweepOnce(store, { graceSeconds: 3600 })).deletedObjects, 0)
}

async function age({ databaseUrl }: TestStore): Promise<void> {
  const past = "now() - interval '2 hours'"
  await query(databaseUrl, `update statelens_objects set created_at = ${past}, not_before = ${past}`)
}

async function isAlive({ databaseUrl }: TestStore): Promise<boolean> {
  return (await countRows(databaseUrl, "statelens_objects where not_before > now() - interval '1 minute'")) === 1
}

async function* pausing(
  body: Parameters<StorageBackend['put']>[1],
  between: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    yield chunk
    await between()
  }
}

async function* chunksOf(texts: readonly string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

/** More than is held before it goes to storage, and then nothing more. */
async function* endless(): AsyncGenerator<Buffer> {
  yield Buffer.from(`["${'x'.repeat(2_000_000)}`)
  await new Promise(() => {})
}
