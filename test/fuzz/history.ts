import { playHistory } from '../history/history.ts'
import type { StoreKind } from '../history/world.ts'
import { globalSetup, globalTeardown } from '../support/global-setup.ts'
import type { Fuzz } from './run.ts'

const KINDS: readonly StoreKind[] = ['file', 's3']

export interface HistoryFuzzOptions {
  readonly operations: number
  /** In turns, where it is left out. */
  readonly store?: StoreKind | undefined
}

/** Captures, reads, deletes and sweeps on two servers, with faults and kills, beside a model of what was acknowledged. */
export async function openHistory({ operations, store }: HistoryFuzzOptions): Promise<Fuzz> {
  await globalSetup()
  const total = { operations: 0, states: 0, unexplained: 0 }
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
  return {
    async check(seed) {
      if (stopping.signal.aborted) return
      const kind = store ?? KINDS[seed % KINDS.length] ?? 'file'
      const began = performance.now()
      const played = await playHistory({ kind, seed, operations, signal: stopping.signal })
      total.operations += played.operations
      total.unexplained += played.unexplained
      total.states += played.states
      const seconds = Math.round((performance.now() - began) / 1000)
      const told = JSON.stringify(Object.fromEntries([...played.counts].toSorted()))
      process.stdout.write(
        `history ${seed}, ${kind}: ${played.operations} operations in ${seconds} s, ${played.states} states; ${told}\n`,
      )
    },
    told: () =>
      `${total.operations} operations of histories, ${total.states} states read back, ${total.unexplained} errors without a cause`,
    [Symbol.asyncDispose]: globalTeardown,
  }
}
