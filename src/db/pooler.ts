import pg from 'pg'

/**
 * What is known of a pooler, such as PgBouncer, between here and PostgreSQL. One that gives each transaction another connection keeps
 * neither settings nor prepared statements; one that does not is used in the same way.
 */
export interface Pooler {
  /** Undefined until the first connection told. */
  isThere?: boolean
}

export function createPooler(): Pooler {
  return {}
}

/** What PostgreSQL takes when a connection starts, and no pooler hands on. */
export const LIMITS = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'] as const

/** Whether a connection was refused for what it brought: 08P01 says PgBouncer, 0A000 Amazon's proxy. */
export function isLimitRefused(error: unknown): boolean {
  return error instanceof pg.DatabaseError && (error.code === '08P01' || error.code === '0A000')
}

/** A limit that PostgreSQL did not get was swallowed on the way. */
export async function lookForPooler(client: pg.ClientBase, pooler: Pooler): Promise<void> {
  if (pooler.isThere !== undefined) return
  const { lock_timeout: told } = limitsOf(client)
  const { rows } = await client.query<{ millis: string }>(
    "select setting as millis from pg_settings where name = 'lock_timeout'",
  )
  pooler.isThere ??= told > 0 && Number(rows[0]?.millis) !== told
}

/** As they were meant, URL included; 0 for none. */
export function limitsOf(client: pg.ClientBase): Readonly<Record<(typeof LIMITS)[number], number>> {
  const { connectionParameters: parameters } = client as unknown as { connectionParameters: Record<string, unknown> }
  const [statement_timeout, lock_timeout, idle_in_transaction_session_timeout] = LIMITS.map((name) =>
    Number.parseInt(String(parameters[name] || 0), 10),
  ) as [number, number, number]
  return { statement_timeout, lock_timeout, idle_in_transaction_session_timeout }
}

/** Behind a pooler the limits hold for one transaction, and come with its beginning. */
export function beginOf(client: pg.ClientBase, text: string): string {
  if (!/^(begin|start transaction)\b/i.test(text)) return text
  const limits = Object.entries(limitsOf(client)).map(([name, millis]) => `set local ${name} = ${millis}`)
  return [text, ...limits].join('; ')
}
