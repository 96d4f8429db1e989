import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import type { Page, PageRequest } from '../../model/page.ts'
import type { Snapshot, SnapshotFilter, SnapshotOrder } from '../../model/snapshot.ts'
import { readLate, readUnsettled, writeUnsettled } from '../../model/unsettled.ts'
import type { Rows } from '../connect.ts'
import { FACET, facetsOf } from '../facets.ts'
import { groupByParent, type List, type ListOrder, type Prefix, pageParts, type Slice, sliceParts } from '../keyset.ts'
import { OPEN_TRANSACTIONS, openTransactions, transactionTable } from '../unsettled.ts'
import { projectSnapshot } from './snapshot-columns.ts'
import { snapshotsByTime, snapshotsOf, snapshotsOfFacet } from './sources.ts'

type Part = RawBuilder<unknown>

/** Whose snapshots are listed: a run's, or a step's. */
export type SnapshotParent = { readonly runId: string; readonly stepId?: string }

export interface SnapshotPageOptions {
  readonly page: PageRequest
  readonly filter: SnapshotFilter
  readonly order: SnapshotOrder
  readonly fields: Fields<Snapshot>
  /** Whether places are asked for. */
  readonly wantsPlaces?: boolean
}

export interface SnapshotPage extends Page<Snapshot> {
  /** Of each item: what a cursor keeps, to go on behind it. Only where it was asked for. */
  readonly places?: readonly (readonly string[])[]
}

/** One page for each parent, in that order. Parents are all runs or all steps. */
export async function pageSnapshots(
  db: Rows,
  parents: readonly SnapshotParent[],
  { page, filter, order, fields, wantsPlaces = false }: SnapshotPageOptions,
): Promise<SnapshotPage[]> {
  const isOfStep = parents[0]?.stepId !== undefined
  const parts = pageParts(snapshotList({ filter, order, isOfStep }), page)
  const { columns, read } = projectSnapshot(fields)
  const growsOn = wantsPlaces && order === 'SEQ_ASC' && !page.backward
  const rows = await db.rows(sql`
    select p.position, ${parts.select}${growsOn ? sql`, tx.open` : sql``}, ${columns}
    from ${growsOn ? sql`${OPEN_TRANSACTIONS} tx, ` : sql``}unnest(${parents.map(({ runId }) => runId)}::text[], ${parents.map(({ stepId }) => stepId ?? null)}::text[])
      with ordinality as p(run_id, step_id, position)${parts.from}
    order by p.position, ${parts.order}`)
  return groupByParent(parents.length, rows).map((group) => {
    const { items: found, ...ends } = parts.read(group, 1)
    const at = 1 + parts.width
    const items = found.map((row) => read(row, at + (growsOn ? 1 : 0)))
    if (!wantsPlaces) return { ...ends, items }
    const placeOf =
      growsOn && found[0] ? placesAt(String(found[0][at]), page.after) : ({ seq }: Snapshot) => [String(seq)]
    return { ...ends, items, places: items.map(placeOf) }
  })
}

/**
 * Places of items in a list that grows on.
 * @param after the place that the page was read behind: what turned up before it is at that place still, as far as it was read.
 */
function placesAt(openText: string, after: PageRequest['after']): (snapshot: Snapshot) => readonly string[] {
  const [place = '', before = ''] = after ?? []
  const open = openTransactions(openText)
  const unsettled = writeUnsettled({ open, reads: [] })
  const late = before === '' ? null : readUnsettled(before)
  return (snapshot) => {
    const seq = String(snapshot.seq)
    if (late && BigInt(seq) <= BigInt(place)) {
      return [place, writeUnsettled(readLate(late, { upTo: seq, open }))]
    }
    return unsettled === '' ? [seq] : [seq, unsettled]
  }
}

interface SnapshotListOptions {
  readonly filter: SnapshotFilter
  readonly order: SnapshotOrder
  readonly isOfStep: boolean
}

const RUN_ID = sql.raw('p.run_id')

/** The snapshots of the run, or of the step, that stands in `p`. */
function snapshotList({ filter, order, isOfStep }: SnapshotListOptions): List {
  const direction = order === 'SEQ_DESC' ? 'desc' : 'asc'
  const inOrder: ListOrder = { key: [{ expression: 's.seq', type: 'bigint' }], direction }
  const ofStep = filter.stepId == null ? sql`` : sql` and s.step_id = ${filter.stepId}`
  const from = sql`${snapshotsOf(RUN_ID)}${isOfStep ? sql` and s.step_id = p.step_id` : sql``}${ofStep}`
  // A step has few snapshots, and an index of its own.
  const isFew = isOfStep || filter.stepId != null
  const options = { from, inOrder, facets: facetsOf(filter), times: timeConditions(filter), isFew }
  return {
    alias: 's',
    ...inOrder,
    slice: (slice) =>
      withLate(
        slice,
        filter.createdFrom == null && filter.createdBefore == null
          ? sliceOf(slice, options)
          : sliceOfTime(slice, options),
        options,
      ),
  }
}

