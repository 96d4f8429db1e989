import { setTimeout as delay } from 'node:timers/promises'
import { isLastOne, type LiveEvent } from './event.ts'
import { patiently } from './patience.ts'
import type { Past } from './tail.ts'
import type { Source } from './watch.ts'

export interface Pace {
  /** How many times as fast as it happened. */
  readonly speed: number
  /** No gap is longer, in milliseconds. */
  readonly maxGapMs: number
}

export interface ReplayOptions extends Pace {
  readonly past: Past
  readonly cursorOf: (event: LiveEvent) => string
}

/** Whoever reads later than this is not behind: the next gap is counted from when it reads. */
const LATE_MILLIS = 100

/** A run once more, one event a snapshot, with the gaps that there were. What comes after the last snapshot waits for nothing. */
export function createReplay({ past, cursorOf, speed, maxGapMs }: ReplayOptions): Source {
  const coming: LiveEvent[] = []
  let reading: Promise<void> | undefined
  let isWhole = false
  let before: { readonly at: number; readonly due: number } | null = null

  /** Reads ahead while the last ones are waited for: gaps are as long as they are, whatever the next page takes. */
  function readOn(signal: AbortSignal): Promise<void> {
    reading ??= patiently(() => past.read(signal), signal)
      .then(({ events, seen }) => {
        isWhole = seen !== null
        coming.push(...(isWhole ? withOneEnd(events) : events))
      })
      .finally(() => {
        reading = undefined
      })
    // Whoever needs it waits for it, and hears of it.
    reading.catch(() => {})
    return reading
  }

  async function wait(event: LiveEvent, signal: AbortSignal): Promise<void> {
    if (event.kind !== 'SnapshotCaptured') return
    const at = Date.parse(event.snapshot.createdAt)
    const gap = before ? Math.min(Math.max(at - before.at, 0) / speed || 0, maxGapMs) : 0
    const now = performance.now()
    const from = before && now - before.due < LATE_MILLIS ? before.due : now
    const due = from + gap
    before = { at, due }
    if (due > now) await delay(due - now, undefined, { signal })
  }

  return {
    async read(signal) {
      while (coming.length === 0) {
        if (isWhole) return null
        await readOn(signal)
      }
      const event = coming.shift() as LiveEvent
      if (coming.length === 0 && !isWhole) readOn(signal)
      await wait(event, signal)
      return [event]
    },
    cursorOf,
    close() {},
  }
}

/** A run that has ended has one end, and one that has not yet is played up to here. */
function withOneEnd(events: readonly LiveEvent[]): readonly LiveEvent[] {
  const hasEnded = events.some(isLastOne)
  return events.flatMap((event): LiveEvent | [] => {
    if (event.kind !== 'CaughtUp') return event
    return hasEnded ? [] : { ...event, isLast: true }
  })
}
