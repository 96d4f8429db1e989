import { setTimeout as delay } from 'node:timers/promises'
import { s3Env } from '../../test/support/objects.ts'
import { withClient } from './database.ts'
import { askOnce } from './load.ts'
import type { Form, PartContext } from './parts.ts'
import { memoryOf, type ProbedServer, resetPeak, type ServerProcess, startServer } from './processes.ts'
import type { Session } from './session.ts'
import type { Source, Stored } from './transfer.ts'

/** What every part of the payload bench works with. */
export interface Bench {
  readonly session: Session
  readonly pin: readonly string[]
  readonly form: Form
  /** A new process, so that what one part left in memory is not another one's. */
  startStatelens(where?: Where): Promise<ProbedServer>
  startRawProxy(): Promise<ProbedServer>
  startRawPut(): Promise<ProbedServer>
  /** Key of the object that holds a snapshot's payload. */
  keyOf(snapshotId: string): Promise<string>
}

export interface Where {
  /** Where it stores payloads; S3 when left out. */
  readonly to?: 's3' | 'folder'
  /** Another checkout. */
  readonly checkout?: string
  /** Settings beside those of every part. */
  readonly env?: Readonly<Record<string, string>>
}

/** @throws Error that says how to get an S3 server, where there is none */
export async function setUp({ session, shared, form, pin }: PartContext): Promise<Bench> {
  const store = await shared.s3()
  const database = await shared.emptyStore()
  const ours = {
    ...database.env,
    // A state of 1 MB would otherwise stay in the database.
    SNAPSHOT_INLINE_MAX_BYTES: '65536',
    PAYLOAD_MAX_BYTES: String(2 ** 31),
  }
  const start = async (name: string, args: readonly string[], { env = {}, folder }: Started = {}) =>
    startServer(session, pin, {
      name,
      args,
      folder,
      isProbed: true,
      env: { PORT: '0', ...s3Env(store), S3_FORCE_PATH_STYLE: 'true', ...env, DATA_DIR: await session.folder() },
    })
  return {
    session,
    pin,
    form,
    startStatelens: ({ to = 's3', checkout, env: more } = {}) => {
      const env = { ...ours, ...more, SNAPSHOT_STORAGE_BACKEND: to === 's3' ? 's3' : 'filesystem' }
      return start('statelens', ['src/main.ts', 'serve'], {
        env,
        ...(checkout === undefined ? {} : { folder: checkout }),
      })
    },
    startRawProxy: () => start('raw proxy', ['bench/peers/raw-s3.ts']),
    startRawPut: () => start('raw PUT', ['bench/peers/raw-put.ts']),
    keyOf: (snapshotId) =>
      withClient(database.url, async (client) => {
        const found = await client.query('select storage_uri from state_snapshots where id = $1', [snapshotId])
        return new URL(found.rows[0].storage_uri).pathname.slice(1)
      }),
  }
}

interface Started {
  readonly env?: Readonly<Record<string, string>>
  readonly folder?: string
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

const SETTLE_MS = 500

type Watchable = Pick<ServerProcess, 'pid'> & Partial<Pick<ProbedServer, 'collectGarbage'>>

/**
 * Tells how far a process has grown above what it needs now, at the worst moment of each piece of work. One that is probed has its
 * garbage collected before: what its start left would hide what the work takes.
 */
export interface MemoryWatch {
  /** Megabytes of 10^6 bytes, and what the work resolved to. */
  during<T>(work: () => Promise<T>): Promise<{ readonly growth: number; readonly peak: number; readonly result: T }>
}

export async function watchMemory({ pid, collectGarbage }: Watchable): Promise<MemoryWatch> {
  await collectGarbage?.()
  // Pages go back to the system a moment later, by another thread.
  await delay(SETTLE_MS)
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
