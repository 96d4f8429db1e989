import pg from 'pg'
import { keepAtHand } from './at-hand.ts'
import { cancelStatement } from './cancel.ts'
import { endsConnection, leadsAstray, toDatabaseError } from './errors.ts'
import { createClient } from './json-bytes.ts'
import { beginOf, createPooler, isLimitRefused, limitsOf, lookForPooler, type Pooler } from './pooler.ts'
import { getTypeParser } from './value-types.ts'

/** In milliseconds. What the URL says of them counts before. */
export interface Limits {
  readonly connectionTimeoutMillis: number
  /** 0: none. */
  readonly statement_timeout: number
  readonly query_timeout?: number
  readonly lock_timeout: number
  /** 0: none. */
  readonly idle_in_transaction_session_timeout: number
}

/** The server cancels a statement before the client gives up on it. */
const SERVING: Limits = {
  connectionTimeoutMillis: 2000,
  statement_timeout: 5000,
  query_timeout: 7000,
  lock_timeout: 2000,
  idle_in_transaction_session_timeout: 10_000,
}

/** Of whoever only looks, perhaps on a machine that has much else to do: it is the server's patience that counts, not our own. */
export const LOOKING: Limits = {
  connectionTimeoutMillis: 6000,
  statement_timeout: 4000,
  query_timeout: 5000,
  lock_timeout: 1000,
  idle_in_transaction_session_timeout: 10_000,
}

export interface PoolOptions {
  readonly url: string
  readonly max: number
  readonly limits?: Limits
  readonly applicationName?: string
  /** Shared by pools that lead to the same place. */
  readonly pooler?: Pooler
  /** What is set for each connection; behind a pooler, which may give every transaction another one, nothing is. */
  readonly session?: readonly string[]
}

/** Connections that read as this folder expects. One that breaks while nobody uses it is replaced on the next use. */
export interface Pool {
  readonly pooler: Pooler
  /** A connection that is at hand; without one `connect` waits for it. */
  take(): pg.PoolClient | undefined
  connect(): Promise<pg.PoolClient>
  /** To be called with what happened on the connection: it may be of no more use. */
  release(client: pg.PoolClient, error?: unknown): void
  state(): PoolState
  /** Uses no connection any more that was there before: what broke one may have broken all of them. */
  renew(): void
  end(): Promise<void>
}

/** How a pool stands, in connections. */
export interface PoolState {
  readonly max: number
  readonly inUse: number
  readonly idle: number
  /** Callers that wait for one. */
  readonly waiting: number
}

/** A server that reads a standby goes on reading: its connections are not all thrown away each time that it would note something. */
const EPOCH_MILLIS = 2000
/** Statements that fail together mean one event: the connections that were made since then stay. */
const RENEWAL_MILLIS = 250

export function createPool(options: PoolOptions): Pool {
  const { pooler = createPooler(), limits = SERVING } = options
  const pool = openPool(options, pooler, limits)
  const atHand = keepAtHand(pool)
  const epochs = new WeakMap<pg.PoolClient, number>()
  let epoch = 0
  let epochAt = 0
  /** Of connections from before one was found to lead to a server that takes no writes, any may. */
  const isOld = (client: pg.PoolClient) => epochs.get(client) !== epoch
  function renew(millis: number): void {
    if (Date.now() - epochAt < millis) return
    epoch++
    epochAt = Date.now()
  }

  function take(): pg.PoolClient | undefined {
    for (let client = atHand.take(); client; client = atHand.take()) {
      if (!isOld(client)) return client
      client.release(true)
    }
    return undefined
  }

  return {
    pooler,
    take,
    async connect() {
      for (;;) {
        const client = take() ?? (await connectPast(pool, pooler))
        if (!epochs.has(client)) epochs.set(client, epoch)
        if (!isOld(client)) return client
        client.release(true)
      }
    },
    release(client, error) {
      if (error !== undefined && leadsAstray(error)) renew(EPOCH_MILLIS)
      if (isOld(client) || (error !== undefined && endsConnection(error))) client.release(true)
      else atHand.keep(client)
    },
    state() {
      const idle = pool.idleCount + atHand.count()
      return { max: options.max, inUse: pool.totalCount - idle, idle, waiting: pool.waitingCount }
    },
    renew: () => renew(RENEWAL_MILLIS),
    async end() {
      atHand.giveBack()
      if (!pool.ending) await pool.end()
    },
  }
}

