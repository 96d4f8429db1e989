import { Kysely, PostgresDialect, type RawBuilder } from 'kysely'
import type { StopSignal } from '../abort.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { createTurns } from '../turns.ts'
import { createExecutor, type Execute, type ExecuteOptions } from './executor.ts'
import { observeStatements } from './observe-statements.ts'
import { createPool, forKysely, type Limits, type PoolState, rethrow } from './pool.ts'
import { createPooler } from './pooler.ts'
import { compile, type Statement } from './statements.ts'
import type { Tables } from './tables.ts'
import { joining } from './together.ts'

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string
  /** Most connections at once for requests; default 10. */
  readonly maxConnections?: number
  /** Those of a server when left out. */
  readonly limits?: Limits
  /** PostgreSQL refuses what `kysely` would write. */
  readonly isReadOnly?: boolean
  /** What PostgreSQL calls its connections. */
  readonly applicationName?: string
  /** Told the text of every statement. */
  readonly onStatement?: (text: string) => void
  /** Told how long each of them took; nobody is when it is left out. */
  readonly telemetry?: Telemetry | undefined
}

export interface StatementOptions {
  /** Ends the statement in PostgreSQL as well. */
  readonly signal?: StopSignal
}

/** What reads take: a database, or the share of it that one request has. */
export interface Rows {
  /**
   * Executes one statement, prepared once a connection if it comes again. Each row is its values, in the order of the select list.
   * @throws the signal's reason as soon as it fires; AppError `DATABASE_UNAVAILABLE`, `DATABASE_TIMEOUT`, `OVERLOADED`.
   */
  rows(query: RawBuilder<unknown> | Statement, options?: StatementOptions): Promise<unknown[][]>
}

/** PostgreSQL, seen from the query files of this folder. Every failure that has a code leaves as an `AppError`. */
export interface Database extends Rows {
  readonly kysely: Kysely<Tables>
  /**
   * What one request reads by: a few statements at a time, so that one that asks for much leaves room for others; the rest waits.
   * All of them end with the signal.
   */
  share(signal?: StopSignal): Rows
  /** Whether a pooler was met on the way. */
  isPooled(): boolean
  /** Of the connections for requests. */
  poolState(): PoolState
  /** Resolves when the database answers, on a connection that requests do not use. */
  check(): Promise<DatabaseHealth>
  close(): Promise<void>
}

export interface DatabaseHealth {
  /** A standby, or a database that was set to refuse writes: reads go on, and nothing can be captured. */
  readonly isReadOnly: boolean
}

const STATEMENTS_AT_ONCE = 3

export function createDatabase({
  maxConnections = 10,
  isReadOnly,
  onStatement,
  telemetry,
  ...options
}: DatabaseOptions): Database {
  const observer = telemetry && observeStatements(telemetry)
  const pooler = createPooler()
  const pool = createPool({ ...options, max: maxConnections, pooler })
  const healthPool = createPool({ ...options, max: 1, pooler })
  const kysely = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: forKysely(pool, { isReadOnly }) }),
    log: (event) => {
      if (event.level === 'query') onStatement?.(event.query.sql)
      observer?.past(event.query.sql, event.queryDurationMillis, event.level === 'error' ? event.error : undefined)
    },
  })
  const execute = createExecutor(pool, observer?.begin)
  const send: Execute = (statement, options) => {
    onStatement?.(statement.text)
    return execute(statement, options)
  }
  // A trace has the statements of its own request.
  const ask = telemetry?.spans ? send : joining(send)
  const run: Run = (query, options) => ask('text' in query ? query : compile(query), options)
  return {
    kysely,
    rows: (query, options = {}) => run(query, options),
    share: (signal) => shareOf(run, signal),
    isPooled: () => pooler.isThere === true,
    poolState: () => pool.state(),
    async check() {
      const client = await healthPool.connect().catch(rethrow)
      const { rows } = await client.query<DatabaseHealth>(IS_READ_ONLY).catch((error: unknown) => {
        healthPool.release(client, error)
        return rethrow(error)
      })
      // The next look goes to whatever takes the writes by then.
      client.release(rows[0]?.isReadOnly === true)
      return { isReadOnly: rows[0]?.isReadOnly === true }
    },
    async close() {
      await kysely.destroy()
      // Kysely ends the pool only if it has used it.
      await pool.end()
      await healthPool.end()
    },
  }
}

const IS_READ_ONLY = `select pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as "isReadOnly"`

export type Run = (query: RawBuilder<unknown> | Statement, options: ExecuteOptions) => Promise<unknown[][]>

/** A share of whatever runs statements. */
export function shareOf(run: Run, signal?: StopSignal): Rows {
  const turns = createTurns(STATEMENTS_AT_ONCE, signal)
  const shared = { signal, onOver: turns.leave }
  return {
    rows(query, options) {
      const own = options ? { ...shared, ...options } : shared
      const turn = turns.enter()
      return turn ? turn.then(() => run(query, own)) : run(query, own)
    },
  }
}
