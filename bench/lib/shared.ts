import { isUnavailable } from '../../test/support/describe-with.ts'
import { globalSetup, globalTeardown } from '../../test/support/global-setup.ts'
import { type S3Service, s3 } from '../../test/support/services.ts'
import { createBareTable, seed, startDatabase } from './database.ts'
import { note } from './report.ts'
import type { Session } from './session.ts'

/** What parts have in common: each is started when it is first asked for, and ends with the bench. */
export interface Shared {
  /** With runs, steps and snapshots. */
  seededDatabase(): Promise<string>
  /** For payloads. */
  emptyDatabase(): Promise<string>
  /** Where the states of that database lie that are stored in files: it knows its folder, and takes no other. */
  storageFolder(): Promise<string>
  /**
   * The S3 server of `TEST_S3_ENDPOINT`, or the Ceph gateway of the tests.
   * @throws Error that says how to get one, where there is none
   */
  s3(): Promise<S3Service>
}

export function createShared(session: Session, { runs }: { readonly runs: number }): Shared {
  return {
    seededDatabase: once(async () => {
      const url = await startDatabase(session)
      note(`Seeding ${runs} runs of 20 steps …`)
      await seed(url, runs)
      await createBareTable(url)
      return url
    }),
    emptyDatabase: once(() => startDatabase(session)),
    storageFolder: once(() => session.folder()),
    s3: once(async () => {
      note('Starting the S3 server …')
      await globalSetup()
      await session.defer(globalTeardown)
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
