import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import type { Page, PageRequest } from '../../model/page.ts'
import type { Run } from '../../model/run.ts'
import { SNAPSHOT_FIELDS, type Snapshot } from '../../model/snapshot.ts'
import { STEP_FIELDS, type Step, type StepChange, type StepKey } from '../../model/step.ts'
import { defineColumns, parseJson } from '../columns.ts'
import type { Database, Rows } from '../connect.ts'
import { groupByParent, type List, type ListOrder, pageParts, pageReader, sliceParts } from '../keyset.ts'
import { defineStatement } from '../statements.ts'
import { projectRun } from './runs.ts'
import { projectSnapshot } from './snapshot-columns.ts'
import { joinDeleted, runs, snapshotsNotGone, stepsNotGone, stepsOf } from './sources.ts'

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

const STEP_ORDER: ListOrder = {
  key: [
    { expression: 'coalesce(t.step_index, 2147483647)', type: 'integer' },
    { expression: 't.ordinal', type: 'bigint' },
  ],
  direction: 'asc',
}

/** The steps of the run with this id, for which `joinDeleted` stands before. */
const stepList = (runId: RawBuilder<unknown>): List => ({
  alias: 't',
  ...STEP_ORDER,
  slice(slice) {
    const { bounds, order } = sliceParts(STEP_ORDER, slice)
    return sql`select * from ${stepsNotGone(runId)}${bounds} ${order} limit ${slice.limit}`
  },
})

/** The steps that exist, in any order; keys without a step are left out. */
export async function loadSteps(db: Rows, keys: readonly StepKey[], fields: Fields<Step>): Promise<Step[]> {
  const { columns, read } = projectStep(fields)
  const rows = await db.rows(sql`
    select ${columns} from unnest(${keys.map((key) => key.runId)}::text[], ${keys.map((key) => key.stepId)}::text[])
      as p(run_id, step_id) cross join lateral (select * from ${stepsOf(sql.raw('p.run_id'))} and t.step_id = p.step_id) t`)
  return rows.map((row) => read(row))
}

/** What is read of each step, and of its newest snapshot where that is wanted along with it. */
export interface StepFields {
  readonly step: Fields<Step>
  readonly newest: Fields<Snapshot> | null
}

/** One page for each run id, in that order, by one statement. */
export async function pageSteps(
  db: Rows,
  runIds: readonly string[],
  shape: Omit<RunWithStepsShape, 'run'>,
): Promise<Page<Step>[]> {
  const { select, from, order } = stepsBelow(sql.raw('p.run_id'), shape.page, shape.fields)
  const rows = await db.rows(sql`
    select p.position, ${select} from unnest(${runIds}::text[]) with ordinality as p(run_id, position)${from}
    order by p.position, ${order}`)
  return groupByParent(runIds.length, rows).map((group) => readSteps(shape, group, 1))
}

interface RunWithStepsShape {
  readonly page: PageRequest
  readonly fields: StepFields
  readonly run: Fields<Run>
}

/** A run with one page of its steps, by one statement; null when there is no such run. */
export async function loadRunWithSteps(
  db: Rows,
  runId: string,
  shape: RunWithStepsShape,
): Promise<{ readonly run: Run; readonly steps: Page<Step> } | null> {
  const { page, run } = shape
  const isFirstPage = page.after === null && page.before === null
  const rows = await db.rows(isFirstPage ? runWithFirstSteps(shape, { runId }) : runWithSteps(shape, runId))
  const [first] = rows
  if (!first) return null
  const ofRun = projectRun(run)
  return { run: ofRun.read(first), steps: readSteps(shape, rows, ofRun.width) }
}

const R_RUN_ID = sql.raw('r.run_id')

function runWithSteps({ page, fields, run }: RunWithStepsShape, runId: unknown): RawBuilder<unknown> {
  const { select, from, order } = stepsBelow(R_RUN_ID, page, fields)
  return sql`select ${projectRun(run).columns}, ${select}
    from (select * from ${runs()} and r.run_id = ${runId}) r${from} order by ${order}`
}

const runWithFirstSteps = defineStatement({
  values: ['runId'],
  keyOf: ({ page, fields, run }: RunWithStepsShape) =>
    `${run} ${fields.step} ${fields.newest} ${page.size} ${page.backward} ${page.wantsEnds} ${page.wantsTotal}`,
  build: (shape, { runId }) => runWithSteps(shape, runId),
  // Payloads of many runs at once would be much to hold.
  buildMany: (shape, { runId }) => (hasPayloads(shape) ? undefined : runsWithSteps(shape, runId)),
})

function runsWithSteps({ page, fields, run }: RunWithStepsShape, runIds: unknown): RawBuilder<unknown> {
  const { select, from, order } = stepsBelow(R_RUN_ID, page, fields)
  return sql`select p.position, ${projectRun(run).columns}, ${select}
    from unnest(${runIds}::text[]) with ordinality as p(run_id, position)
    cross join lateral (select * from ${runs()} and r.run_id = p.run_id) r${from} order by p.position, ${order}`
}

function hasPayloads({ fields: { newest } }: RunWithStepsShape): boolean {
  return newest !== null && (newest & SNAPSHOT_FIELDS.pick(['inlinePayload'])) !== 0
}

