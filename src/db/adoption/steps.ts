import type { Kysely } from 'kysely'
import { createIndex, missingIndexes } from '../indexes.ts'
import { completeReplicated, hasStrayRuns, lacksReplicated } from '../replicated-rows.ts'
import { indexTags, lacksTags } from '../run-tags.ts'
import { completeRows, followSteps, type StepOptions } from './backfill.ts'
import { missingConstraints, requireColumn, vacuum } from './finish.ts'
import { inspectStepTable, type SnapshotTable } from './inspect.ts'
import { run } from './session.ts'

/** One thing that is left to do after the migrations, each safe to break off and to begin again. */
export interface RemainingStep {
  /** In words. */
  readonly name: string
  /** Whether the server does without it. */
  readonly isOptional?: boolean
  run(db: Kysely<unknown>, options: StepOptions): Promise<void>
}

/**
 * What tables with rows in them still lack, in order; empty where all is there, and in an empty database. Little is read beside the
 * catalog; thoroughly, one row of each run.
 */
export async function remainingSteps(
  db: Kysely<unknown>,
  table: SnapshotTable | null,
  { isThorough = false }: { readonly isThorough?: boolean } = {},
): Promise<readonly RemainingStep[]> {
  if (!table) return []
  const steps = table.isAdopted ? await adoptionSteps(db, table) : []
  const completesAll = steps.some((step) => step.run === completeRows)
  if (!completesAll && ((await lacksReplicated(db)) || (isThorough && (await hasStrayRuns(db))))) {
    steps.push({ name: 'complete the rows that came past the triggers', isOptional: true, run: completeReplicated })
  }
  if (await lacksTags(db)) steps.push({ name: 'index the tags of the runs that are there', run: indexTags })
  for (const index of await missingIndexes(db, table)) {
    steps.push({ name: `make the index ${index.name}`, run: (session) => createIndex(session, index) })
  }
  return steps
}

/** What a table that the old system made lacks beside indexes. */
async function adoptionSteps(db: Kysely<unknown>, table: SnapshotTable): Promise<RemainingStep[]> {
  const steps: RemainingStep[] = []
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
      run: (session, waiting) => requireColumn(session, column, waiting),
    })
  }
  return steps
}

/** For the planner, once rows and indexes have changed. */
export async function analyze(db: Kysely<unknown>): Promise<void> {
  const tables = ['state_snapshots', 'statelens_runs', 'statelens_steps', 'statelens_run_tags']
  for (const table of tables) await run(db, `analyze ${table}`)
}
