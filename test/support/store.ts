import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { createMemoryCache } from '../../src/cache/memory.ts'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { createWriter, type SnapshotWriter, type WriterOptions } from '../../src/snapshots/capture/writer.ts'
import { createStateIndexes } from '../../src/snapshots/indexes/state-indexes.ts'
import { createAdmission } from '../../src/snapshots/source/admission.ts'
import type { SweepReport } from '../../src/snapshots/upkeep/sweep-objects.ts'
import { createSweeper, type SweeperOptions } from '../../src/snapshots/upkeep/sweeper.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { createStorage, type Storage } from '../../src/storage/registry.ts'
import { freshDatabase } from './database.ts'
import { filesBelow, type ObjectsOptions, storageOptions } from './objects.ts'
import { temporaryFolder } from './tmp.ts'

/** The parts below the server, on a database and a folder of their own, where a test can put faults between them. */
export interface TestStore extends AsyncDisposable {
  readonly databaseUrl: string
  readonly storagePath: string
  readonly db: Database
  readonly storage: Storage
  /** A writer whose objects all go to storage. Nothing is swept but by `sweep`. */
  writer(faults?: StoreFaults, settings?: Partial<WriterOptions>): SnapshotWriter
  /** Takes everything out of it, as if it were new. */
  clear(): Promise<void>
  /** One pass without any grace; it must meet no problem. */
  sweep(): Promise<SweepReport>
  /** Rows that name an object, objects that are declared, and files: all the same URIs when nothing is lost or left over. */
  uris(): Promise<{
    readonly rows: string[]
    readonly live: string[]
    readonly declared: string[]
    readonly files: string[]
  }>
}

export interface StoreFaults {
  /** Stands in for a backend's own `put`. */
  readonly put?: (real: StorageBackend['put']) => StorageBackend['put']
  /** Runs around each statement that stores a capture. */
  readonly commit?: (commit: () => Promise<unknown>) => Promise<unknown>
}

export async function openStore(): Promise<TestStore> {
  await using cleanup = new AsyncDisposableStack()
  const { url: databaseUrl } = cleanup.use(await freshDatabase())
  const { path: storagePath } = cleanup.use(await temporaryFolder())
  const db = createDatabase({ url: databaseUrl })
  cleanup.defer(() => db.close())
  const storage = createStorage(storageOptions({ storagePath }))
  const owned = cleanup.move()
  const uriList = async (statement: string) =>
    (await db.rows(sql.raw(statement))).map(([uri]) => String(uri)).toSorted()
  return {
    databaseUrl,
    storagePath,
    db,
    storage,
    writer: (faults = {}, settings = {}) =>
      createWriter({
        db: faults.commit ? withCommit(db, faults.commit) : db,
        storage: faults.put ? withPut(storage, faults.put) : storage,
        cache: createMemoryCache({ maxBytes: 1024, maxEntryBytes: 1, ttlSeconds: 1 }),
        indexes: createStateIndexes(db),
        sweeper: { sweep: () => assert.fail('a writer only wakes'), wake() {}, async stop() {} },
        inlineMaxBytes: 0,
        admission: createAdmission(),
        ...settings,
      }),
    async clear() {
      const tables = ['state_snapshots', 'statelens_runs', 'statelens_steps', 'statelens_objects']
      await db.rows(sql.raw(`truncate ${tables.join()}, statelens_tombstones, statelens_uploads`))
      for (const name of await readdir(storagePath)) await rm(join(storagePath, name), { recursive: true })
    },
    sweep: () => sweep({ db, storage, graceSeconds: 0 }),
    uris: async () => ({
      rows: await uriList('select storage_uri from state_snapshots where storage_uri is not null'),
      live: await uriList("select storage_uri from statelens_objects where state = 'live'"),
      declared: await uriList('select storage_uri from statelens_objects'),
      files: (await filesBelow(storagePath)).map((path) => `file:///${path}`).toSorted(),
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** A sweeper that takes what is about to be put for abandoned. */
export function sweepBeforePut(store: TestStore): StoreFaults['put'] {
  return (real) =>
    async (...args) => {
      await store.sweep()
      return await real(...args)
    }
}

/** One pass over the store of a server, of this process or another. It must meet no problem. */
export async function sweepOnce(
  store: { readonly databaseUrl: string } & ObjectsOptions,
  { graceSeconds = 0 }: { readonly graceSeconds?: number } = {},
): Promise<SweepReport> {
  const db = createDatabase({ url: store.databaseUrl })
  const storage = createStorage(storageOptions(store))
  try {
    return await sweep({ db, storage, graceSeconds })
  } finally {
    await db.close()
    storage.close()
  }
}

async function sweep(options: Pick<SweeperOptions, 'db' | 'storage' | 'graceSeconds'>): Promise<SweepReport> {
  const sweeper = createSweeper({ ...options, onProblem: (error) => assert.fail(String(error)) })
  return await sweeper.sweep().finally(sweeper.stop)
}

/** The same storage, where every backend has another `put`. */
export function withPut(storage: Storage, put: (real: StorageBackend['put']) => StorageBackend['put']): Storage {
  return withBackends(storage, (backend) => ({ ...backend, put: put(backend.put) }))
}

/** The same storage, where every backend is another. */
export function withBackends(storage: Storage, change: (backend: StorageBackend) => StorageBackend): Storage {
  return {
    ...storage,
    resolve(raw) {
      const { backend, uri } = storage.resolve(raw)
      return { uri, backend: change(backend) }
    },
  }
}

/** The same database, where every statement that stores a capture runs in this. */
export function withCommit(db: Database, around: (commit: () => Promise<unknown>) => Promise<unknown>): Database {
  return {
    ...db,
    rows(query, options) {
      const isCommit = query.compile(db.kysely).sql.includes('statelens_capture(')
      const commit = () => db.rows(query, options)
      return isCommit ? (around(commit) as Promise<unknown[][]>) : commit()
    },
  }
}