/** The parts of a statement that reads one page of the steps of a run, each with its newest snapshot if that is wanted. */
function stepsBelow(runId: RawBuilder<unknown>, request: PageRequest, fields: StepFields) {
  const page = pageParts(stepList(runId), request)
  const from = sql`${joinDeleted(runId)}${page.from}`
  const step = projectStep(fields.step)
  const newest = fields.newest === null ? null : projectSnapshot(fields.newest)
  return {
    select: newest
      ? sql`${page.select}, ${step.columns}, s.id, ${newest.columns}`
      : sql`${page.select}, ${step.columns}`,
    from: newest ? sql`${from} ${newestOf(runId)}` : from,
    order: page.order,
  }
}

/** Makes the page from such rows, in which its values begin at `at`. */
function readSteps(
  { page: request, fields }: Omit<RunWithStepsShape, 'run'>,
  rows: readonly (readonly unknown[])[],
  at: number,
): Page<Step> {
  const page = pageReader(request)
  const { items, ...ends } = page.read(rows, at)
  const stepAt = at + page.width
  const step = projectStep(fields.step)
  if (fields.newest === null) return { ...ends, items: items.map((row) => step.read(row, stepAt)) }
  const newest = projectSnapshot(fields.newest)
  const snapshotAt = stepAt + step.width
  return {
    ...ends,
    items: items.map((row) => {
      // Set, not copied: a large page has a thousand of them.
      const item: { newest?: Step['newest'] } & Step = step.read(row, stepAt)
      item.newest = row[snapshotAt] === null ? null : newest.read(row, snapshotAt + 1)
      return item
    }),
  }
}

/** Joins the newest snapshot `s` of the step `t`, if it has one. */
const newestOf = (runId: RawBuilder<unknown>) => sql`left join lateral (
  select * from ${snapshotsNotGone(runId)} and s.step_id = t.step_id order by s.seq desc limit 1
) s on true`

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
  const named = Object.entries(values).filter(([, value]) => value !== undefined)
  const names = sql.join(['run_id', 'step_id', ...named.map(([name]) => name)].map((name) => sql.raw(name)))
  // Where nothing is named, it is a sign of life all the same, and the row is read back.
  const changes = named.map(([name]) => `${name} = excluded.${name}, `)
  const { columns, read } = projectStep(STEP_FIELDS.all)
  return await db.kysely.transaction().execute(async (tx) => {
    await holdRun(runId).execute(tx)
    await tx
      .insertInto('statelens_runs')
      .values({ run_id: runId })
      .onConflict((c) => c.doNothing())
      .execute()
    const { rows } = await sql<object>`
      insert into statelens_steps as t (${names}) values (${sql.join([runId, stepId, ...named.map(([, value]) => value)])})
      on conflict (run_id, step_id) do update set ${sql.raw(changes.join(''))}updated_at = now()
      returning ${columns}`.execute(tx)
    return read(Object.values(rows[0] ?? {}))
  })
}

/** A step all of whose fields are told at once, as it is when it has ended. */
export interface WholeStep
  extends StepKey,
    Pick<Step, 'name' | 'kind' | 'status' | 'startedAt' | 'endedAt' | 'error'> {}

/** Creates the steps, and changes those that are there, by two statements whatever their number; of several by one key the last counts. */
export async function upsertSteps(db: Database, steps: readonly WholeStep[]): Promise<void> {
  // In one order, so that two who change the same ones wait for each other and not in a circle.
  const byKey = new Map(steps.map((step) => [`${step.runId}\n${step.stepId}`, step]))
  const runIds = [...new Set(steps.map(({ runId }) => runId))].sort()
  const list = (read: (step: WholeStep) => string | null) => [...byKey.values()].map(read)
  await db.kysely.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock_shared(hashtextextended(run_id, 0)) from unnest(${runIds}::text[]) as run_id`.execute(
      tx,
    )
    await sql`
      with run as (
        insert into statelens_runs (run_id) select unnest(${runIds}::text[]) order by 1 on conflict do nothing
      )
      insert into statelens_steps as t (run_id, step_id, name, kind, status, started_at, ended_at, error)
      select * from unnest(
        ${list(({ runId }) => runId)}::text[], ${list(({ stepId }) => stepId)}::text[], ${list(({ name }) => name)}::text[],
        ${list(({ kind }) => kind)}::text[], ${list(({ status }) => status)}::text[],
        ${list(({ startedAt }) => startedAt)}::timestamptz[], ${list(({ endedAt }) => endedAt)}::timestamptz[],
        ${list(({ error }) => error && JSON.stringify(error))}::jsonb[])
      on conflict (run_id, step_id) do update set name = excluded.name, kind = excluded.kind, status = excluded.status,
        started_at = excluded.started_at, ended_at = excluded.ended_at, error = excluded.error,
        updated_at = now()`.execute(tx)
  })
}

/** Keeps the run from being deleted until the transaction ends, whether its row is there yet or not. */
function holdRun(runId: string) {
  return sql`select pg_advisory_xact_lock_shared(hashtextextended(${runId}, 0))`
}
