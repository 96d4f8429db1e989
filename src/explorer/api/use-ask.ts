import type { TypedText } from '../generated/documents.ts'
import { ask } from './client.ts'
import type { Fault } from './fault.ts'
import { type Read, useRead } from './use-read.ts'

export interface Asked<Data> extends Read<Data> {
  /** Of single places; what stands around them is there. */
  readonly faults: readonly Fault[]
}

/**
 * Asks while the component is there, and anew when the variables change.
 * @param variables null: nothing is asked.
 */
export function useAsk<Data, Variables>(
  document: TypedText<Data, Variables>,
  variables: Variables | null,
): Asked<Data> {
  const read = useRead(variables && document + JSON.stringify(variables), (signal) =>
    ask(document, variables as Variables, signal),
  )
  return { ...read, data: read.data?.data, faults: read.data?.faults ?? [] }
}
