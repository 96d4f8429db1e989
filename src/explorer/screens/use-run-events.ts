import { useRef, useState } from 'preact/hooks'
import { type Followed, useFollow } from '../api/use-follow.ts'
import {
  type MarkFragment,
  RunEventsDocument,
  type RunEventsSubscription,
  type StepRowFragment,
} from '../generated/documents.ts'
import type { PagedList } from './use-pages.ts'

type RunEvent = RunEventsSubscription['runEvents']

export interface RunEventsOptions {
  readonly steps: PagedList<StepRowFragment>
  readonly states: PagedList<MarkFragment>
  /** Told soon after something happened, however much. */
  readonly onChange: () => void
}

export interface RunEvents extends Followed {
  /** Steps and states that are held back while somebody reads further up. */
  readonly waiting: number
  resume(): void
}

const END_PIXELS = 80
const CHANGE_MILLIS = 500

/** Puts in what happens to a run; what comes while one has scrolled up waits. @param runId null: it is not followed. */
export function useRunEvents(runId: string | null, { steps, states, onChange }: RunEventsOptions): RunEvents {
  const held = useRef<RunEvent[]>([])
  const [waiting, setWaiting] = useState(0)
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)

  function changeSoon(): void {
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      onChange()
    }, CHANGE_MILLIS)
  }

  function put(events: readonly RunEvent[]): void {
    steps.put(events.flatMap((event) => (event.__typename === 'StepUpdated' ? [event.step] : [])))
    states.put(events.flatMap((event) => (event.__typename === 'SnapshotCaptured' ? [event.snapshot] : [])))
  }

  function resume(): void {
    put(held.current)
    held.current = []
    setWaiting(0)
    scrollToEnd()
  }

  const followed = useFollow({
    document: RunEventsDocument,
    variables: runId === null ? null : { runId },
    cursorOf: (data) => data.runEvents.cursor,
    onEvents(all) {
      const events = all.map(({ runEvents }) => runEvents)
      if (events.some(({ __typename }) => __typename !== 'CaughtUp')) changeSoon()
      const seen = new Set([
        ...steps.items.map(({ stepId }) => stepId),
        ...states.items.map(({ snapshotId }) => snapshotId),
      ])
      const isNew = (event: RunEvent) =>
        (event.__typename === 'StepUpdated' && !seen.has(event.step.stepId)) ||
        (event.__typename === 'SnapshotCaptured' && !seen.has(event.snapshot.snapshotId))
      const news = events.filter(isNew)
      // What changes a row that is there moves nothing.
      put(events.filter((event) => !isNew(event)))
      held.current.push(...news)
      if (isAtEnd()) resume()
      else setWaiting(new Set(held.current.map(nameOf)).size)
    },
  })
  return { ...followed, waiting: runId === null ? 0 : waiting, resume }
}

function nameOf(event: RunEvent): string {
  if (event.__typename === 'StepUpdated') return `step ${event.step.stepId}`
  return event.__typename === 'SnapshotCaptured' ? event.snapshot.snapshotId : ''
}

export function scrollToEnd(): void {
  requestAnimationFrame(() => scrollTo({ top: document.documentElement.scrollHeight }))
}

function isAtEnd(): boolean {
  const { scrollHeight } = document.documentElement
  return scrollHeight - innerHeight - scrollY < END_PIXELS
}
