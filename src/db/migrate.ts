import { Kysely, PostgresDialect } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import pg from 'pg'
import { toDatabaseError } from './errors.ts'
import * as firstTables from './migrations/0001-first-tables.ts'

/** In order; a migration that has landed is never edited. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-first-tables': firstTables,
}

export interface MigrationReport {
  /** Names of the migrations that this call applied. */
  readonly applied: readonly string[]
}

/**
 * Brings the database to this version's tables, in one transaction under a lock: several at once are safe, a second run
 * changes nothing.
 */
export async function migrate(url: string): Promise<MigrationReport> {
  return await withMigrator(url, async (migrator) => {
    const { error, results = [] } = await migrator.migrateToLatest()
    if (error) throw toDatabaseError(error)
    return { applied: results.map(({ migrationName }) => migrationName) }
  })
}

/** Names of the migrations that the database still lacks. */
export async function pendingMigrations(url: string): Promise<readonly string[]> {
  return await withMigrator(url, async (migrator) => {
    const known = await migrator.getMigrations().catch((error: unknown) => {
      throw toDatabaseError(error)
    })
    return known.filter(({ executedAt }) => !executedAt).map(({ name }) => name)
  })
}

async function withMigrator<T>(url: string, work: (migrator: Migrator) => Promise<T>): Promise<T> {
  // No statement timeout: an index on a large table takes what it takes.
  const pool = new pg.Pool({ connectionString: url, max: 2, connectionTimeoutMillis: 5000 })
  pool.on('error', () => {})
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await work(
      new Migrator({
        db,
        provider: { getMigrations: async () => MIGRATIONS },
        migrationTableName: 'statelens_migrations',
        migrationLockTableName: 'statelens_migrations_lock',
      }),
    )
  } finally {
    await db.destroy()
  }
}
