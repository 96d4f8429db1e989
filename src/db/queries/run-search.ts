import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import { type Page, type PageRequest, toPage } from '../../model/page.ts'
import type { Run, RunFilter, RunOrder, Tag } from '../../model/run.ts'
import type { Rows } from '../connect.ts'
import { COUNTED_SLICE, edgeSlice, type List, pageSlice, type Slice } from '../keyset.ts'
import { beginsWith } from '../prefix.ts'
import { ofTag, runConditions, runList, withRuns } from './run-filter.ts'
import { projectRun } from './runs.ts'
import { runs } from './sources.ts'

/*
 * Filters that no index has in the order of the list: the beginning of a text, and several tags at once. What many runs satisfy is
 * found by walking a little along the list; what that does not find is rare, or lies far off, and is gathered by indexes of its own
 * and then sorted. So neither reads much more than it gives.
 */

type Part = RawBuilder<unknown>

/** For each run that is wanted so many are looked at on the way. */
const WALK = 10

export function isSearch({ search, tags }: RunFilter): boolean {
  return Boolean(search) || (tags?.length ?? 0) > 1
}

export interface RunSearch {
  readonly filter: RunFilter
  readonly order: RunOrder
  readonly fields: Fields<Run>
}

/** A page of the runs that such a filter lets through. */
export async function searchRuns(db: Rows, page: PageRequest, search: RunSearch): Promise<Page<Run>> {
  const list = runList(wayOf(search.filter), search.order)
  const find = (slice: Slice) => findSlice(db, slice, { ...search, list })
  const isThere = async (edge: Slice | null) => edge !== null && (await find(edge)).length > 0
  const [items, hasBefore, hasBehind, counted] = await Promise.all([
    find(pageSlice(list, page)),
    isThere(edgeSlice(list, page, 'before')),
    isThere(edgeSlice(list, page, 'behind')),
    page.wantsTotal ? countFound(db, search.filter) : null,
  ])
  return toPage(items, page, { hasBefore, hasBehind, counted })
}

/** What the way goes along: the runs of the first tag, or all of them, as far as an index has the rest of the filter. */
function wayOf({ search: _search, tags, ...filter }: RunFilter): RunFilter {
  return { ...filter, tags: tags?.slice(0, 1) }
}

async function findSlice(
  db: Rows,
  slice: Slice,
  { filter, list, fields }: RunSearch & { readonly list: List },
): Promise<Run[]> {
  const { columns, read } = projectRun(fields)
  const { order, limit } = slice
  const away = runConditions({ search: filter.search, tags: filter.tags?.slice(1) }, 'r')
  const found = await db.rows(sql`
    with way as materialized (${list.slice({ ...slice, limit: limit * WALK })})
    select way_length, r.run_id is not null, ${columns} from (select count(*) as way_length from way) w
    left join lateral (select * from way r where true${away} ${order} limit ${limit}) r on true ${order}`)
  const onTheWay = found.filter((row) => row[1] === true)
  const isAll = onTheWay.length === limit || Number(found[0]?.[0]) < limit * WALK
  if (isAll) return onTheWay.map((row) => read(row, 2))
  const rows = await db.rows(sql`select ${columns} from (${gather(filter, slice)}) r ${order}`)
  return rows.map((row) => read(row))
}

/** All that have every tag, or that begin so, and of these the slice. */
function gather(filter: RunFilter, slice: Slice): Part {
  const { search, tags, ...rest } = filter
  const [first, ...others] = tags ?? []
  if (first) return withRuns(ofTags(first, others), { ...rest, search }, slice)
  const [ids, names] = beginnings(search ?? '')
  return withRuns(sql`${ids} union ${names}`, rest, slice)
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

/** Up to one more than is counted. Where either of the two ways to begin has as many alone, nobody has to know the other. */
async function countFound(db: Rows, { search, ...filter }: RunFilter): Promise<number> {
  const sources = filter.tags?.length ? [] : beginnings(search ?? '')
  const parts = sources.length
    ? sources.map((source) => withRuns(source, filter, COUNTED_SLICE))
    : [gather({ ...filter, search }, COUNTED_SLICE)]
  const ids = parts.map((part) => sql`select run_id from (${part}) x`)
  const [row = []] = await db.rows(sql`
    select count(*) from (select from (${sql.join(ids, sql` union `)}) u limit ${COUNTED_SLICE.limit}) c`)
  return Number(row[0])
}
