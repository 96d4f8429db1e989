import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { ask } from './services.ts'

export interface FreshDatabase extends AsyncDisposable {
  readonly url: string
  /** Ends whatever is connected, and drops the database; doing it twice is no error. */
  drop(): Promise<void>
}

/** By blocks that are logged, the copies of a whole run are gigabytes that have to be written twice. */
const FAST_COPY = ' STRATEGY FILE_COPY'

/** A database of the caller's own, `migrated` unless told: a copy of a template that is made once per run. */
export async function freshDatabase(
  options: { readonly template?: 'empty' | 'migrated' } = {},
): Promise<FreshDatabase> {
  const { url, template, prefix } = await ask(`${options.template ?? 'migrated'}-template`)
  const name = `${prefix}${randomUUID().replaceAll('-', '')}`
  await execute(url, (version) => `CREATE DATABASE ${name} TEMPLATE ${template}${version < 15 ? '' : FAST_COPY}`)
  const drop = () => execute(url, () => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  return { url: withDatabase(url, name), drop, [Symbol.asyncDispose]: drop }
}

/** The same server and user, another database. */
export function withDatabase(url: string, name: string): string {
  const result = new URL(url)
  result.pathname = `/${name}`
  return result.href
}

/** @param statement by the version of the server. */
async function execute(url: string, statement: (version: number) => string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ version: number }>(
      "select current_setting('server_version_num')::int / 10000 as version",
    )
    await client.query(statement(rows[0]?.version ?? 0))
  } finally {
    await client.end()
  }
}
