/** Lets a few through at a time; the others wait in the order they came. */
export interface Turns {
  /** Resolves when it is this one's turn; whoever got one gives it back by `leave`. @throws the signal's reason. */
  enter(): Promise<void>
  leave(): void
}

export function createTurns(atOnce: number, signal?: AbortSignal): Turns {
  const waiting: PromiseWithResolvers<void>[] = []
  let inside = 0
  let isHeard = false

  /** One listener, however many wait, and none where nobody has to. */
  function hear(): void {
    if (isHeard) return
    isHeard = true
    signal?.addEventListener('abort', () => {
      for (const { reject } of waiting.splice(0)) reject(signal.reason)
    })
  }

  return {
    async enter() {
      signal?.throwIfAborted()
      if (inside < atOnce) {
        inside++
        return
      }
      hear()
      const turn = Promise.withResolvers<void>()
      waiting.push(turn)
      await turn.promise
    },
    leave() {
      const next = waiting.shift()
      if (next) next.resolve()
      else inside--
    },
  }
}
