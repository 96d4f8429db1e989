import type { Topic } from './topic.ts'

/** Those who wait for an event, or for their time: one timer for all of them. */
export interface Waits {
  /** `over` resolves with the next event of the topic, after so long, or when it is woken. */
  begin(topic: Topic, millis: number): { readonly over: Promise<void>; readonly wake: () => void }
  /** Wakes those whose time is over; to be called again and again. */
  tick(): void
}

interface Wait {
  readonly until: number
  readonly wake: () => void
}

export function createWaits(): Waits {
  const all = new Set<Wait>()
  return {
    begin(topic, millis) {
      const { promise: over, resolve } = Promise.withResolvers<void>()
      const wake = () => {
        takeBack()
        all.delete(wait)
        resolve()
      }
      const wait: Wait = { until: performance.now() + millis, wake }
      const takeBack = topic.onNext(wake)
      all.add(wait)
      return { over, wake }
    },
    tick() {
      const now = performance.now()
      for (const { until, wake } of [...all]) if (until <= now) wake()
    },
  }
}
