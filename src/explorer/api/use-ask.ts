import { useEffect, useState } from 'preact/hooks'
import type { TypedText } from '../generated/documents.ts'
import { ask } from './client.ts'
import { Fault, faultOf, isAbort } from './fault.ts'

export interface Asked<Data> {
  /** The last answer to this question; undefined before the first. */
  readonly data: Data | undefined
  readonly faults: readonly Fault[]
  /** Why there is no answer, or no newer one. */
  readonly fault: Fault | undefined
  readonly isLoading: boolean
  /** Asks again, and keeps what is there until the answer comes. */
  again(): void
  /** Gives the question up. */
  stop(): void
}

interface State<Data> {
  readonly key: string
  readonly data?: Data
  readonly faults: readonly Fault[]
  readonly fault?: Fault
  readonly isLoading: boolean
}

/**
 * Asks while the component is there, and anew when the variables change: an answer that comes late for older ones is dropped.
 * @param variables null: nothing is asked.
 */
export function useAsk<Data, Variables>(
  document: TypedText<Data, Variables>,
  variables: Variables | null,
): Asked<Data> {
  const key = JSON.stringify(variables)
  const [state, setState] = useState<State<Data>>({ key, faults: [], isLoading: variables !== null })
  const [round, setRound] = useState(0)
  const [stopper, setStopper] = useState<AbortController>()

  useEffect(() => {
    if (variables === null) return
    const controller = new AbortController()
    setStopper(controller)
    setState((old) => (old.key === key ? { ...old, isLoading: true } : { key, faults: [], isLoading: true }))
    ask(document, variables, controller.signal).then(
      ({ data, faults }) => !controller.signal.aborted && setState({ key, data, faults, isLoading: false }),
      (error) => {
        if (controller.signal.aborted && !isStopped(controller.signal)) return
        const fault = isAbort(error) || isStopped(controller.signal) ? STOPPED : faultOf(error)
        setState((old) => ({ ...old, key, fault, isLoading: false }))
      },
    )
    return () => controller.abort()
  }, [document, key, round])

  const isCurrent = state.key === key
  return {
    data: isCurrent ? state.data : undefined,
    faults: isCurrent ? state.faults : [],
    fault: isCurrent ? state.fault : undefined,
    isLoading: isCurrent ? state.isLoading : variables !== null,
    again: () => setRound((old) => old + 1),
    stop: () => stopper?.abort(STOPPED),
  }
}

const STOPPED = new Fault('STOPPED', 'Stopped before an answer came')
const isStopped = ({ reason }: AbortSignal) => reason === STOPPED
