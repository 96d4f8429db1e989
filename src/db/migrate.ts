import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { AppError } from '../errors.ts'
import { inspectSnapshotTable, inspectStepTable, type SnapshotTable, type StepTableState } from './adoption/inspect.ts'
import { LOCK_MILLIS, withBriefLock } from './adoption/session.ts'
import { analyze, holdMigration, remainingSteps } from './adoption/steps.ts'
import { toDatabaseError } from './errors.ts'
import { JsonBytesClient } from './json-bytes.ts'
import { applyMigrations, missingMigrations } from './migrator.ts'

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
 * @throws AppError `CONFLICT` when a table is in the way that is not known, or the database is that of a newer version; `DATABASE_UNAVAILABLE`, `DATABASE_TIMEOUT` when
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
        const migrations = await missingMigrations(db)
        refuseUnknownTable(await inspectSnapshotTable(db))
        if (migrations.length > 0) begin(migrations.join(', '))
        applied.push(...(await withBriefLock(() => applyMigrations(db), signal)))
        const steps = await remainingSteps(db, await inspectSnapshotTable(db))
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
    [WITHOUT_TIMEOUT],
  )
}

/** Reads what is there and what is to be done, and changes nothing. */
export async function planMigration(url: string): Promise<MigrationPlan> {
  return await withDatabase(url, async (db) => {
    const { migrations, steps, table } = await readPending(db)
    return { pending: [...migrations, ...steps.map(({ name }) => name)], table, stepTable: await inspectStepTable(db) }
  })
}

/**
 * What the database still lacks before a server of this version can use it.
 * @throws AppError `CONFLICT` when it is that of a newer version.
 */
export async function pendingMigrations(url: string): Promise<readonly string[]> {
  return await withDatabase(url, async (db) => {
    const { migrations, steps } = await readPending(db)
    return [...migrations, ...steps.filter(({ isOptional }) => !isOptional).map(({ name }) => name)]
  })
}

async function readPending(db: Kysely<unknown>) {
  const migrations = await missingMigrations(db)
  const table = await inspectSnapshotTable(db)
  return { migrations, steps: await remainingSteps(db, table), table }
}

function refuseUnknownTable(table: SnapshotTable | null): void {
  if (!table || table.problems.length === 0) return
  throw new AppError('CONFLICT', ['The table state_snapshots cannot be adopted.', ...table.problems].join('\n  - '))
}

/** What belongs to a table of the old system is made beside it, wherever the search path finds it. */
const BESIDE_THE_TABLE = `select set_config('search_path', quote_ident(nspname) || ', ' || current_setting('search_path'), false)
  from pg_class c join pg_namespace n on n.oid = relnamespace
  where c.oid = to_regclass('state_snapshots') and nspname is distinct from current_schema()`

/** Whatever the role has set: an index on a large table takes what it takes. */
const WITHOUT_TIMEOUT = 'set statement_timeout = 0'

/** Connections with a short time for locks. */
async function withDatabase<T>(
  url: string,
  work: (db: Kysely<unknown>) => Promise<T>,
  settings: readonly string[] = [],
): Promise<T> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 3,
    Client: JsonBytesClient as unknown as typeof pg.Client,
    connectionTimeoutMillis: 5000,
    lock_timeout: LOCK_MILLIS,
    keepAlive: true,
    application_name: 'statelens migrate',
    onConnect: async (client) => {
      for (const statement of [BESIDE_THE_TABLE, ...settings]) await client.query(statement)
    },
  })
  // Without a listener the loss of a connection would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  try {
    return await work(db)
  } catch (error) {
    throw toDatabaseError(error)
  } finally {
    await db.destroy()
  }
}
