import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import { type Page, type PageRequest, toPage } from '../../model/page.ts'
import type { Run } from '../../model/run.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { STEP_FIELDS, type Step, type StepChange, type StepKey } from '../../model/step.ts'
import { defineColumns, parseJson } from '../columns.ts'
import type { Database } from '../connect.ts'
import { groupByParent, type KeyColumn, keyset } from '../keyset.ts'
import { projectRun } from './runs.ts'
import { projectSnapshot } from './snapshot-columns.ts'
import { NEWEST_OF_STEP } from './snapshots.ts'

/** Columns of the table `statelens_steps t`. */
export const projectStep = defineColumns<Step>(STEP_FIELDS, {
  runId: { expression: 't.run_id' },
  stepId: { expression: 't.step_id' },
  index: { expression: 't.step_index' },
  name: { expression: 't.name' },
  kind: { expression: 't.kind' },
  status: { expression: 't.status' },
  attempt: { expression: 't.attempt' },
  startedAt: { expression: 't.started_at' },
  endedAt: { expression: 't.ended_at' },
  error: { expression: 't.error', parse: parseJson },
  ordinal: { expression: 't.ordinal' },
})

const KEY: readonly KeyColumn[] = [
  { expression: 'coalesce(t.step_index, 2147483647)', type: 'integer' },
  { expression: 't.ordinal', type: 'bigint' },
]

/** The steps that exist, in any order; keys without a step are left out. */
export async function loadSteps(db: Database, keys: readonly StepKey[], fields: Fields<Step>): Promise<Step[]> {
  const { columns, read } = projectStep(fields)
  const rows = await db.rows(sql`
    select ${columns} from unnest(${keys.map((key) => key.runId)}::text[], ${keys.map((key) => key.stepId)}::text[])
      as p(run_id, step_id) join statelens_steps t on t.run_id = p.run_id and t.step_id = p.step_id`)
  return rows.map((row) => read(row))
}

/** What is read of each step, and of its newest snapshot where that is wanted along with it. */
export interface StepFields {
  readonly step: Fields<Step>
  readonly newest: Fields<Snapshot> | null
}

/** One page for each run id, in that order, by one statement. */
export async function pageSteps(
  db: Database,
  runIds: readonly string[],
  { page, fields }: { readonly page: PageRequest; readonly fields: StepFields },
): Promise<Page<Step>[]> {
  const { select, from, order, read } = stepsBelow(sql`p.run_id`, page, fields)
  const rows = await db.rows(sql`
    select p.position, ${select} from unnest(${runIds}::text[]) with ordinality as p(run_id, position)
    cross join lateral ${from} order by p.position, ${order}`)
  return groupByParent(runIds.length, rows).map((group) => read(group, 1))
}

/** A run with one page of its steps, by one statement; null when there is no such run. */
export async function loadRunWithSteps(
  db: Database,
  runId: string,
  { page, fields, run }: { readonly page: PageRequest; readonly fields: StepFields; readonly run: Fields<Run> },
): Promise<{ readonly run: Run; readonly steps: Page<Step> } | null> {
  const ofRun = projectRun(run)
  const { select, from, order, read } = stepsBelow(sql`r.run_id`, page, fields)
  const rows = await db.rows(sql`
    select ${ofRun.columns}, t.ordinal, ${select} from statelens_runs r left join lateral ${from} on true
    where r.run_id = ${runId} order by ${order}`)
  const [first] = rows
  if (!first) return null
  // A run without steps is one row in which the step is null.
  const steps = rows.filter((row) => row[ofRun.width] !== null)
  return { run: ofRun.read(first), steps: read(steps, ofRun.width + 1) }
}

/** The parts of a statement that reads one page of the steps of a run, each with its newest snapshot if that is wanted. */
function stepsBelow(runId: RawBuilder<unknown>, request: PageRequest, fields: StepFields) {
  const { bounds, order, orderColumns, limit } = keyset(KEY, request)
  const step = projectStep(fields.step)
  const newest = fields.newest === null ? null : projectSnapshot(fields.newest)
  return {
    select: newest ? sql`${step.columns}, s.id, ${newest.columns}` : step.columns,
    from: sql`(
      select * from statelens_steps t where t.run_id = ${runId}${bounds} ${order} limit ${limit}
    ) t${newest ? sql` ${NEWEST_OF_STEP}` : sql``}`,
    order: orderColumns,
    read(rows: readonly (readonly unknown[])[], at: number): Page<Step> {
      const page = toPage(rows, request)
      if (!newest) return { ...page, items: page.items.map((row) => step.read(row, at)) }
      const snapshotAt = at + step.width
      const items = page.items.map((row) => {
        // Set, not copied: a large page has a thousand of them.
        const item: { newest?: Step['newest'] } & Step = step.read(row, at)
        item.newest = row[snapshotAt] === null ? null : newest.read(row, snapshotAt + 1)
        return item
      })
      return { ...page, items }
    },
  }
}

/** Creates the step and its run where they are not there yet, or changes only the fields that are named. */
export async function upsertStep(db: Database, change: StepChange): Promise<Step> {
  const { runId, stepId } = change
  const values = {
    step_index: change.index,
    name: change.name,
    kind: change.kind,
    status: change.status === null ? 'UNKNOWN' : change.status,
    attempt: change.attempt === null ? 1 : change.attempt,
    started_at: change.startedAt,
    ended_at: change.endedAt,
    error: change.error ? JSON.stringify(change.error) : change.error,
  } as const
  const named = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
  await db.kysely.transaction().execute(async (tx) => {
    await holdRun(runId).execute(tx)
    await tx
      .insertInto('statelens_runs')
      .values({ run_id: runId })
      .onConflict((c) => c.doNothing())
      .execute()
    await tx
      .insertInto('statelens_steps')
      .values({ run_id: runId, step_id: stepId, ...named })
      .onConflict((conflict) =>
        Object.keys(named).length
          ? conflict.columns(['run_id', 'step_id']).doUpdateSet(named)
          : conflict.columns(['run_id', 'step_id']).doNothing(),
      )
      .execute()
  })
  const [step] = await loadSteps(db, [{ runId, stepId }], STEP_FIELDS.all)
  if (!step) throw new Error('a step that was just written is gone')
  return step
}

/** Keeps the run from being deleted until the transaction ends, whether its row is there yet or not. */
export function holdRun(runId: string) {
  return sql`select pg_advisory_xact_lock_shared(hashtextextended(${runId}, 0))`
}
