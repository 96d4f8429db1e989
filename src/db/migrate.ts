import { Kysely, PostgresDialect } from 'kysely'
import { AppError } from '../errors.ts'
import { holdMigration } from './adoption/hold.ts'
import { inspectSnapshotTable, inspectStepTable, type SnapshotTable, type StepTableState } from './adoption/inspect.ts'
import { findObstacles, type Obstacles, tryUpdate } from './adoption/obstacles.ts'
import { LOCK_MILLIS, type Waiting, withBriefLock } from './adoption/session.ts'
import { analyze, remainingSteps } from './adoption/steps.ts'
import { toDatabaseError } from './errors.ts'
import { applyMigrations, besideTheTable, missingMigrations } from './migrator.ts'
import { createPool, forKysely, type Limits, type Pool, type PoolOptions } from './pool.ts'

export interface MigrationReport {
  /** What this call did, in order: names of migrations, then what an old table needed beside them. */
  readonly applied: readonly string[]
}

/** What `migrate` would do, and what it found. */
export interface MigrationPlan {
  readonly pending: readonly string[]
  /** The table of snapshots as it is; null in an empty database. */
  readonly table: SnapshotTable | null
  /** Why it cannot be done; empty when it can. */
  readonly problems: readonly string[]
  /** What whoever does it should know. */
  readonly notes: readonly string[]
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
export async function migrate(
  url: string,
  { onProgress, signal: stopped }: MigrateOptions = {},
): Promise<MigrationReport> {
  const begin = (step: string) => onProgress?.({ step, done: 0, total: 0 })
  return await withPool(
    { url, limits: MIGRATING, session: [besideTheTable('session'), ...UNLIMITED] },
    async (pool) => {
      const hold = await holdMigration(pool, { onWait: begin, signal: stopped })
      const { signal } = hold
      try {
        const waiting = { signal, onBlocked: hold.tellBlockers }
        return await withKysely(
          pool,
          (db) => bringUp(db, { begin, waiting, onProgress, isPooled: pool.pooler.isThere === true }),
          signal,
        )
      } catch (error) {
        throw signal.aborted ? signal.reason : error
      } finally {
        await hold.release()
      }
    },
  )
}

interface BringUp extends Pick<MigrateOptions, 'onProgress'> {
  readonly begin: (step: string) => void
  readonly waiting: Waiting
  readonly isPooled: boolean
}

async function bringUp(
  db: Kysely<unknown>,
  { begin, waiting, onProgress, isPooled }: BringUp,
): Promise<MigrationReport> {
  const applied: string[] = []
  const { migrations, table, steps: planned } = await readPending(db, { isThorough: true })
  if (migrations.length === 0 && planned.length === 0) return { applied }
  const { problems } = await findObstacles(db, table, isPooled)
  if (problems.length > 0) throw new AppError('CONFLICT', [REFUSED, ...problems].join('\n  - '))
  if (migrations.length > 0) begin(migrations.join(', '))
  const before = table?.isAdopted && !table.isComplete ? tryUpdate : undefined
  applied.push(...(await withBriefLock(() => applyMigrations(db, before), waiting)))
  const steps = await remainingSteps(db, await inspectSnapshotTable(db), { isThorough: true })
  await db.connection().execute(async (session) => {
    for (const step of steps) {
      waiting.signal?.throwIfAborted()
      begin(step.name)
      const tell = (done: number, total: number) => onProgress?.({ step: step.name, done, total })
      await step.run(session, { onProgress: tell, ...waiting })
      applied.push(step.name)
    }
    if (steps.length > 0) await analyze(session)
  })
  return { applied }
}

/** Reads what is there and what is to be done, and changes nothing. */
export async function planMigration(url: string, limits: Limits = MIGRATING): Promise<MigrationPlan> {
  return await withDatabase(url, limits, async (db, { pooler }) => {
    const { migrations, steps, table } = await readPending(db, { isThorough: true })
    const pending = [...migrations, ...steps.map(({ name }) => name)]
    const found = pending.length === 0 ? NONE : await findObstacles(db, table, pooler.isThere === true)
    return { pending, table, ...found, stepTable: await inspectStepTable(db) }
  })
}

/**
 * What the database still lacks before a server of this version can use it.
 * @throws AppError `CONFLICT` when it is that of a newer version.
 */
export async function pendingMigrations(url: string, limits: Limits = MIGRATING): Promise<readonly string[]> {
  return await withDatabase(url, limits, async (db) => {
    const { migrations, steps } = await readPending(db)
    return [...migrations, ...steps.filter(({ isOptional }) => !isOptional).map(({ name }) => name)]
  })
}

async function readPending(db: Kysely<unknown>, options?: { readonly isThorough?: boolean }) {
  const migrations = await missingMigrations(db)
  const table = await inspectSnapshotTable(db)
  return { migrations, steps: await remainingSteps(db, table, options), table }
}

const NONE: Obstacles = { problems: [], notes: [] }
const REFUSED = 'The database cannot be migrated as it is; nothing was changed.'

/** Whatever the role has set: an index on a large table takes what it takes, and this waits idle for others. */
const UNLIMITED = [
  `select set_config(name, '0', false) from pg_settings where name in ('statement_timeout', 'idle_session_timeout',
    'idle_in_transaction_session_timeout', 'transaction_timeout')`,
]

const MIGRATING: Limits = {
  connectionTimeoutMillis: 5000,
  statement_timeout: 0,
  lock_timeout: LOCK_MILLIS,
  idle_in_transaction_session_timeout: 0,
}

async function withDatabase<T>(
  url: string,
  limits: Limits,
  work: (db: Kysely<unknown>, pool: Pool) => Promise<T>,
): Promise<T> {
  return await withPool({ url, limits, session: [besideTheTable('session')] }, (pool) =>
    withKysely(pool, (db) => work(db, pool)),
  )
}

async function withPool<T>(options: Omit<PoolOptions, 'max'>, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = createPool({ ...options, max: 4, applicationName: 'statelens migrate' })
  try {
    return await work(pool)
  } catch (error) {
    throw toDatabaseError(error)
  } finally {
    await pool.end()
  }
}

async function withKysely<T>(pool: Pool, work: (db: Kysely<unknown>) => Promise<T>, signal?: AbortSignal): Promise<T> {
  return await work(
    new Kysely<unknown>({
      dialect: new PostgresDialect({ pool: forKysely(pool, { signal, translate: (error) => error }) }),
    }),
  )
}