function openPool({ url, max, applicationName, session = [] }: PoolOptions, pooler: Pooler, limits: Limits): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    // A pool makes its clients by `new`, and a function that returns an object serves for that.
    Client: function Client(config: pg.ClientConfig) {
      return createClient(config, pooler)
    } as unknown as typeof pg.Client,
    ...limits,
    idleTimeoutMillis: 30_000,
    maxLifetimeSeconds: session.length > 0 ? 0 : 1800,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: applicationName ?? 'statelens',
    types: { getTypeParser },
    onConnect: async (client) => {
      await lookForPooler(client, pooler)
      if (!pooler.isThere) for (const statement of session) await client.query(statement)
    },
  })
  // Without a listener the loss of a connection would end the process.
  pool.on('error', () => {})
  return pool
}

/** Connects anew, once, where a pooler refused what only PostgreSQL knows. */
async function connectPast(pool: pg.Pool, pooler: Pooler): Promise<pg.PoolClient> {
  const wasKnown = pooler.isThere
  try {
    return await pool.connect()
  } catch (error) {
    if (wasKnown || !isLimitRefused(error)) throw error
    pooler.isThere = true
    return await pool.connect()
  }
}

/** Tells a statement that it is over before its time. */
export interface Stop {
  isOver: boolean
  /** There while it is executing. */
  cancel?: (() => void) | undefined
}

interface LimitOptions {
  readonly pooler: Pooler
  readonly stop: Stop
}

/**
 * Has what a connection is executing end in PostgreSQL as well when it is stopped, or its time is over where PostgreSQL does not count it.
 * @returns to be called when it is over; what that gives is to be waited for, as what comes next on the connection must not be ended in
 * its place.
 */
export function startLimit(client: pg.PoolClient, { pooler, stop }: LimitOptions): () => Promise<void> | undefined {
  let cancelling: Promise<void> | undefined
  const cancel = () => {
    cancelling ??= cancelStatement(client)
  }
  stop.cancel = cancel
  const millis = pooler.isThere ? limitsOf(client).statement_timeout : 0
  const timer = millis > 0 ? setTimeout(cancel, millis) : undefined
  return () => {
    clearTimeout(timer)
    stop.cancel = undefined
    return cancelling
  }
}

export interface KyselyOptions {
  /** Ends what is executing when it fires. */
  readonly signal?: AbortSignal
  /** PostgreSQL refuses whatever would write. */
  readonly isReadOnly?: boolean
  readonly translate?: (error: unknown) => unknown
}

/** The part of a pool that Kysely uses, with every failure translated. */
export function forKysely(pool: Pool, { signal, isReadOnly, translate = toDatabaseError }: KyselyOptions = {}) {
  const { pooler } = pool
  return {
    async connect() {
      const client = await pool.connect().catch((error: unknown) => {
        throw translate(error)
      })
      let failure: unknown
      const query = async (text: string, values: unknown[]) => {
        if (pooler.isThere && isForSession(text)) return { rows: [] }
        try {
          const running = client.query(pooler.isThere ? beginOf(client, text) : text, values)
          return await whileWanted(signal, (stop) => running.finally(startLimit(client, { pooler, stop })))
        } catch (error) {
          if (failure === undefined || endsConnection(error)) failure = error
          throw translate(error)
        }
      }
      // What stands alone is in a transaction then as well: behind a pooler nothing else can be read-only.
      if (isReadOnly) await query('begin read only', [])
      const release = () => pool.release(client, failure)
      const end = () => void query('rollback', []).then(release, release)
      return { query: query as never, release: isReadOnly ? end : release }
    },
    end: () => pool.end(),
    options: {},
  }
}

/** Stops a statement as soon as the signal fires. */
async function whileWanted<T>(signal: AbortSignal | undefined, run: (stop: Stop) => Promise<T>): Promise<T> {
  const stop: Stop = { isOver: false }
  const leave = () => stop.cancel?.()
  signal?.addEventListener('abort', leave, { once: true })
  try {
    return await run(stop)
  } finally {
    signal?.removeEventListener('abort', leave)
  }
}

/** What would stay with a connection of the pooler, for others. */
function isForSession(text: string): boolean {
  return /^set (?!local |transaction |constraints )/i.test(text)
}

export function rethrow(error: unknown): never {
  throw toDatabaseError(error)
}
