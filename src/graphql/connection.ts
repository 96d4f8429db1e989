import { encodeCursor, type Page } from '../model/page.ts'

/** The shape of a Relay connection. */
export interface Connection<T> {
  readonly edges: { readonly cursor: string; readonly node: T }[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor: string | null
    readonly endCursor: string | null
  }
}

/** @param positionOf the item's place in the list's order; null where no cursor is asked for. */
export function toConnection<T>(
  list: string,
  { items, hasNextPage, hasPreviousPage }: Page<T>,
  positionOf: ((item: T) => readonly string[]) | null,
): Connection<T> {
  const edges = items.map((node) => ({ cursor: positionOf ? encodeCursor(list, positionOf(node)) : '', node }))
  return {
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  }
}
