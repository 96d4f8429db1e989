import { isUnavailable } from '../../test/support/describe-with.ts'
import { type S3Service, s3 } from '../../test/support/services.ts'
import { startServices, stopServices } from '../../test/support/start-services.ts'
import { createBareTable, seed, startDatabase } from './database.ts'
import { note } from './report.ts'
import type { Session } from './session.ts'

/** A database, and where the states lie that it has in files: it knows its folder, and takes no other. */
export interface Store {
  readonly url: string
  /** What statelens is told of both. */
  readonly env: Readonly<Record<'DATABASE_URL' | 'SNAPSHOT_STORAGE_PATH', string>>
}

/** What parts have in common: each is started when it is first asked for, and ends with the bench. */
export interface Shared {
  /** With runs, steps and snapshots. */
  seededStore(): Promise<Store>
  /** For payloads. */
  emptyStore(): Promise<Store>
  /**
   * The S3 server of `TEST_S3_ENDPOINT`, or the Ceph gateway of the tests.
   * @throws Error that says how to get one, where there is none
   */
  s3(): Promise<S3Service>
}

export function createShared(session: Session, { runs }: { readonly runs: number }): Shared {
  const startStore = async (): Promise<Store> => {
    const url = await startDatabase(session)
    return { url, env: { DATABASE_URL: url, SNAPSHOT_STORAGE_PATH: await session.folder() } }
  }
  return {
    seededStore: once(async () => {
      const store = await startStore()
      note(`Seeding ${runs} runs of 20 steps …`)
      await seed(store.url, runs)
      await createBareTable(store.url)
      return store
    }),
    emptyStore: once(startStore),
    s3: once(async () => {
      note('Starting the S3 server …')
      await startServices()
      await session.defer(stopServices)
      const service = await s3()
      if (isUnavailable(service)) throw new Error(service.unavailable)
      return service
    }),
  }
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined
  return () => {
    made ??= make()
    return made
  }
}
