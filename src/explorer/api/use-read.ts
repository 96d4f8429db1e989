import { useEffect, useState } from 'preact/hooks'
import { type Fault, faultOf } from './fault.ts'

export interface Read<T> {
  /** What was read last under this key; undefined before the first. */
  readonly data: T | undefined
  /** Why there is nothing, or nothing newer. */
  readonly fault: Fault | undefined
  readonly isLoading: boolean
  /** Reads again, and keeps what is there until that comes. */
  again(): void
}

interface State<T> {
  readonly key: string | null
  readonly data?: T
  readonly fault?: Fault
  readonly isLoading: boolean
}

/**
 * Reads while the component is there, and anew when the key changes: what comes late for an older one is dropped.
 * @param key names what is read; null: nothing is.
 */
export function useRead<T>(key: string | null, read: (signal: AbortSignal) => Promise<T>): Read<T> {
  const [state, setState] = useState<State<T>>({ key, isLoading: true })
  const [round, setRound] = useState(0)

  useEffect(() => {
    if (key === null) return
    const controller = new AbortController()
    const { signal } = controller
    setState((old) => (old.key === key ? { ...old, isLoading: true } : { key, isLoading: true }))
    read(signal).then(
      (data) => signal.aborted || setState({ key, data, isLoading: false }),
      (error) => signal.aborted || setState((old) => ({ ...old, key, fault: faultOf(error), isLoading: false })),
    )
    return () => controller.abort()
  }, [key, round])

  const current: State<T> = state.key === key ? state : { key, isLoading: true }
  return {
    data: current.data,
    fault: current.fault,
    isLoading: key !== null && current.isLoading,
    again: () => setRound((old) => old + 1),
  }
}
