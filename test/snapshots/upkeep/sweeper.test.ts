import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { abandonObject, forgetObjects, takeDoomedObjects } from '../../../src/db/queries/objects.ts'
import { AppError, isAppError } from '../../../src/errors.ts'
import { createSweeper, type SweeperOptions } from '../../../src/snapshots/upkeep/sweeper.ts'
import type { Storage } from '../../../src/storage/registry.ts'
import { eventually } from '../../contract/byte-cache.ts'
import { filesBelow, openObjects } from '../../support/objects.ts'
import { countRows, query } from '../../support/rows.ts'
import { openStore, type TestStore, withBackends } from '../../support/store.ts'

describe('a sweep', () => {
  it('takes all that is doomed, more than one batch of it, and leaves what is live or still within its grace', async () => {
    await using store = await openStore()
    const doomed = await declare(store, { state: 'doomed', count: 230 })
    const [live = '', pending = ''] = [
      ...(await declare(store, { state: 'live', count: 1 })),
      ...(await declare(store, { state: 'pending', count: 1 })),
    ]
    using objects = openObjects(store)
    for (const uri of [doomed[0] ?? '', doomed[229] ?? '', live, pending]) await objects.put(uri, '1')
    const { sweeper } = sweeperOf(store, { graceSeconds: 3600 })
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 230, failedObjects: 0 })
    const { declared, files } = await store.uris()
    assert.deepEqual(declared, [live, pending].toSorted())
    assert.deepEqual(files, declared)
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 0, failedObjects: 0 })
    await sweeper.stop()
  })

  it('I6: shares the work with other sweepers, each object being deleted once', async () => {
    await using store = await openStore()
    await declare(store, { state: 'doomed', count: 250 })
    const deleted: string[] = []
    const storage = withDelete(store.storage, async (key) => void deleted.push(key))
    const sweepers = Array.from({ length: 3 }, () => sweeperOf(store, { storage }).sweeper)
    const reports = await Promise.all(sweepers.map((sweeper) => sweeper.sweep()))
    assert.equal(
      reports.reduce((sum, { deletedObjects }) => sum + deletedObjects, 0),
      250,
    )
    assert.equal(new Set(deleted).size, 250)
    assert.equal(deleted.length, 250)
    await Promise.all(sweepers.map((sweeper) => sweeper.stop()))
  })

  it('tries again later what the store refused to delete, and is not held up by it', async () => {
    await using store = await openStore()
    const uris = await declare(store, { state: 'doomed', count: 3 })
    let refused = uris[1]
    const storage = withDelete(store.storage, async (key) => {
      if (refused?.endsWith(key)) throw new AppError('STORAGE_UNAVAILABLE', 'No')
    })
    const { sweeper, problems } = sweeperOf(store, { storage })
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 2, failedObjects: 1 })
    assert.ok(problems.length === 1 && isAppError(problems[0], 'STORAGE_UNAVAILABLE'))
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 0, failedObjects: 0 })
    const [row] = await query<{ wait: string; attempts: number }>(
      store.databaseUrl,
      'select extract(epoch from not_before - now())::int as wait, attempts from statelens_objects',
    )
    assert.ok(row && row.attempts === 1 && Number(row.wait) > 10 && Number(row.wait) <= 60, JSON.stringify(row))
    await query(store.databaseUrl, 'update statelens_objects set not_before = now()')
    refused = undefined
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 1, failedObjects: 0 })
    await sweeper.stop()
  })

  it('waits longer after each failure, and never more than an hour', async () => {
    await using store = await openStore()
    const [uri = ''] = await declare(store, { state: 'doomed', count: 1 })
    const refuse = () => Promise.reject(new AppError('STORAGE_UNAVAILABLE', 'No'))
    const { sweeper } = sweeperOf(store, { storage: withDelete(store.storage, refuse) })
    const waits: number[] = []
    for (let attempt = 0; attempt < 40; attempt += attempt < 3 ? 1 : 12) {
      await query(
        store.databaseUrl,
        'update statelens_objects set not_before = now(), attempts = $2 where storage_uri = $1',
        [uri, attempt],
      )
      await sweeper.sweep()
      const [row] = await query<{ wait: number }>(
        store.databaseUrl,
        'select extract(epoch from not_before - now())::int as wait from statelens_objects',
      )
      waits.push(row?.wait ?? 0)
    }
    assert.deepEqual(
      waits.toSorted((a, b) => a - b),
      waits,
    )
    assert.ok((waits[0] ?? 0) > 10 && (waits.at(-1) ?? 0) > 3500 && (waits.at(-1) ?? 0) <= 3600, String(waits))
    await sweeper.stop()
  })

  it('keeps an object whose URI the settings do not allow any more, and goes on', async () => {
    await using store = await openStore()
    await declare(store, { state: 'doomed', count: 1, root: 's3://former-bucket/' })
    await declare(store, { state: 'doomed', count: 1 })
    const { sweeper, problems } = sweeperOf(store)
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 1, failedObjects: 1 })
    assert.equal(problems.length, 1)
    assert.equal(await countRows(store.databaseUrl, 'statelens_objects'), 1)
    await sweeper.stop()
  })

  it('forgets deletions after a day', async () => {
    await using store = await openStore()
    for (const age of ['23 hours', '25 hours']) {
      await query(
        store.databaseUrl,
        'insert into statelens_tombstones (snapshot_id, run_id, deleted_at) values ($1, $2, now() - $2::text::interval)',
        [randomUUID(), age],
      )
    }
    await store.sweep()
    const rows = await query<{ run_id: string }>(store.databaseUrl, 'select run_id from statelens_tombstones')
    assert.deepEqual(rows, [{ run_id: '23 hours' }])
  })
})

