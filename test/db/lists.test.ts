import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { pageRuns } from '../../src/db/queries/run-lists.ts'
import { pageSnapshots } from '../../src/db/queries/snapshot-lists.ts'
import { pageSteps } from '../../src/db/queries/steps.ts'
import type { Page, PageRequest } from '../../src/model/page.ts'
import { RUN_FIELDS, RUN_ORDERS, RUN_STATUSES, type Run, type RunFilter } from '../../src/model/run.ts'
import {
  SNAPSHOT_KINDS,
  SNAPSHOT_METADATA,
  SNAPSHOT_ORDERS,
  type Snapshot,
  type SnapshotFilter,
  STORAGE_TIERS,
  storageTierOf,
} from '../../src/model/snapshot.ts'
import { STEP_FIELDS, stepPosition } from '../../src/model/step.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { query } from '../support/rows.ts'

/*
 * Pages of every list against the same pages of all its items, filtered and cut here: for filters of every kind and together, and
 * for cursors of items that are there, that were deleted, or that the filter does not let through.
 */

const RUNS = 60
const SNAPSHOTS = 90
const STEPS = 40
const RUN = 'run 0'

const at = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`
const WHOLE: PageRequest = { size: 1000, backward: false, after: null, before: null, wantsEnds: true, wantsTotal: true }

/** Runs whose texts begin alike, whose tags come together or apart, and of which several share a moment. */
const FILL_RUNS = `
  insert into statelens_runs (run_id, workflow_name, status, created_at, parent_run_id, error, tags)
  select 'run ' || i, case when i % 7 > 0 then 'work ' || i % 3 end, (array['FAILED','TIMED_OUT','SUCCEEDED','RUNNING'])[1 + i * i % 4],
    timestamptz '2026-01-01Z' + i % 23 * interval '1 second', case when i % 5 = 0 then 'run 1' end,
    case when i % 11 = 3 then '{"message":"lost"}'::json end,
    (select coalesce(jsonb_agg(jsonb_build_object('key', k, 'value', 'on')), '[]') from unnest('{a,b,c}'::text[]) with ordinality as t(k, n)
      where i % (n + 1) = 0)
  from generate_series(0, $1::int - 1) i`

/** Snapshots whose times do not always rise with their numbers. */
const FILL_SNAPSHOTS = `
  insert into state_snapshots (run_id, step_id, kind, is_golden, is_success_state, storage_uri, reads_inline, snapshot, request_digest, created_at)
  select 'run 0', case when i % 4 > 0 then 'step ' || i % 4 end, (array['INPUT','CHECKPOINT','CHECKPOINT','OUTPUT','ERROR'])[1 + i % 5],
    i % 13 = 0, case when i % 3 > 0 then i % 2 = 0 end, case when i % 4 = 1 then 'file:///x' end, i % 8 = 1, '1', '\\x00',
    timestamptz '2026-01-01Z' + case when i % 17 = 0 then 59 - i % 59 else i * 59 / $1::int end * interval '1 second'
  from generate_series(0, $1::int - 1) i order by i`

describe('pages', () => {
  let database: FreshDatabase
  let db: Database
  let runs: readonly Run[] = []
  let snapshots: readonly Snapshot[] = []

  before(async () => {
    database = await freshDatabase()
    const { url } = database
    await query(url, FILL_RUNS, [RUNS])
    await query(url, FILL_SNAPSHOTS, [SNAPSHOTS])
    await query(
      url,
      `insert into statelens_steps (run_id, step_id, step_index) select $1, 'other ' || i, nullif(i * 7 % 10, 3)
       from generate_series(1, $2::int) i`,
      [RUN, STEPS],
    )
    // Rows of a run that was deleted before, and is still on its way.
    await query(
      url,
      `insert into statelens_deletions (run_id, seq, ordinal)
       select $1, (select min(seq) + 4 from state_snapshots), (select min(ordinal) + 4 from statelens_steps)`,
      [RUN],
    )
    db = createDatabase({ url })
    runs = (await pageRuns(db, WHOLE, { filter: {}, order: 'CREATED_ASC', fields: RUN_FIELDS.all })).items
    const options = { page: WHOLE, filter: {}, order: 'SEQ_ASC', fields: SNAPSHOT_METADATA } as const
    snapshots = (await pageSnapshots(db, [{ runId: RUN }], options))[0]?.items ?? []
    assert.deepEqual([runs.length, snapshots.length], [RUNS, SNAPSHOTS - 5])
  })
  after(async () => {
    await db.close()
    await database.drop()
  })

  it('of runs hold what the filter lets through, and say truly what lies around them and how much there is', async () => {
    await fc.assert(
      fc.asyncProperty(runFilters, fc.constantFrom(...RUN_ORDERS), pageShapes, async (filter, order, shape) => {
        const list = order === 'CREATED_ASC' ? runs : runs.toReversed()
        const keyOf = ({ createdAt, runId }: Run) => [createdAt, runId]
        const page = toRequest(shape, list.map(keyOf))
        const found = await pageRuns(db, page, { filter, order, fields: RUN_FIELDS.all })
        check(found, cut(list, { page, keyOf, isIn: (run) => letsRunThrough(filter, run) }), ({ runId }) => runId)
      }),
      { numRuns: 250 },
    )
  })

  it('of snapshots do so too', async () => {
    await fc.assert(
      fc.asyncProperty(
        snapshotFilters,
        fc.constantFrom(...SNAPSHOT_ORDERS),
        pageShapes,
        async (filter, order, shape) => {
          const list = order === 'SEQ_ASC' ? snapshots : snapshots.toReversed()
          const keyOf = ({ seq }: Snapshot) => [String(seq)]
          const page = toRequest(shape, list.map(keyOf))
          const options = { page, filter, order, fields: SNAPSHOT_METADATA }
          const [nobody, found] = await pageSnapshots(db, [{ runId: 'nobody' }, { runId: RUN }], options)
          assert.deepEqual(nobody, {
            items: [],
            hasNextPage: false,
            hasPreviousPage: false,
            totalCount: page.wantsTotal ? 0 : null,
          })
          assert.ok(found)
          check(found, cut(list, { page, keyOf, isIn: (one) => letsSnapshotThrough(filter, one) }), ({ seq }) =>
            String(seq),
          )
        },
      ),
      { numRuns: 250 },
    )
  })

  it('of steps do so too', async () => {
    const fields = { step: STEP_FIELDS.all, newest: SNAPSHOT_METADATA }
    const [whole] = await pageSteps(db, [RUN], { page: WHOLE, fields })
    const list = whole?.items ?? []
    assert.equal(list.length, STEPS - 5)
    await fc.assert(
      fc.asyncProperty(pageShapes, async (shape) => {
        const page = toRequest(shape, list.map(stepPosition))
        const [found] = await pageSteps(db, [RUN], { page, fields })
        assert.ok(found)
        check(found, cut(list, { page, keyOf: stepPosition, isIn: () => true }), ({ stepId }) => stepId)
      }),
      { numRuns: 60 },
    )
  })
})

/** Cursors are places in the whole list, of which a filter may let through no item. */
interface PageShape {
  readonly size: number
  readonly backward: boolean
  readonly after: number | null
  readonly before: number | null
  readonly wantsTotal: boolean
}

const places = fc.option(fc.nat(RUNS - 1), { nil: null })
const pageShapes: fc.Arbitrary<PageShape> = fc.record({
  size: fc.integer({ min: 0, max: 6 }),
  backward: fc.boolean(),
  after: places,
  before: places,
  wantsTotal: fc.boolean(),
})

const moments = fc.option(fc.nat(59).map(at), { nil: undefined })
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 })

const runFilters: fc.Arbitrary<RunFilter> = fc.record({
  status: maybe(fc.array(fc.constantFrom(...RUN_STATUSES), { maxLength: 3 })),
  workflowName: maybe(fc.constantFrom('work 0', 'work 1', 'no work')),
  tags: maybe(
    fc.array(
      fc.constantFrom('a', 'b', 'c', 'd').map((key) => ({ key, value: 'on' })),
      { maxLength: 3 },
    ),
  ),
  parentRunId: maybe(fc.constantFrom('run 1', 'run 2')),
  createdFrom: moments,
  createdBefore: moments,
  search: maybe(fc.constantFrom('', 'run ', 'run 1', 'run 59', 'work', 'work 2', 'w%', 'zz')),
  hasErrors: maybe(fc.boolean()),
})

const snapshotFilters: fc.Arbitrary<SnapshotFilter> = fc.record({
  kind: maybe(fc.array(fc.constantFrom(...SNAPSHOT_KINDS), { maxLength: 3 })),
  stepId: maybe(fc.constantFrom('step 1', 'step 2', 'no step')),
  isGolden: maybe(fc.boolean()),
  isSuccessState: maybe(fc.boolean()),
  storageTier: maybe(fc.constantFrom(...STORAGE_TIERS)),
  createdFrom: moments,
  createdBefore: moments,
})

function letsRunThrough(filter: RunFilter, run: Run): boolean {
  const { status, workflowName, tags, parentRunId, createdFrom, createdBefore, search, hasErrors } = filter
  const isFailed = run.error !== null || run.status === 'FAILED' || run.status === 'TIMED_OUT'
  return (
    (status == null || status.includes(run.status)) &&
    (workflowName == null || run.workflowName === workflowName) &&
    (tags ?? []).every(({ key }) => run.tags.some((tag) => tag.key === key)) &&
    (parentRunId == null || run.parentRunId === parentRunId) &&
    isWithin(run.createdAt, createdFrom, createdBefore) &&
    (!search || run.runId.startsWith(search) || run.workflowName?.startsWith(search) === true) &&
    (hasErrors == null || hasErrors === isFailed)
  )
}

function letsSnapshotThrough(filter: SnapshotFilter, snapshot: Snapshot): boolean {
  const { kind, stepId, isGolden, isSuccessState, storageTier, createdFrom, createdBefore } = filter
  return (
    (kind == null || kind.includes(snapshot.kind)) &&
    (stepId == null || snapshot.stepId === stepId) &&
    (isGolden == null || snapshot.isGolden === isGolden) &&
    (isSuccessState == null || snapshot.isSuccessState === isSuccessState) &&
    (storageTier == null || storageTierOf(snapshot) === storageTier) &&
    isWithin(snapshot.createdAt, createdFrom, createdBefore)
  )
}

const isWithin = (moment: string, from?: string | null, before?: string | null) =>
  (from == null || moment >= from) && (before == null || moment < before)

type Key = readonly string[]

function toRequest({ after, before, ...shape }: PageShape, keys: readonly Key[]): PageRequest {
  const keyAt = (place: number | null) => (place === null ? null : (keys[place % keys.length] ?? null))
  return { ...shape, after: keyAt(after), before: keyAt(before), wantsEnds: true }
}

interface Cut<T> {
  readonly page: PageRequest
  readonly keyOf: (item: T) => Key
  readonly isIn: (item: T) => boolean
}

/** The page as it must be: items of the whole list, and what lies around them. */
function cut<T>(list: readonly T[], { page, keyOf, isIn }: Cut<T>): Page<T> {
  const placeOf = (key: Key | null) => (key ? list.findIndex((item) => keyOf(item).join() === key.join()) : null)
  const places = list.flatMap((item, place) => (isIn(item) ? [place] : []))
  const [start, end] = [placeOf(page.after) ?? -1, placeOf(page.before) ?? list.length]
  const between = places.filter((place) => place > start && place < end)
  const { size, backward } = page
  const chosen = backward ? between.slice(Math.max(0, between.length - size)) : between.slice(0, size)
  const [first, last] = [chosen[0], chosen.at(-1)]
  const isMore = between.length > size
  return {
    items: chosen.map((place) => list[place] as T),
    // Without an item it is what lies beyond the cursors, or was left for lack of room.
    hasPreviousPage:
      first === undefined
        ? places.some((place) => place <= start) || (isMore && backward)
        : places.some((place) => place < first),
    hasNextPage:
      last === undefined
        ? places.some((place) => place >= end) || (isMore && !backward)
        : places.some((place) => place > last),
    totalCount: page.wantsTotal ? places.length : null,
  }
}

function check<T>(found: Page<T>, expected: Page<T>, nameOf: (item: T) => string): void {
  const told = ({ items, ...ends }: Page<T>) => ({ ...ends, items: items.map(nameOf) })
  assert.deepEqual(told(found), told(expected))
}
