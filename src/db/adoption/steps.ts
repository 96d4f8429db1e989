import { type Kysely, sql } from 'kysely'
import { completeRows, followSteps, type StepOptions } from './backfill.ts'
import { createIndex, missingConstraints, missingIndexes, requireColumn, vacuum } from './finish.ts'
import { inspectStepTable, type SnapshotTable } from './inspect.ts'
import { run } from './session.ts'

/** One thing that is left to do after the migrations, each safe to break off and to begin again. */
export interface AdoptionStep {
  /** In words. */
  readonly name: string
  /** Whether the server does without it. */
  readonly isOptional?: boolean
  run(db: Kysely<unknown>, options: StepOptions): Promise<void>
}

/**
 * What a table that the old system made still lacks, in order; empty for one that is complete, was made here, or is not there yet.
 * Read from the catalog alone.
 */
export async function adoptionSteps(
  db: Kysely<unknown>,
  table: SnapshotTable | null,
): Promise<readonly AdoptionStep[]> {
  if (!table?.isAdopted) return []
  const steps: AdoptionStep[] = []
  const columns = await missingConstraints(db, table)
  // A number is required of a row as soon as all have one.
  if (columns.includes('seq')) {
    steps.push({ name: 'complete the rows that are there', run: completeRows })
    steps.push({ name: 'free the space of the rows as they were', run: vacuum })
  }
  if ((await inspectStepTable(db)) === 'new') {
    steps.push({ name: 'take over workflow_steps', isOptional: true, run: followSteps })
  }
  for (const column of columns) {
    steps.push({
      name: `require ${column} of every row`,
      run: (session, { signal }) => requireColumn(session, column, signal),
    })
  }
  for (const name of await missingIndexes(db)) {
    steps.push({ name: `make the index ${name}`, run: (session) => createIndex(session, name) })
  }
  return steps
}

/** For the planner, once rows and indexes have changed. */
export async function analyze(db: Kysely<unknown>): Promise<void> {
  for (const table of ['state_snapshots', 'statelens_runs', 'statelens_steps']) await run(db, `analyze ${table}`)
}

/** Keeps a second migration waiting until this one is done, or waits for the first. */
export async function holdMigration(db: Kysely<unknown>, onWait: () => void): Promise<void> {
  const lock = sql`hashtextextended('statelens migrate', 0)`
  const { rows } = await sql<{ isHeld: boolean }>`select pg_try_advisory_lock(${lock}) as "isHeld"`.execute(db)
  if (rows[0]?.isHeld) return
  onWait()
  await run(db, 'set lock_timeout = 0')
  await sql`select pg_advisory_lock(${lock})`.execute(db)
}
