import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import { type Page, type PageRequest, toPage } from '../../model/page.ts'
import type { Run, RunFilter, RunOrder, Tag } from '../../model/run.ts'
import type { Rows } from '../connect.ts'
import { COUNTED_SLICE, edgeSlice, pageSlice, type Slice, sliceParts } from '../keyset.ts'
import { beginsWith } from '../prefix.ts'
import { hasConditions, ofTag, runConditions, runList, runOrder, withRuns, withTimes } from './run-filter.ts'
import { projectRun } from './runs.ts'
import { isCut, stepsThroughTags } from './shared-tags.ts'
import { runs } from './sources.ts'

/*
 * Filters that no index has in the order of the list: the beginning of a text, and several tags at once. What many runs satisfy is
 * found by walking a little along the list; what that does not find is rare, or lies far off, and is gathered by indexes of its own
 * and then sorted. So neither reads much more than it gives.
 */

type Part = RawBuilder<unknown>

/** For each run that is wanted so many are looked at on the way. */
const WALK = 8

export interface RunSearch {
  readonly filter: RunFilter
  readonly order: RunOrder
  readonly fields: Fields<Run>
}

export function isSearch({ search, tags }: RunFilter): boolean {
  return Boolean(search) || (tags?.length ?? 0) > 1
}

/** A page of the runs that such a filter lets through. */
export async function searchRuns(db: Rows, page: PageRequest, search: RunSearch): Promise<Page<Run>> {
  const inOrder = runOrder(search.order)
  const find = (slice: Slice) => findSlice(db, withTimes(slice, search.filter, inOrder), search)
  const isThere = async (edge: Slice | null) => edge !== null && (await find(edge)).length > 0
  const [items, hasBefore, hasBehind, counted] = await Promise.all([
    find(pageSlice(page)),
    isThere(edgeSlice(page, 'before')),
    isThere(edgeSlice(page, 'behind')),
    page.wantsTotal ? countFound(db, search) : null,
  ])
  return toPage(items, page, { hasBefore, hasBehind, counted })
}

async function findSlice(db: Rows, slice: Slice, search: RunSearch): Promise<Run[]> {
  const { columns, read } = projectRun(search.fields)
  const { order } = sliceParts(runOrder(search.order), slice)
  const { ways, isWhole, away } = wayOf(search, slice)
  const found = await db.rows(sql`
    with recursive ${ways}
    select ${isWhole}, r.run_id is not null, ${columns} from (select) p
    left join lateral (select * from way r where true${away} ${order} limit ${slice.limit}) r on true ${order}`)
  const onTheWay = found.filter((row) => row[1] === true)
  if (onTheWay.length === slice.limit || found[0]?.[0] === true) return onTheWay.map((row) => read(row, 2))
  const rows = await db.rows(sql`select ${columns} from (${gather(search, slice)}) r ${order}`)
  return rows.map((row) => read(row))
}

interface Way {
  /** Tables of which one, `way`, holds runs in their order. */
  readonly ways: Part
  /** Whether it holds all that there are. */
  readonly isWhole: Part
  /** What is yet to be looked up in each of its runs. */
  readonly away: Part
}

function wayOf({ filter, order }: RunSearch, slice: Slice): Way {
  const { tags, search, ...rest } = filter
  const isLongWay = Boolean(search) || hasConditions(rest)
  const walk = { ...slice, limit: slice.limit * (isLongWay ? WALK : 1) }
  const isShort = sql`(select count(*) from way) < ${walk.limit}`
  if (!tags || tags.length < 2) {
    const along = runList({ ...rest, tags }, order).slice(walk)
    return { ways: sql`way as materialized (${along})`, isWhole: isShort, away: runConditions({ search }, 'r') }
  }
  const inOrder = runOrder(order)
  const found = sql`select created_at, run_id from steps where agreed = ${tags.length}::int limit ${walk.limit}`
  const along = withRuns(found, {}, { inOrder, slice: walk })
  return {
    ways: sql`${stepsThroughTags(tags, inOrder, slice)}, way as materialized (${along})`,
    isWhole: sql`case when ${isShort} then not ${isCut} else false end`,
    away: runConditions({ ...rest, search }, 'r'),
  }
}

/** All that have every tag, or that begin so, and of these the slice. */
function gather({ filter, order }: Omit<RunSearch, 'fields'>, slice: Slice): Part {
  const { search, tags, ...rest } = filter
  const inOrder = runOrder(order)
  const [first, ...others] = tags ?? []
  if (first) return withRuns(ofTags(first, others), { ...rest, search }, { inOrder, slice })
  const found = sql.join(beginnings(search ?? ''), sql` union `)
  // Sorted before they are looked up, where nothing else is asked of them.
  const { bounds, order: by } = sliceParts(inOrder, slice)
  const sorted = sql`select * from (${found}) r where true${bounds} ${by} limit ${slice.limit}`
  return withRuns(hasConditions(rest) ? found : sorted, rest, { inOrder, slice })
}

function ofTags(first: Tag, others: readonly Tag[]): Part {
  const joins = others.map((tag, i) => sql` join (${ofTag(tag)}) ${sql.raw(`t${i}`)} using (created_at, run_id)`)
  return sql`select created_at, run_id from (${ofTag(first)}) t${sql.join(joins, sql``)}`
}

/** Runs whose id begins so, and runs whose workflow does. */
function beginnings(search: string): readonly [Part, Part] {
  const having = (column: string) =>
    sql`select r.created_at, r.run_id from ${runs()} and ${beginsWith(`r.${column}`, search)}`
  return [having('run_id'), having('workflow_name')]
}

/** Up to one more than is counted. */
async function countFound(db: Rows, { filter, order }: Omit<RunSearch, 'fields'>): Promise<number> {
  const { search, tags = [], ...rest } = filter
  const options = { inOrder: runOrder(order), slice: COUNTED_SLICE }
  if (!tags?.length) {
    // Where one of the two beginnings has as many alone, nobody has to know the other.
    const slices = beginnings(search ?? '').map((found) =>
      hasConditions(rest) ? withRuns(found, rest, options) : sql`${found} limit ${COUNTED_SLICE.limit}`,
    )
    const parts = slices.map((part) => sql`select run_id from (${part}) x`)
    return await countRows(db, sql.join(parts, sql` union `))
  }
  if (!search && !hasConditions(rest)) {
    const steps = stepsThroughTags(tags, options.inOrder, { ...COUNTED_SLICE, reading: 'forward' })
    const counted = sql`select count(*) as found from (select from steps where agreed = ${tags.length}::int limit ${COUNTED_SLICE.limit}) c`
    const [row = []] = await db.rows(sql`
      with recursive ${steps}, counted as materialized (${counted})
      select found, case when found < ${COUNTED_SLICE.limit} then ${isCut} else false end from counted`)
    if (row[1] === false) return Number(row[0])
  }
  return await countRows(db, gather({ filter, order }, COUNTED_SLICE))
}

async function countRows(db: Rows, source: Part): Promise<number> {
  const [row = []] = await db.rows(sql`select count(*) from (select from (${source}) u limit ${COUNTED_SLICE.limit}) c`)
  return Number(row[0])
}
