import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../../src/db/embedded/embedded.ts'
import { withDatabase } from '../database.ts'
import type { Service, TemplateDatabase } from '../services.ts'
import type { Host } from './host.ts'

/** Fast, and of no use after a crash of the machine. */
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  max_connections: '200',
  wal_level: 'logical',
}

/** Two runs may share a server: each one's databases carry its own name. */
const PREFIX = `statelens_test_${process.pid}_${Date.now().toString(36)}_`

/** The server of `TEST_DATABASE_URL`, or one of this run's own. */
export async function startPostgres(host: Host): Promise<Service> {
  const given = process.env['TEST_DATABASE_URL']
  if (given) {
    host.onStop(() => dropDatabases(given))
    return { url: given }
  }
  const server = await startEmbeddedPostgres({ dataDir: join(host.folder, 'postgres'), settings: SETTINGS })
  host.onStop(() => server.stop())
  if (host.signal.aborted) await server.stop()
  return { url: server.url }
}

export async function makeTemplate(kind: 'empty' | 'migrated', { url }: Service): Promise<TemplateDatabase> {
  const template = `${PREFIX}template_${kind}`
  await withClient(url, (client) => client.query(`CREATE DATABASE ${template} TEMPLATE template0 ENCODING 'UTF8'`))
  if (kind === 'migrated') {
    // Imported here, so that a migration that does not load fails the tests that need one, and no others.
    const { migrate } = await import('../../../src/db/migrate.ts')
    await migrate(withDatabase(url, template))
  }
  // A template that nobody can connect to can always be copied.
  await withClient(url, (client) => client.query(`ALTER DATABASE ${template} ALLOW_CONNECTIONS false`))
  return { url, template, strategy: await fastestCopy(url), prefix: PREFIX }
}

/** By blocks that are logged, the copies of a whole run are gigabytes that have to be written twice. */
async function fastestCopy(url: string): Promise<string> {
  let version = 0
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ version: number }>(
      "select current_setting('server_version_num')::int / 10000 as version",
    )
    version = rows[0]?.version ?? 0
  })
  return version < 15 ? '' : 'STRATEGY FILE_COPY'
}

async function dropDatabases(url: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      'SELECT datname FROM pg_database WHERE starts_with(datname, $1)',
      [PREFIX],
    )
    for (const { datname } of rows) await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`)
  })
}

async function withClient(url: string, use: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await use(client)
  } finally {
    await client.end()
  }
}