describe('a sweep of many objects', () => {
  it('D12: deletes several at once, as many as it is told', async () => {
    await using store = await openStore()
    await declare(store, { state: 'doomed', count: 20 })
    let [underWay, most] = [0, 0]
    const storage = withDelete(store.storage, async () => {
      most = Math.max(most, ++underWay)
      await setImmediate()
      underWay--
    })
    const { sweeper } = sweeperOf(store, { storage })
    assert.deepEqual(await sweeper.sweep({ parallel: 3 }), { deletedObjects: 20, failedObjects: 0 })
    assert.equal(most, 3)
    await declare(store, { state: 'doomed', count: 20 })
    await sweeper.sweep()
    assert.equal(most, 8)
    await sweeper.stop()
  })

  it('D12: deletes 3,000 files in seconds', async () => {
    await using store = await openStore()
    const folder = 'snapshots/2026/11/23'
    const uris = await declare(store, { state: 'doomed', count: 3000, root: `file:///${folder}/` })
    await mkdir(join(store.storagePath, folder), { recursive: true })
    for (const uri of uris) writeFileSync(join(store.storagePath, uri.slice('file:///'.length)), '1')
    const begun = performance.now()
    assert.deepEqual(await store.sweep(), { deletedObjects: 3000, failedObjects: 0 })
    const seconds = (performance.now() - begun) / 1000
    assert.ok(seconds < 20, `${seconds} s`)
    assert.deepEqual(await filesBelow(store.storagePath), [])
    assert.equal(await countRows(store.databaseUrl, 'statelens_objects'), 0)
  })

  it('D12: asks a store for many at once, keeps those that it names as failed, and tells of each kind of failure once', async () => {
    await using store = await openStore()
    const uris = await declare(store, { state: 'doomed', count: 5 })
    const kept = uris.slice(3).toSorted()
    const asked: number[] = []
    const storage = withBackends(store.storage, (backend) => ({
      ...backend,
      deleteMany: async (objects) => {
        asked.push(objects.length)
        if (asked.length === 1) throw new AppError('STORAGE_UNAVAILABLE', 'No')
        return objects.map(({ uri }) =>
          kept.some((one) => one.endsWith(uri.key)) ? new AppError('STORAGE_TIMEOUT', 'No') : null,
        )
      },
    }))
    const { sweeper, problems } = sweeperOf(store, { storage })
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 0, failedObjects: 5 })
    await query(store.databaseUrl, 'update statelens_objects set not_before = now()')
    assert.deepEqual(await sweeper.sweep(), { deletedObjects: 3, failedObjects: 2 })
    assert.deepEqual([asked, problems.length], [[5, 5], 2])
    assert.deepEqual((await store.uris()).declared, kept)
    await sweeper.stop()
  })

  it('S1, D8: tells the store the version and the upload in parts, and whether a put may have been cut off', async () => {
    await using store = await openStore()
    const [live = '', pending = '', failed = ''] = [
      ...(await declare(store, { state: 'live', count: 1 })),
      ...(await declare(store, { state: 'pending', count: 1 })),
      ...(await declare(store, { state: 'doomed', count: 1 })),
    ]
    await query(
      store.databaseUrl,
      `update statelens_objects set state = 'doomed', version_id = 'v1', content_digest = '' where storage_uri = $1`,
      [live],
    )
    await query(store.databaseUrl, "update statelens_objects set multipart_id = 'm1' where storage_uri = $1", [pending])
    const [sent = '', unsent = ''] = await declare(store, { state: 'pending', count: 2 })
    for (const [uri, multipartId] of [
      [sent, 'm2'],
      [unsent, null],
    ]) {
      await query(
        store.databaseUrl,
        `insert into statelens_uploads (upload_id, snapshot_id, storage_uri, multipart_id, input, size_bytes,
          content_digest, expires_at, not_before)
        values (gen_random_uuid(), gen_random_uuid(), $1, $2, '{}', 1, '', now(), now())`,
        [uri, multipartId],
      )
    }
    const told = new Map<string, object>()
    const storage = withBackends(store.storage, (backend) => ({
      ...backend,
      deleteMany: async (objects) => {
        for (const { uri, multipartId, versionId, isUnfinished } of objects) {
          told.set(`file:///${uri.key}`, { multipartId, versionId, isUnfinished })
        }
        return objects.map(() => null)
      },
    }))
    const { sweeper } = sweeperOf(store, { storage })
    await sweeper.sweep()
    assert.deepEqual(told.get(live), { multipartId: null, versionId: 'v1', isUnfinished: false })
    assert.deepEqual(told.get(pending), { multipartId: 'm1', versionId: null, isUnfinished: true })
    assert.deepEqual(told.get(failed), { multipartId: null, versionId: null, isUnfinished: true })
    assert.deepEqual(told.get(sent), { multipartId: 'm2', versionId: null, isUnfinished: true })
    assert.deepEqual(told.get(unsent), { multipartId: null, versionId: null, isUnfinished: true })
    assert.equal(await countRows(store.databaseUrl, 'statelens_uploads'), 0)
    await sweeper.stop()
  })

  it('N6: forgets only what it took: what is given up anew meanwhile stays, however the clocks run', async () => {
    await using store = await openStore()
    const [uri = ''] = await declare(store, { state: 'pending', count: 1 })
    const taken = await takeDoomedObjects(store.db, { graceSeconds: 0, limit: 10 })
    assert.deepEqual(
      taken.map(({ storageUri }) => storageUri),
      [uri],
    )
    // As with a transaction whose `now()` is older than the statement that gave the object up.
    await abandonObject(store.db, uri, randomUUID())
    await query(store.databaseUrl, "update statelens_objects set not_before = now() + interval '1 minute'")
    await forgetObjects(store.db, taken)
    assert.deepEqual((await store.uris()).declared, [uri])
    await query(store.databaseUrl, 'update statelens_objects set not_before = now()')
    await forgetObjects(store.db, await takeDoomedObjects(store.db, { graceSeconds: 0, limit: 10 }))
    assert.deepEqual((await store.uris()).declared, [])
  })
})

