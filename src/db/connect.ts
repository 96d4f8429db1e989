import { Kysely, PostgresDialect, type RawBuilder } from 'kysely'
import pg from 'pg'
import { toDatabaseError } from './errors.ts'
import { JsonBytesClient } from './json-bytes.ts'
import type { Tables } from './tables.ts'

export interface DatabaseOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string
  /** Most connections at once for requests; default 10. */
  readonly maxConnections?: number
  /** Told the text of every statement. */
  readonly onStatement?: (text: string) => void
}

/** PostgreSQL, seen from the query files of this folder. Every failure that has a code leaves as an `AppError`. */
export interface Database {
  readonly kysely: Kysely<Tables>
  /** Reads by one statement, prepared once a connection. Each row is its values, in the order of the select list. */
  rows(query: RawBuilder<unknown>): Promise<unknown[][]>
  /** Resolves when the database answers, on a connection that requests do not use. */
  check(): Promise<void>
  close(): Promise<void>
}

/** Timeouts in milliseconds: the server cancels a statement before the client gives up on it. */
const TIMEOUTS = {
  connectionTimeoutMillis: 2000,
  statement_timeout: 5000,
  query_timeout: 7000,
  lock_timeout: 2000,
  idle_in_transaction_session_timeout: 10_000,
}

export function createDatabase({ url, maxConnections = 10, onStatement }: DatabaseOptions): Database {
  const pool = createPool(url, maxConnections)
  const healthPool = createPool(url, 1)
  const kysely = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: translating(pool) }),
    log: (event) => {
      if (event.level === 'query') onStatement?.(event.query.sql)
    },
  })
  const statementName = createStatementNames()
  return {
    kysely,
    async rows(query) {
      const { sql: text, parameters } = query.compile(kysely)
      onStatement?.(text)
      const prepared = { text, values: [...parameters], name: statementName(text), rowMode: 'array' as const }
      return (await pool.query<unknown[]>(prepared).catch(rethrow)).rows
    },
    async check() {
      await healthPool.query('select 1').catch(rethrow)
    },
    async close() {
      await kysely.destroy()
      // Kysely ends the pool only if it has used it.
      if (!pool.ending) await pool.end()
      await healthPool.end()
    },
  }
}

/** A short name for each of the first 256 statement texts; a text beyond them is not prepared, so that the server's memory is bounded. */
function createStatementNames(): (text: string) => string | undefined {
  const names = new Map<string, string>()
  return (text) => {
    const known = names.get(text)
    if (known || names.size === 256) return known
    const name = `statelens-${names.size}`
    names.set(text, name)
    return name
  }
}

function createPool(connectionString: string, max: number): pg.Pool {
  const pool = new pg.Pool({
    connectionString,
    max,
    // A pool makes its clients by `new`, and a function that returns an object serves for that.
    Client: JsonBytesClient as unknown as typeof pg.Client,
    ...TIMEOUTS,
    idleTimeoutMillis: 30_000,
    maxLifetimeSeconds: 1800,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: 'statelens',
    types: { getTypeParser },
  })
  // An idle connection that breaks is replaced on the next use; without a listener it would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** The part of a pool that Kysely uses, with every failure translated. */
function translating(pool: pg.Pool) {
  return {
    async connect() {
      const client = await pool.connect().catch(rethrow)
      let broken: Error | undefined
      return {
        query: ((text: string, values: unknown[]) =>
          client.query(text, values).catch((error: unknown) => {
            if (!(error instanceof pg.DatabaseError)) broken = error as Error
            throw toDatabaseError(error)
          })) as never,
        // A connection whose reply was lost may still be busy: it is not used again.
        release: () => client.release(broken),
      }
    },
    end: () => pool.end(),
    options: pool.options,
  }
}

function rethrow(error: unknown): never {
  throw toDatabaseError(error)
}

const { builtins } = pg.types

/** Times stay text in UTC, JSON stays the bytes that were sent, 64-bit integers stay text. */
function getTypeParser(oid: number, format?: 'text' | 'binary') {
  if (oid === builtins.TIMESTAMPTZ) return toInstant
  if (oid === builtins.JSON || oid === builtins.JSONB || oid === builtins.INT8) return asSent
  return pg.types.getTypeParser(oid, format)
}

const asSent = (bytes: unknown) => bytes

/** `2026-11-23 01:41:09.123456+00`, as PostgreSQL prints it, to RFC 3339; another offset is brought to UTC. */
export function toInstant(text: string): string {
  if (text.endsWith('+00')) return `${text.slice(0, 10)}T${text.slice(11, -3)}Z`
  const [, date, time, fraction = '', offset = ''] =
    /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?([+-]\d\d(?::?\d\d)?)/.exec(text) ?? []
  if (!date) return text
  const utc = new Date(`${date}T${time}${offset.length === 3 ? `${offset}:00` : offset}`)
  return `${utc.toISOString().slice(0, 19)}${fraction}Z`
}
