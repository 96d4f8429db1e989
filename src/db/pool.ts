import pg from 'pg'
import { endsConnection, toDatabaseError } from './errors.ts'
import { toInstant } from './instants.ts'
import { JsonBytesClient } from './json-bytes.ts'

/** Timeouts in milliseconds: the server cancels a statement before the client gives up on it. */
const TIMEOUTS = {
  connectionTimeoutMillis: 2000,
  statement_timeout: 5000,
  query_timeout: 7000,
  lock_timeout: 2000,
  idle_in_transaction_session_timeout: 10_000,
}

/** Connections that read as this folder expects. One that breaks while nobody uses it is replaced on the next use. */
export function createPool(connectionString: string, max: number): pg.Pool {
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
  // Without a listener the loss of a connection would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** The part of a pool that Kysely uses, with every failure translated. */
export function translating(pool: pg.Pool) {
  return {
    async connect() {
      const client = await pool.connect().catch(rethrow)
      let broken: Error | undefined
      return {
        query: ((text: string, values: unknown[]) =>
          client.query(text, values).catch((error: unknown) => {
            if (endsConnection(error)) broken = error as Error
            throw toDatabaseError(error)
          })) as never,
        release: () => client.release(broken),
      }
    },
    end: () => pool.end(),
    options: pool.options,
  }
}

export function rethrow(error: unknown): never {
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
