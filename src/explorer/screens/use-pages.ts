import { useEffect, useState } from 'preact/hooks'
import { ask } from '../api/client.ts'
import { type Fault, faultOf, isAbort } from '../api/fault.ts'
import type { TypedText } from '../generated/documents.ts'

export interface ListPage<Item> {
  readonly nodes: readonly Item[]
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor?: string | null | undefined }
  readonly totalCount?: number | null | undefined
}

export interface PagedList<Item> {
  readonly items: readonly Item[]
  /** Null where there are too many to be counted, or nothing has come yet. */
  readonly total: number | null
  readonly hasMore: boolean
  readonly isLoading: boolean
  readonly fault: Fault | undefined
  /** Asks once more for what failed. */
  again(): void
  /** Reads the next page. */
  more(): void
  /** Puts items in, each in the place of the one with its key, or at the end. */
  put(items: readonly Item[]): void
}

export interface PagesQuestion<Data, Variables, Item> {
  readonly document: TypedText<Data, Variables>
  readonly variablesAt: (after: string | null) => Variables
  readonly keyOf: (item: Item) => string
  /** Undefined where there is no such list. */
  readonly pageIn: (data: Data) => ListPage<Item> | null | undefined
  /** Pages that are read by themselves. */
  readonly pages: number
}

/** A list that is read page after page, from its beginning. */
export function usePages<Data, Variables, Item>(question: PagesQuestion<Data, Variables, Item>): PagedList<Item> {
  const [items, setItems] = useState<readonly Item[]>([])
  const [page, setPage] = useState<ListPage<Item>>()
  const [wanted, setWanted] = useState(question.pages)
  const [read, setRead] = useState(0)
  const [fault, setFault] = useState<Fault>()
  const [round, setRound] = useState(0)
  const hasMore = page === undefined || page.pageInfo.hasNextPage

  useEffect(() => {
    if (!hasMore || read >= wanted) return
    const controller = new AbortController()
    ask(question.document, question.variablesAt(page?.pageInfo.endCursor ?? null), controller.signal).then(
      ({ data }) => {
        if (controller.signal.aborted) return
        const next = question.pageIn(data)
        setFault(undefined)
        if (!next) return setPage({ nodes: [], pageInfo: { hasNextPage: false } })
        setItems((old) => merge(old, next.nodes, question.keyOf))
        setPage(next)
        setRead((old) => old + 1)
      },
      (error) => !isAbort(error) && setFault(faultOf(error)),
    )
    return () => controller.abort()
  }, [read, wanted, round])

  return {
    items,
    total: page?.totalCount ?? null,
    hasMore: page?.pageInfo.hasNextPage ?? false,
    isLoading: hasMore && read < wanted && fault === undefined,
    fault,
    again: () => setRound(round + 1),
    more: () => setWanted(read + 1),
    put: (added) => added.length > 0 && setItems((old) => merge(old, added, question.keyOf)),
  }
}

function merge<Item>(old: readonly Item[], added: readonly Item[], keyOf: (item: Item) => string): readonly Item[] {
  const merged = new Map(old.map((item) => [keyOf(item), item]))
  for (const item of added) merged.set(keyOf(item), item)
  return [...merged.values()]
}
