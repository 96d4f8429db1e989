import { type RawBuilder, sql } from 'kysely'
import type { PageRequest } from '../model/page.ts'

/** One column of a list's sort key: an expression, and the type that its cursor text is cast to. */
export interface KeyColumn {
  readonly expression: string
  readonly type: 'timestamptz' | 'text' | 'bigint' | 'integer'
}

/** The `and …` of a page's cursors, the `order by …` in reading order, and how many rows to read. */
export interface Keyset {
  readonly bounds: RawBuilder<unknown>
  readonly order: RawBuilder<unknown>
  /** The same without `order by`, to put behind other columns. */
  readonly orderColumns: RawBuilder<unknown>
  readonly limit: number
}

/**
 * Pages by position, not by offset: page 1,000 costs what page 1 costs.
 * @param columns the list's sort key; together they are unique.
 */
export function keyset(columns: readonly KeyColumn[], page: PageRequest, direction: 'asc' | 'desc' = 'asc'): Keyset {
  const reading = page.backward === (direction === 'asc') ? 'desc' : 'asc'
  const order = columns.map(({ expression }) => `${expression} ${reading}`).join(', ')
  const key = sql.raw(`(${columns.map(({ expression }) => expression).join(', ')})`)
  const bound = (cursor: readonly string[] | null, operator: '<' | '>') =>
    cursor === null
      ? sql``
      : sql` and ${key} ${sql.raw(operator)} (${sql.join(columns.map(({ type }, i) => sql`${cursor[i]}::${sql.raw(type)}`))})`
  return {
    bounds: sql`${bound(page.after, direction === 'asc' ? '>' : '<')}${bound(page.before, direction === 'asc' ? '<' : '>')}`,
    order: sql.raw(`order by ${order}`),
    orderColumns: sql.raw(order),
    limit: page.size + 1,
  }
}

/** Deals the rows of a batched statement out to the parents that they were read for: a row begins with its parent's place, from 1. */
export function groupByParent(parentCount: number, rows: readonly unknown[][]): unknown[][][] {
  const groups: unknown[][][] = Array.from({ length: parentCount }, () => [])
  for (const row of rows) groups[Number(row[0]) - 1]?.push(row)
  return groups
}
