import { type CursorCheck, encodeCursor, type Page, type PageArgs, type PageRequest, parsePage } from '../model/page.ts'
import { isAskedFor, type Selection } from './look-ahead.ts'

/** The shape of a Relay connection. */
export interface Connection<T> {
  readonly edges: { readonly cursor: string; readonly node: T }[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor: string | null
    readonly endCursor: string | null
  }
  readonly totalCount: number | null
}

/** One kind of list. */
export interface List {
  readonly name: string
  /** For each part of an item's place. */
  readonly checks: readonly CursorCheck[]
}

/** The page that a connection's field asks for, and what is to be found out for it. @throws AppError `BAD_REQUEST`, as `parsePage` does. */
export function requestPage({ name, checks }: List, args: PageArgs, connection: Selection): PageRequest {
  return {
    ...parsePage(name, args, checks),
    wantsEnds:
      isAskedFor(connection, 'pageInfo', 'hasNextPage') || isAskedFor(connection, 'pageInfo', 'hasPreviousPage'),
    wantsTotal: isAskedFor(connection, 'totalCount'),
  }
}

/** @param positionOf the item's place in the list's order, by its place on the page; null where no cursor is asked for. */
export function toConnection<T>(
  list: List,
  { items, hasNextPage, hasPreviousPage, totalCount }: Page<T>,
  positionOf: ((item: T, index: number) => readonly string[]) | null,
): Connection<T> {
  const edges = items.map((node, i) => ({
    cursor: positionOf ? encodeCursor(list.name, positionOf(node, i)) : '',
    node,
  }))
  return {
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
    totalCount,
  }
}
