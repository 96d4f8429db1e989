import { useEffect, useState } from 'preact/hooks'
import { ask } from '../api/client.ts'
import { Fault, faultOf, isAbort } from '../api/fault.ts'
import type { ChangesQuery, ChangesQueryVariables, TypedText } from '../generated/documents.ts'
import type { Change, DiffQuestion } from './diff-changes.tsx'

interface Found {
  readonly changes: readonly Change[]
  readonly bytesRead: number
  readonly after: string | null
  readonly hasMore: boolean
  readonly isApproximate: boolean
}

const NOTHING: Found = { changes: [], bytesRead: 0, after: null, hasMore: true, isApproximate: false }

/** Changes, a page at a time; a page that ended early by its bytes is gone on with by itself, until it holds some. */
export function useChanges(document: TypedText<ChangesQuery, ChangesQueryVariables>, question: DiffQuestion) {
  const key = JSON.stringify(question)
  const [state, setState] = useState({ key, found: NOTHING })
  const [wish, setWish] = useState({ key, pages: 1 })
  const [fault, setFault] = useState<Fault>()
  const [isLoading, setIsLoading] = useState(true)

  useEffect(() => {
    const controller = new AbortController()
    const { signal } = controller
    setIsLoading(true)
    setFault(undefined)
    const start = state.key === key && wish.pages > 1 ? state.found : NOTHING
    readOn(document, question, start, signal).then(
      (found) => {
        if (signal.aborted) return
        setState({ key, found })
        setIsLoading(false)
      },
      (error) => {
        if (isAbort(error) || signal.aborted) return
        setFault(faultOf(error))
        setIsLoading(false)
      },
    )
    return () => controller.abort()
  }, [key, wish])

  const found = state.key === key ? state.found : NOTHING
  return { ...found, fault, isLoading, more: () => setWish({ key, pages: wish.pages + 1 }) }
}

async function readOn(
  document: TypedText<ChangesQuery, ChangesQueryVariables>,
  question: DiffQuestion,
  start: Found,
  signal: AbortSignal,
): Promise<Found> {
  let found = start
  do {
    const { data, faults } = await ask(document, { ...question, after: found.after }, signal)
    const page = data.snapshotById?.diff?.changes
    if (!page) throw faults[0] ?? new Fault('DELETED', 'The state is not there any more')
    found = {
      changes: [...found.changes, ...page.nodes],
      bytesRead: found.bytesRead + page.bytesRead,
      after: page.pageInfo.endCursor ?? null,
      hasMore: page.pageInfo.hasNextPage || page.truncated,
      isApproximate: found.isApproximate || page.approximate,
    }
  } while (found.hasMore && found.changes.length === start.changes.length)
  return found
}
