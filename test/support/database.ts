import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { ask } from './services.ts'

export interface FreshDatabase extends AsyncDisposable {
  readonly url: string
  /** Ends whatever is connected, and drops the database; doing it twice is no error. */
  drop(): Promise<void>
}

/** A database of the caller's own, `migrated` unless told: a copy of a template that is made once per run. */
export async function freshDatabase(
  options: { readonly template?: 'empty' | 'migrated' } = {},
): Promise<FreshDatabase> {
  const { url, template, strategy, prefix } = await ask(`${options.template ?? 'migrated'}-template`)
  const name = `${prefix}${randomUUID().replaceAll('-', '')}`
  await execute(url, `CREATE DATABASE ${name} TEMPLATE ${template} ${strategy}`)
  const drop = () => execute(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  return { url: withDatabase(url, name), drop, [Symbol.asyncDispose]: drop }
}

/** The same server and user, another database. */
export function withDatabase(url: string, name: string): string {
  const result = new URL(url)
  result.pathname = `/${name}`
  return result.href
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
