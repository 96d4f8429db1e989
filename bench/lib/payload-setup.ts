import { isUnavailable } from '../../test/support/describe-with.ts'
import { globalSetup, globalTeardown } from '../../test/support/global-setup.ts'
import { s3 } from '../../test/support/services.ts'
import { startDatabase, withClient } from './database.ts'
import { askOnce } from './load.ts'
import { memoryOf, resetPeak, type ServerProcess, startServer } from './processes.ts'
import type { Session } from './session.ts'
import type { Source, Stored } from './transfer.ts'

/** What every part of the payload bench works with. */
export interface Bench {
  readonly session: Session
  readonly pin: readonly string[]
  readonly rounds: number
  /** A new process, so that what one part left in memory is not another one's. */
  startStatelens(): Promise<ServerProcess>
  startRawProxy(): Promise<ServerProcess>
  /** Key of the object that holds a snapshot's payload. */
  keyOf(snapshotId: string): Promise<string>
}

/**
 * Starts PostgreSQL and an S3 server: the one of `TEST_S3_ENDPOINT`, or the Ceph gateway of the tests.
 * @throws Error that says how to get an S3 server, where there is none
 */
export async function setUp(session: Session, options: Pick<Bench, 'pin' | 'rounds'>): Promise<Bench> {
  await globalSetup()
  await session.defer(globalTeardown)
  const store = await s3()
  if (isUnavailable(store)) throw new Error(store.unavailable)
  const databaseUrl = await startDatabase(session)
  const env = {
    DATABASE_URL: databaseUrl,
    PORT: '0',
    SNAPSHOT_STORAGE_BACKEND: 's3',
    S3_BUCKET: store.bucket,
    S3_REGION: store.region,
    S3_ENDPOINT_URL: store.endpoint,
    S3_ACCESS_KEY: store.accessKey,
    S3_SECRET_KEY: store.secretKey,
    S3_FORCE_PATH_STYLE: 'true',
    // A state of 1 MB would otherwise stay in the database.
    SNAPSHOT_INLINE_MAX_BYTES: '65536',
    PAYLOAD_MAX_BYTES: String(2 ** 31),
  }
  const start = async (name: string, args: readonly string[]) =>
    startServer(session, options.pin, { name, args, env: { ...env, DATA_DIR: await session.folder() } })
  return {
    session,
    ...options,
    startStatelens: () => start('statelens', ['src/main.ts', 'serve']),
    startRawProxy: () => start('raw proxy', ['bench/peers/raw-s3.ts']),
    keyOf: (snapshotId) =>
      withClient(databaseUrl, async (client) => {
        const found = await client.query('select storage_uri from state_snapshots where id = $1', [snapshotId])
        return new URL(found.rows[0].storage_uri).pathname.slice(1)
      }),
  }
}

/** The payload through GraphQL. `useCache: false` reads through to the store, whatever the size. */
export function graphqlSource({ origin }: ServerProcess, stepId: string): Source {
  const query = `{ snapshot(runId: "bench", stepId: ${JSON.stringify(stepId)}, useCache: false) { payload } }`
  return { name: 'GraphQL payload', url: `${origin}/graphql`, body: JSON.stringify({ query }) }
}

export function getSource({ origin }: ServerProcess, { snapshotId }: Pick<Stored, 'snapshotId'>): Source {
  return { name: 'GET /snapshots/{id}/payload', url: `${origin}/snapshots/${snapshotId}/payload` }
}

/** Asks a GraphQL question whose answer is small. */
export async function ask<Data>({ origin }: ServerProcess, query: string): Promise<Data> {
  const { data, errors } = JSON.parse(await askOnce(origin, JSON.stringify({ query })))
  if (errors) throw new Error(`statelens: ${JSON.stringify(errors)}`)
  return data
}

/** Tells how far a process has grown above what it took at first, at the worst moment of each piece of work. */
export interface MemoryWatch {
  /** Megabytes of 10^6 bytes, and what the work resolved to. */
  during<T>(work: () => Promise<T>): Promise<{ readonly growth: number; readonly peak: number; readonly result: T }>
}

export async function watchMemory({ pid }: ServerProcess): Promise<MemoryWatch> {
  const { resident } = await memoryOf(pid)
  return {
    async during(work) {
      await resetPeak(pid)
      const result = await work()
      const { peak } = await memoryOf(pid)
      return { growth: Math.max(0, peak - resident), peak, result }
    },
  }
}
