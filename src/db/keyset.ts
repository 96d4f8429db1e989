import { type RawBuilder, sql } from 'kysely'
import { type Page, type PageRequest, TOTAL_MAX, toPage } from '../model/page.ts'

type Part = RawBuilder<unknown>

/** One column of a list's sort key: an expression, and the type that its cursor text is cast to. */
export interface KeyColumn {
  readonly expression: string
  readonly type: 'timestamptz' | 'text' | 'bigint' | 'integer'
}

/** The order of a list. Together the columns are unique, and none is ever null. */
export interface ListOrder {
  readonly key: readonly KeyColumn[]
  readonly direction: 'asc' | 'desc'
}

/** A place in a list, and whether what lies at it belongs to the slice. */
interface Edge {
  /** Of the sort key as many columns as are known. */
  readonly cursor: readonly string[]
  readonly isWithin: boolean
}

/** A part of a list: what lies between two edges, from one of them on, and no more than so many. */
export interface Slice {
  readonly start: Edge | null
  readonly end: Edge | null
  /** From the start on, or from the end; `any` where it does not matter which ones are read. */
  readonly reading: 'forward' | 'backward' | 'any'
  readonly limit: number
}

/** A list in SQL. */
export interface List extends ListOrder {
  /** Name that its rows go by. */
  readonly alias: string
  /** `select …` of the rows of a slice, as they are read, without reading many more. */
  slice(slice: Slice): Part
}

/** The parts of a statement that reads a page of a list for each row that stands before `from`. */
export interface PageParts {
  readonly select: Part
  /** How many values `select` gives. */
  readonly width: number
  readonly from: Part
  /** Behind `order by`. */
  readonly order: Part
  /** Makes the page from the rows of one list, in which the values of `select` begin at `at`. */
  read<Row extends readonly unknown[]>(rows: readonly Row[], at: number): Page<Row>
}

/** Pages by position, not by offset: page 1,000 costs what page 1 costs. */
export function pageParts(list: List, page: PageRequest): PageParts {
  const alias = sql.raw(list.alias)
  const isPresent = sql.raw(`${list.key.at(-1)?.expression} is not null`)
  const slice = pageSlice(page)
  const facts = hasFacts(page) ? factsOf(list, page) : null
  return {
    ...pageReader(page),
    select: facts ? sql`${isPresent}, facts.*` : isPresent,
    from: sql`${facts ?? sql``} left join lateral (${list.slice(slice)}) ${alias} on true`,
    order: orderColumns(list, slice),
  }
}

/** What of them is known without the list. */
export function pageReader(page: PageRequest): Pick<PageParts, 'width' | 'read'> {
  const width = hasFacts(page) ? 4 : 1
  return {
    width,
    read(rows, at) {
      const [hasBefore, hasBehind, counted] = width > 1 ? (rows[0]?.slice(at + 1, at + 4) ?? []) : []
      // A list without an item on this page has one row all the same.
      const items = rows.filter((row) => row[at] === true)
      return toPage(items, page, {
        hasBefore: hasBefore === true,
        hasBehind: hasBehind === true,
        counted: counted == null ? null : Number(counted),
      })
    },
  }
}

/** What lies between the cursors of a page, and one more than it holds. */
export function pageSlice({ after, before, backward, size }: PageRequest): Slice {
  const edge = (cursor: readonly string[] | null) => cursor && { cursor, isWithin: false }
  return { start: edge(after), end: edge(before), reading: backward ? 'backward' : 'forward', limit: size + 1 }
}

/** The next item at a cursor or beyond it, where anybody asks whether there is one; null where nobody does. */
export function edgeSlice({ after, before, wantsEnds }: PageRequest, side: 'before' | 'behind'): Slice | null {
  const cursor = side === 'before' ? after : before
  if (cursor === null || !wantsEnds) return null
  const edge = { cursor, isWithin: true }
  return side === 'before'
    ? { start: null, end: edge, reading: 'backward', limit: 1 }
    : { start: edge, end: null, reading: 'forward', limit: 1 }
}

/** As much of the whole list as is counted. */
export const COUNTED_SLICE: Slice = { start: null, end: null, reading: 'any', limit: TOTAL_MAX + 1 }

/** Whether anything is asked for beside the page itself. */
function hasFacts(page: PageRequest): boolean {
  return page.wantsTotal || edgeSlice(page, 'before') !== null || edgeSlice(page, 'behind') !== null
}

/** Three values. */
function factsOf(list: List, page: PageRequest): Part {
  const edges = [edgeSlice(page, 'before'), edgeSlice(page, 'behind')]
  const found = edges.map((edge) => (edge ? sql`exists (select from (${list.slice(edge)}) edge)` : sql`false`))
  const counted = page.wantsTotal
    ? sql`(select count(*) from (${list.slice(COUNTED_SLICE)}) counted)`
    : sql`null::bigint`
  // Once for the page, not for each of its rows.
  return sql` cross join lateral (select ${sql.join([...found, counted])} offset 0) facts`
}

/** What all items of a list have in common, and stands before the order in an index. */
export interface Prefix {
  readonly column: string
  readonly value: Part
}

/**
 * The `and …` and the `order by …` of a slice. With a prefix it can only be read from an index that begins with it: what is known to
 * be equal would not be part of the order, and PostgreSQL might then walk along another index, past all that is something else.
 */
export function sliceParts(
  order: ListOrder,
  slice: Slice,
  prefix?: Prefix,
): { readonly bounds: Part; readonly order: Part } {
  return {
    bounds: sql`${bound(order, slice.start, { side: '>', prefix })}${bound(order, slice.end, { side: '<', prefix })}`,
    order: sql`order by ${orderColumns(order, slice, prefix)}`,
  }
}

/** Behind `order by`. */
function orderColumns({ key, direction }: ListOrder, { reading }: Slice, prefix?: Prefix): Part {
  const way = (reading === 'backward') === (direction === 'asc') ? 'desc' : 'asc'
  const expressions = [...(prefix ? [prefix.column] : []), ...key.map(({ expression }) => expression)]
  return sql.raw(expressions.map((expression) => `${expression} ${way}`).join(', '))
}

interface Bound {
  /** In the order of the list. */
  readonly side: '<' | '>'
  readonly prefix?: Prefix | undefined
}

function bound({ key, direction }: ListOrder, edge: Edge | null, { side, prefix }: Bound): Part {
  const operator = (direction === 'asc' ? side : side === '<' ? '>' : '<') + (edge === null || edge.isWithin ? '=' : '')
  const known = key.slice(0, edge?.cursor.length ?? 0)
  const places = known.map(({ type }, i) => sql`${edge?.cursor[i]}::${sql.raw(type)}`)
  const columns = known.map(({ expression }) => expression)
  if (prefix) {
    columns.unshift(prefix.column)
    places.unshift(prefix.value)
  }
  if (columns.length === 0) return sql``
  return sql` and (${sql.raw(columns.join(', '))}) ${sql.raw(operator)} (${sql.join(places)})`
}

/** Deals the rows of a batched statement out to the parents that they were read for: a row begins with its parent's place, from 1. */
export function groupByParent(parentCount: number, rows: readonly unknown[][]): unknown[][][] {
  const groups: unknown[][][] = Array.from({ length: parentCount }, () => [])
  for (const row of rows) groups[Number(row[0]) - 1]?.push(row)
  return groups
}
