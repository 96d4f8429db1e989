import { Kysely, PostgresDialect } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import pg from 'pg'
import { AppError } from '../errors.ts'
import { inspectSnapshotTable, inspectStepTable, type SnapshotTable, type StepTableState } from './adoption/inspect.ts'
import { LOCK_MILLIS, withBriefLock } from './adoption/session.ts'
import { adoptionSteps, analyze, holdMigration } from './adoption/steps.ts'
import { toDatabaseError } from './errors.ts'
import * as firstTables from './migrations/0001-first-tables.ts'
import * as rowsOfOldWriters from './migrations/0002-rows-of-old-writers.ts'
import * as uploads from './migrations/0003-uploads.ts'
import * as storedBytes from './migrations/0004-stored-bytes.ts'

/** In order; a migration that has landed is never edited. */
const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001-first-tables': firstTables,
  '0002-rows-of-old-writers': rowsOfOldWriters,
  '0003-uploads': uploads,
  '0004-stored-bytes': storedBytes,
}

export interface MigrationReport {
  /** What this call did, in order: names of migrations, then what an old table needed beside them. */
  readonly applied: readonly string[]
}

/** What `migrate` would do, and what it found. */
export interface MigrationPlan {
  readonly pending: readonly string[]
  /** The table of snapshots as it is; null in an empty database. */
  readonly table: SnapshotTable | null
  /** The old system's table of steps. */
  readonly stepTable: StepTableState
}

export interface MigrateOptions {
  /** Told before each thing that is done, and of what takes long as it comes along. */
  readonly onProgress?: (progress: MigrationProgress) => void
  /** Ends it where it can go on the next time. */
  readonly signal?: AbortSignal
}

export interface MigrationProgress {
  readonly step: string
  /** Rows or pages; both 0 where only the beginning and the end are known. */
  readonly done: number
  readonly total: number
}

/**
 * Brings the database to this version's tables; a table of the old system is adopted, while others write to it. Several at once are
 * safe, a second run changes nothing, and one that was broken off goes on where it ended.
 * @throws AppError `CONFLICT` when a table is in the way that is not known; `DATABASE_UNAVAILABLE`, `DATABASE_TIMEOUT` when
 * a lock cannot be had.
 */
export async function migrate(url: string, { onProgress, signal }: MigrateOptions = {}): Promise<MigrationReport> {
  const applied: string[] = []
  const begin = (step: string) => onProgress?.({ step, done: 0, total: 0 })
  return await withDatabase(
    url,
    async (db) =>
      await db.connection().execute(async (holder) => {
        await holdMigration(holder, () => begin('wait for another migration to end'))
        refuseUnknownTable(await inspectSnapshotTable(db))
        const migrations = await missingMigrations(db)
        if (migrations.length > 0) begin(migrations.join(', '))
        applied.push(...(await withBriefLock(() => applyMigrations(db), signal)))
        const steps = await adoptionSteps(db, await inspectSnapshotTable(db))
        await db.connection().execute(async (session) => {
          for (const step of steps) {
            signal?.throwIfAborted()
            begin(step.name)
            const tell = (done: number, total: number) => onProgress?.({ step: step.name, done, total })
            await step.run(session, { onProgress: tell, signal })
            applied.push(step.name)
          }
          if (steps.length > 0) await analyze(session)
        })
        return { applied }
      }),
  )
}

/** Reads what is there and what is to be done, and changes nothing. */
export async function planMigration(url: string): Promise<MigrationPlan> {
  return await withDatabase(url, async (db) => {
    const { migrations, steps, table } = await readPending(db)
    return { pending: [...migrations, ...steps.map(({ name }) => name)], table, stepTable: await inspectStepTable(db) }
  })
}

/** What the database still lacks before a server of this version can use it. */
export async function pendingMigrations(url: string): Promise<readonly string[]> {
  return await withDatabase(url, async (db) => {
    const { migrations, steps } = await readPending(db)
    return [...migrations, ...steps.filter(({ isOptional }) => !isOptional).map(({ name }) => name)]
  })
}

async function readPending(db: Kysely<unknown>) {
  const table = await inspectSnapshotTable(db)
  return { migrations: await missingMigrations(db), steps: await adoptionSteps(db, table), table }
}

async function missingMigrations(db: Kysely<unknown>): Promise<readonly string[]> {
  const known = await createMigrator(db).getMigrations()
  return known.filter(({ executedAt }) => !executedAt).map(({ name }) => name)
}

/** All of them in one transaction. */
async function applyMigrations(db: Kysely<unknown>): Promise<readonly string[]> {
  const { error, results = [] } = await createMigrator(db).migrateToLatest()
  if (error) throw error
  return results.map(({ migrationName }) => migrationName)
}

function refuseUnknownTable(table: SnapshotTable | null): void {
  if (!table || table.problems.length === 0) return
  throw new AppError('CONFLICT', ['The table state_snapshots cannot be adopted.', ...table.problems].join('\n  - '))
}

function createMigrator(db: Kysely<unknown>): Migrator {
  return new Migrator({
    db,
    provider: { getMigrations: async () => MIGRATIONS },
    migrationTableName: 'statelens_migrations',
    migrationLockTableName: 'statelens_migrations_lock',
  })
}

/** Connections without a statement timeout, since an index on a large table takes what it takes, but with a short one for locks. */
async function withDatabase<T>(url: string, work: (db: Kysely<unknown>) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 3,
    connectionTimeoutMillis: 5000,
    lock_timeout: LOCK_MILLIS,
    application_name: 'statelens migrate',
  })
  pool.on('error', () => {})
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await work(db)
  } catch (error) {
    throw toDatabaseError(error)
  } finally {
    await db.destroy()
  }
}
