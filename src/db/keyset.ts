import { type RawBuilder, sql } from 'kysely'
import { type Page, type PageRequest, TOTAL_MAX, toPage } from '../model/page.ts'

type Part = RawBuilder<unknown>

/** One column of a list's sort key: an expression, and the type that its cursor text is cast to. */
export interface KeyColumn {
  readonly expression: string
  readonly type: 'timestamptz' | 'text' | 'bigint' | 'integer'
}

/** A part of a list: what lies within its bounds, from one end of them, and no more than so many. */
export interface Slice {
  /** `and …` */
  readonly bounds: Part
  /** `order by …`; empty where any will do. */
  readonly order: Part
  readonly limit: number
}

/** A list in SQL. */
export interface List {
  /** Name that its rows go by. */
  readonly alias: string
  /** The sort key: together these are unique, and none is ever null. */
  readonly key: readonly KeyColumn[]
  readonly direction: 'asc' | 'desc'
  /** `select …` of the rows of a slice, in its order, without reading many more. */
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
  const facts = factsOf(list, page)
  return {
    select: facts ? sql`${isPresent}, facts.*` : isPresent,
    width: facts ? 4 : 1,
    from: sql`${facts ?? sql``} left join lateral (${list.slice(pageSlice(list, page))}) ${alias} on true`,
    order: orderOf(list, page.backward),
    read(rows, at) {
      const [hasBefore, hasBehind, counted] = facts ? (rows[0]?.slice(at + 1, at + 4) ?? []) : []
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
export function pageSlice(list: List, page: PageRequest): Slice {
  return {
    bounds: sql`${bound(list, page.after, '>')}${bound(list, page.before, '<')}`,
    order: sql`order by ${orderOf(list, page.backward)}`,
    limit: page.size + 1,
  }
}

/** The next item at a cursor or beyond it, where anybody asks whether there is one; null where nobody does. */
export function edgeSlice(list: List, page: PageRequest, side: 'before' | 'behind'): Slice | null {
  const cursor = side === 'before' ? page.after : page.before
  if (cursor === null || !page.wantsEnds) return null
  return {
    bounds: bound(list, cursor, side === 'before' ? '<=' : '>='),
    order: sql`order by ${orderOf(list, side === 'before')}`,
    limit: 1,
  }
}

/** As much of the whole list as is counted. */
export const COUNTED_SLICE: Slice = { bounds: sql``, order: sql``, limit: TOTAL_MAX + 1 }

/** Three values beside the page; null where none of them is asked for. */
function factsOf(list: List, page: PageRequest): Part | null {
  const edges = [edgeSlice(list, page, 'before'), edgeSlice(list, page, 'behind')]
  if (!page.wantsTotal && edges.every((edge) => edge === null)) return null
  const found = edges.map((edge) => (edge ? sql`exists (select from (${list.slice(edge)}) edge)` : sql`false`))
  const counted = page.wantsTotal
    ? sql`(select count(*) from (${list.slice(COUNTED_SLICE)}) counted)`
    : sql`null::bigint`
  return sql` cross join lateral (select ${sql.join([...found, counted])}) facts`
}

function orderOf({ key, direction }: List, isReversed: boolean): Part {
  const reading = isReversed === (direction === 'asc') ? 'desc' : 'asc'
  return sql.raw(key.map(({ expression }) => `${expression} ${reading}`).join(', '))
}

/** `and …`: the items on one side of a cursor, in list order. */
function bound({ key, direction }: List, cursor: readonly string[] | null, side: '<' | '<=' | '>' | '>='): Part {
  if (cursor === null) return sql``
  const operator = direction === 'asc' ? side : side.startsWith('<') ? side.replace('<', '>') : side.replace('>', '<')
  const columns = sql.raw(`(${key.map(({ expression }) => expression).join(', ')})`)
  const place = sql.join(key.map(({ type }, i) => sql`${cursor[i]}::${sql.raw(type)}`))
  return sql` and ${columns} ${sql.raw(operator)} (${place})`
}

/** Deals the rows of a batched statement out to the parents that they were read for: a row begins with its parent's place, from 1. */
export function groupByParent(parentCount: number, rows: readonly unknown[][]): unknown[][][] {
  const groups: unknown[][][] = Array.from({ length: parentCount }, () => [])
  for (const row of rows) groups[Number(row[0]) - 1]?.push(row)
  return groups
}
