import type { StopSignal } from './abort.ts'

/** Lets a few through at a time; the others wait in the order they came. */
export interface Turns {
  /** Whoever has a turn gives it back by `leave`. @returns nothing when it is this one's turn; otherwise what resolves when it is, or rejects with the signal's reason. */
  enter(): Promise<void> | undefined
  leave(): void
  /** How many have one. */
  taken(): number
}

export function createTurns(atOnce: number, signal?: StopSignal): Turns {
  let waiting: PromiseWithResolvers<void>[] | undefined
  let inside = 0

  /** One listener, however many wait, and none where nobody has to. */
  function hear(): PromiseWithResolvers<void>[] {
    const queue: PromiseWithResolvers<void>[] = []
    signal?.addEventListener('abort', () => {
      for (const { reject } of queue.splice(0)) reject(signal.reason)
    })
    return queue
  }

  return {
    enter() {
      if (inside < atOnce) {
        inside++
        return undefined
      }
      if (signal?.aborted) return Promise.reject(signal.reason)
      waiting ??= hear()
      const turn = Promise.withResolvers<void>()
      waiting.push(turn)
      return turn.promise
    },
    leave() {
      const next = waiting?.shift()
      if (next) next.resolve()
      else inside--
    },
    taken: () => inside,
  }
}
