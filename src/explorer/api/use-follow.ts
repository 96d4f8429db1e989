import { useEffect, useRef, useState } from 'preact/hooks'
import type { TypedText } from '../generated/documents.ts'
import { follow, type LineState } from './events.ts'
import type { Fault } from './fault.ts'

/** Events that come close together are told together. */
const TOGETHER_MILLIS = 100

export interface Followed {
  readonly state: LineState | undefined
  readonly fault: Fault | undefined
}

export interface FollowQuestion<Data, Variables> {
  readonly document: TypedText<Data, Variables>
  /** Null: nothing is followed. */
  readonly variables: Variables | null
  readonly cursorOf: (data: Data) => string | undefined
  readonly onEvents: (events: readonly Data[]) => void
}

/** Follows a subscription while the component is there. */
export function useFollow<Data, Variables extends object>({
  document,
  variables,
  cursorOf,
  onEvents,
}: FollowQuestion<Data, Variables>): Followed {
  const [followed, setFollowed] = useState<Followed>({ state: undefined, fault: undefined })
  const told = useRef(onEvents)
  told.current = onEvents
  const key = JSON.stringify(variables)
  useEffect(() => {
    setFollowed({ state: undefined, fault: undefined })
    if (variables === null) return
    let waiting: Data[] = []
    let timer: ReturnType<typeof setTimeout> | undefined
    const tell = () => {
      timer = undefined
      const events = waiting
      waiting = []
      told.current(events)
    }
    const end = follow({
      document,
      variables,
      cursorOf,
      onState: (state, fault) => setFollowed((old) => (old.state === state ? old : { state, fault })),
      onEvent(data) {
        waiting.push(data)
        timer ??= setTimeout(tell, TOGETHER_MILLIS)
      },
    })
    return () => {
      clearTimeout(timer)
      end()
    }
  }, [document, key])
  return followed
}
