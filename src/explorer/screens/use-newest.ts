import { useEffect, useRef, useState } from 'preact/hooks'
import { type Followed, useFollow } from '../api/use-follow.ts'
import { NewStatesDocument, type NewStatesSubscription } from '../generated/documents.ts'
import { go, params } from '../location.ts'
import { say } from '../parts/notices.tsx'
import { type SnapshotHead, toNeighbour } from './state.tsx'

type NewState = Extract<NewStatesSubscription['runEvents'], { readonly __typename: 'SnapshotCaptured' }>['snapshot']

export interface Newest extends Followed {
  /** States that are newer than the one that is shown. */
  readonly waiting: number
  /** Whether somebody looks at something: then the page does not go on by itself. */
  readonly isPaused: boolean
  pause(): void
  /** Goes to the newest one, and on with those that come. */
  resume(): void
}

/** What is looked at stays for so long. */
const REST_MILLIS = 700

/** Goes on to the newest state of a run, or of the step that is shown, as the address asks for. */
export function useNewest(shown: SnapshotHead | undefined): Newest {
  const follow = params.value.get('follow')
  const [isPaused, setIsPaused] = useState(false)
  const [states, setStates] = useState<readonly NewState[]>([])
  const [hasPast, setHasPast] = useState(false)
  /** What is shown as the page has gone there by itself, or began with. */
  const expected = useRef<string | undefined>(undefined)
  const runId = shown?.runId
  const isFollowed = follow !== null && runId !== undefined
  useEffect(() => setIsPaused(false), [follow])
  useEffect(() => {
    setStates([])
    setHasPast(false)
  }, [isFollowed, runId])

  const followed = useFollow({
    document: NewStatesDocument,
    variables: isFollowed ? { runId } : null,
    cursorOf: (data) => data.runEvents.cursor,
    onEvents(all) {
      const events = all.map(({ runEvents }) => runEvents)
      const news = events.flatMap((event) => (event.__typename === 'SnapshotCaptured' ? [event.snapshot] : []))
      if (news.length > 0) setStates((old) => [...old, ...news])
      if (events.some(({ __typename }) => __typename === 'CaughtUp' || __typename === 'RunEnded')) setHasPast(true)
    },
  })

  const newer = shown
    ? states.filter(({ seq, stepId }) => seq > shown.seq && (follow !== 'step' || stepId === shown.stepId))
    : []
  const newest = useRef<NewState | undefined>(undefined)
  newest.current = newer.reduce<NewState | undefined>(
    (last, one) => (last && last.seq > one.seq ? last : one),
    undefined,
  )
  useEffect(() => {
    const isElsewhere = expected.current !== undefined && expected.current !== shown?.snapshotId
    if (shown && isElsewhere) setIsPaused(true)
    if (shown) expected.current = shown.snapshotId
  }, [shown?.snapshotId])
  const isOn = !isPaused && hasPast && newer.length > 0
  useEffect(() => {
    if (!isOn) return
    const timer = setTimeout(() => {
      const state = newest.current
      if (!state || !shown) return
      expected.current = state.snapshotId
      go(toNeighbour(shown, state), { isReplacing: true })
      say(`Newest state: ${state.stepId ?? 'of the run'}, ${state.seq}`)
    }, REST_MILLIS)
    return () => clearTimeout(timer)
  }, [isOn, shown?.snapshotId])

  return {
    ...followed,
    waiting: new Set(newer.map(({ snapshotId }) => snapshotId)).size,
    isPaused,
    pause: () => setIsPaused(true),
    resume: () => setIsPaused(false),
  }
}