/** With what has turned up before its start since that was read. */
function withLate(slice: Slice, part: Part, { from, inOrder, facets, times }: SliceOptions): Part {
  const [place = '', text = ''] = slice.start?.cursor ?? []
  const late = text === '' || slice.reading !== 'forward' || inOrder.direction !== 'asc' ? null : readUnsettled(text)
  if (!late) return part
  const end = slice.end ? sql` and s.seq < ${slice.end.cursor[0]}::bigint` : sql``
  const unread = late.reads.map(
    ({ upTo, open }) => sql` and (s.seq > ${upTo}::bigint or exists (
        select from ${transactionTable(open, 'q')} where s.changed_xid >= q.first and s.changed_xid < q.last))`,
  )
  return sql`
    select * from (
      select s.* from ${transactionTable(late.open, 'o')} cross join lateral (
        select * from ${from} and s.changed_xid >= o.first and s.changed_xid < o.last and s.seq <= ${place}::bigint
          ${facets === null ? sql`` : hasFacet(facets)}${times}${end}${unread.length > 0 ? sql.join(unread, sql``) : sql``} offset 0) s
      union all (${part})) s
    ${sliceParts(inOrder, slice).order} limit ${slice.limit}`
}

interface SliceOptions {
  readonly from: Part
  readonly inOrder: ListOrder
  /** Null where there is no condition of that kind. */
  readonly facets: readonly number[] | null
  readonly times: Part
  readonly isFew: boolean
}

/**
 * By the index of the numbers alone, or for each facet by that of facets and numbers.
 * @param within `and …`: more bounds of the numbers.
 */
function sliceOf(slice: Slice, options: SliceOptions, within: (prefix?: Prefix) => Part = () => sql``): Part {
  const { from, inOrder, facets, times, isFew } = options
  const plain = (source: Part, prefix?: Prefix) => {
    const { bounds, order } = sliceParts(inOrder, slice, prefix)
    return sql`select * from ${source}${times}${bounds}${within(prefix)} ${order} limit ${slice.limit}`
  }
  if (facets === null) return plain(from)
  if (isFew) return plain(sql`${from}${hasFacet(facets)}`)
  const ofEach = { column: FACET, value: sql.raw('f.facet') }
  return sql`select s.* from unnest(${facets}::int[]) as f(facet)
    cross join lateral (${plain(snapshotsOfFacet(RUN_ID, ofEach), ofEach)}) s
    ${sliceParts(inOrder, slice).order} limit ${slice.limit}`
}

const hasFacet = (facets: readonly number[]) => sql` and ${sql.raw(FACET)} = any(${facets}::int[])`

/** For each snapshot that is wanted so many are looked at on the way. */
const WALK = 8

/**
 * Of a time, in the order of the numbers: as a rule numbers rise with time, and a short walk finds what is wanted. Where it does not,
 * the first and the last number of that time are looked up, in the index by time, and then all lies between them.
 */
function sliceOfTime(slice: Slice, options: SliceOptions): Part {
  const { from, inOrder, facets, times, isFew } = options
  const { bounds, order } = sliceParts(inOrder, slice)
  const ofTime = sql`select * from ${snapshotsByTime(RUN_ID)}${times} order by s.created_at, s.seq`
  if (slice.reading === 'any' && facets === null && !isFew) return sql`${ofTime} limit ${slice.limit}`
  const span = sql`span as (select min(seq) as first, max(seq) as last from (${ofTime} offset 0) s)`
  const far = sliceOf(slice, options, isFew ? undefined : withinSpan)
  if (slice.reading === 'any') return sql`with ${span} ${far}`
  const ofFacet = facets === null ? sql`` : hasFacet(facets)
  return sql`
    with ${span}, way as materialized (select * from ${from}${bounds} ${order} limit ${slice.limit * WALK}),
    near as materialized (select * from way s where true${ofFacet}${times} ${order} limit ${slice.limit}),
    judged as (select (select count(*) from near) = ${slice.limit}::int
      or (select count(*) from way) < ${slice.limit * WALK}::int as is_enough)
    select * from near where (select is_enough from judged)
    union all select * from (${far}) far where not (select is_enough from judged)`
}

/** Between the first and the last number of the table `span`. */
function withinSpan(prefix?: Prefix): Part {
  const [columns, value] = prefix
    ? [sql.raw(`${prefix.column}, s.seq`), sql`${prefix.value}, `]
    : [sql.raw('s.seq'), sql``]
  return sql` and (${columns}) >= (${value}(select first from span)) and (${columns}) <= (${value}(select last from span))`
}

function timeConditions({ createdFrom, createdBefore }: SnapshotFilter): Part {
  const from = createdFrom == null ? sql`` : sql` and s.created_at >= ${createdFrom}::timestamptz`
  return createdBefore == null ? from : sql`${from} and s.created_at < ${createdBefore}::timestamptz`
}