describe('a sweeper', () => {
  it('D12, N4: that is stopped lets go at once of a store that says nothing, and leaves the rest for later', async () => {
    await using store = await openStore()
    await declare(store, { state: 'doomed', count: 12 })
    for (const many of [true, false]) {
      await query(store.databaseUrl, 'update statelens_objects set not_before = now()')
      const begun = Promise.withResolvers<AbortSignal | undefined>()
      const hang = (signal: AbortSignal | undefined) => {
        begun.resolve(signal)
        return new Promise<never>(() => {})
      }
      const storage = withBackends(store.storage, (backend) => ({
        ...backend,
        delete: (_uri, options) => hang(options?.signal),
        deleteMany: many ? (_objects, options) => hang(options?.signal) : undefined,
      }))
      const { sweeper, problems } = sweeperOf(store, { storage })
      sweeper.wake()
      const signal = await begun.promise
      const stopping = performance.now()
      await sweeper.stop()
      assert.ok(performance.now() - stopping < 1000)
      assert.deepEqual([signal?.aborted, problems], [true, []])
    }
    assert.equal(await countRows(store.databaseUrl, 'statelens_objects'), 12)
  })

  it('D12: ends a pass with the signal of its caller, and tells what was done', async () => {
    await using store = await openStore()
    await declare(store, { state: 'doomed', count: 6 })
    const controller = new AbortController()
    let deletes = 0
    const storage = withDelete(store.storage, async () => {
      if (++deletes === 4) controller.abort()
    })
    const { sweeper, problems } = sweeperOf(store, { storage })
    const report = await sweeper.sweep({ signal: controller.signal, parallel: 1 })
    assert.deepEqual([report, problems], [{ deletedObjects: 3, failedObjects: 0 }, []])
    await sweeper.stop()
  })

  it('sweeps by itself from time to time, until it is stopped', async () => {
    await using store = await openStore()
    const { sweeper } = sweeperOf(store, { intervalSeconds: 0.02 })
    for (let round = 0; round < 2; round++) {
      await declare(store, { state: 'doomed', count: 1 })
      assert.ok(await eventually(async () => (await countRows(store.databaseUrl, 'statelens_objects')) === 0))
    }
    await sweeper.stop()
    await declare(store, { state: 'doomed', count: 1 })
    sweeper.wake()
    await sweeper.stop()
    assert.equal(await countRows(store.databaseUrl, 'statelens_objects'), 1)
  })

  it('that is woken during a pass begins another one after it', async () => {
    await using store = await openStore()
    await declare(store, { state: 'doomed', count: 1 })
    const begun = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    let deletes = 0
    const storage = withDelete(store.storage, async () => {
      deletes++
      begun.resolve()
      await goOn.promise
    })
    const { sweeper, problems } = sweeperOf(store, { storage })
    sweeper.wake()
    await begun.promise
    await declare(store, { state: 'doomed', count: 1 })
    for (let i = 0; i < 5; i++) sweeper.wake()
    goOn.resolve()
    assert.ok(await eventually(async () => (await countRows(store.databaseUrl, 'statelens_objects')) === 0))
    await sweeper.stop()
    assert.equal(deletes, 2)
    assert.deepEqual(problems, [])
  })

  it('tells of a database that fails, and goes on with the next pass', async () => {
    await using store = await openStore()
    const { sweeper, problems } = sweeperOf(store)
    await query(store.databaseUrl, 'alter table statelens_objects rename to hidden')
    sweeper.wake()
    assert.ok(await eventually(async () => problems.length > 0))
    await query(store.databaseUrl, 'alter table hidden rename to statelens_objects')
    await declare(store, { state: 'doomed', count: 1 })
    sweeper.wake()
    assert.ok(await eventually(async () => (await countRows(store.databaseUrl, 'statelens_objects')) === 0))
    await sweeper.stop()
  })
})

function sweeperOf(store: TestStore, options: Partial<SweeperOptions> = {}) {
  const problems: unknown[] = []
  const onProblem = (error: unknown) => problems.push(error)
  const sweeper = createSweeper({ db: store.db, storage: store.storage, graceSeconds: 0, onProblem, ...options })
  return { sweeper, problems }
}

interface Declared {
  readonly state: 'pending' | 'live' | 'doomed'
  readonly count: number
  readonly root?: string
}

async function declare(store: TestStore, { state, count, root = 'file:///' }: Declared): Promise<string[]> {
  const uris = Array.from({ length: count }, () => `${root}${randomUUID()}.json`)
  await query(
    store.databaseUrl,
    'insert into statelens_objects (storage_uri, snapshot_id, state) select uri, gen_random_uuid(), $2 from unnest($1::text[]) uri',
    [uris, state],
  )
  return uris
}

/** The same storage, where a delete does only this, for one object at a time. */
function withDelete(storage: Storage, remove: (key: string) => Promise<void>): Storage {
  return withBackends(storage, (backend) => ({ ...backend, delete: ({ key }) => remove(key), deleteMany: undefined }))
}
