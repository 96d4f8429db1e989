import pg from 'pg'
import { AppError, type ErrorCode } from '../errors.ts'

/** SQLSTATE, or a class of it, to the code a client sees. */
const BY_SQLSTATE: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [/^57014$/, 'DATABASE_TIMEOUT', 'The database took too long'],
  [/^55P03$/, 'DATABASE_TIMEOUT', 'The database waited too long for a lock'],
  [/^(08|57P|58|53|28|40|25006|3D000)/, 'DATABASE_UNAVAILABLE', 'The database cannot serve this now'],
  [/^22/, 'BAD_REQUEST', 'The database does not accept one of the values'],
]

/** Node's codes of a connection that could not be made, or broke; the last ones say that this machine has no more of something. */
const NETWORK = /^(ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOST|ENET|EMFILE|ENFILE|EADDRNOTAVAIL|ENOBUFS)/

/** Of a socket, and Node's and OpenSSL's codes of a certificate or a handshake that does not do. */
const TLS = /^(ENOENT|EACCES|EPROTO|ERR_(TLS|SSL)_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/

/** The connection is of no more use: it is about to end, leads to a server that takes no writes, or lost its place in the protocol. */
const OF_NO_USE = /^(08|57P|25006)/

/** Prepared statements are not where they were made, as behind a pooler that gives each transaction another server connection. */
const MISPLACED = /^(42P05|26000)$/

/** Translates what pg throws, at the edge of the room. What nobody foresaw stays as it is. */
export function toDatabaseError(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error)) return error
  const code = codeOf(error)
  for (const [pattern, appCode, message] of BY_SQLSTATE) {
    if (/^[0-9A-Z]{5}$/.test(code) && pattern.test(code)) return new AppError(appCode, message, { cause: error })
  }
  if (error instanceof pg.DatabaseError) {
    const refusal = refusalOfOwner(error)
    if (refusal !== null) return new AppError('CONFLICT', refusal, { cause: error })
  }
  // pg has no codes for these; the texts are those of pg 8 and pg-pool 3.
  if (error.message === 'timeout exceeded when trying to connect') {
    return new AppError('OVERLOADED', 'Every database connection is busy', { cause: error })
  }
  if (error.message === 'Query read timeout') {
    return new AppError('DATABASE_TIMEOUT', 'The database took too long', { cause: error })
  }
  if (
    NETWORK.test(code) ||
    TLS.test(code) ||
    /^(SASL|The server does not support SSL|Connection terminated|Client has encountered a connection error)/.test(
      error.message,
    )
  ) {
    return new AppError('DATABASE_UNAVAILABLE', 'The database cannot be reached', { cause: error })
  }
  return error
}

const OUR_TABLE = /^statelens_/
const OUR_CONSTRAINT = /^(statelens_|state_snapshots_(pkey|id|idempotency)$)/

/** What whoever owns the tables has set beside what is ours, in words; null where it is ours. */
function refusalOfOwner({ code = '', table = '', column, constraint }: pg.DatabaseError): string | null {
  if (code === 'P0001') return 'A trigger of the database refuses this'
  if (!code.startsWith('23') || OUR_TABLE.test(table)) return null
  if (code === '23502')
    return `The column ${column} of ${table} is required by its owner, and statelens gives it no value`
  if (constraint === undefined || OUR_CONSTRAINT.test(constraint)) return null
  return `The constraint ${constraint} of ${table} refuses this`
}

/** Whether a connection on which this happened must not be used again. Without a word of PostgreSQL it may still be busy. */
export function endsConnection(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || OF_NO_USE.test(codeOf(error)) || isMisplaced(error)
}

/** Whether the connection broke under what was asked on it; the server may be well, and may have done it. */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof pg.DatabaseError) return /^57P0[123]$/.test(codeOf(error))
  return /^(ECONNRESET|EPIPE)$/.test(codeOf(error)) || /^Connection terminated/.test(error.message)
}

/** Whether the connection leads to a server that takes no writes, as those beside it may. */
export function leadsAstray(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '25006'
}

/** For what is only noted: a database that takes no writes costs no reader what was found. */
export async function unlessReadOnly(noting: Promise<unknown>): Promise<void> {
  await noting.catch((error: unknown) => {
    if (!(error instanceof AppError && leadsAstray(error.cause))) throw error
  })
}

/** Whether what others hold was waited for too long, or in a circle. Nothing was done then. */
export function isHeldUp(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(55P03|40001|40P01)$/.test(codeOf(error))
}

/** Whether a prepared statement is not where it was made. It was not executed then. */
export function isMisplaced(error: unknown): boolean {
  return error instanceof pg.DatabaseError && MISPLACED.test(codeOf(error))
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}
