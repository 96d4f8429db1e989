import { type LiveEvent, sizeOf, subjectOf } from './event.ts'

/** The last events of one run, or of all: a reader is a place in it, and what it has not read costs nothing. */
export interface Topic {
  /** The place behind its last event. */
  readonly end: number
  /** Events from a place on; null where some of them are gone. One that a newer one replaces is left out. */
  read(from: number, limit: number): { readonly events: readonly LiveEvent[]; readonly next: number } | null
  /** Calls back once, at the next event. @returns what takes it back. */
  onNext(wake: () => void): () => void
}

interface Entry {
  readonly number: number
  readonly event: LiveEvent
  readonly sizeBytes: number
}

/** A topic, as whoever fills it has it. */
export interface OpenTopic extends Topic {
  readers: number
  /** @returns its size. */
  add(number: number, event: LiveEvent): number
  dropFirst(): Entry | undefined
  /** Every reader has fallen behind after that. */
  dropAll(): readonly Entry[]
}

export function createTopic(): OpenTopic {
  let entries: Entry[] = []
  let first = 0
  /** The last place of each subject. */
  const newest = new Map<string, number>()
  const waiting = new Set<() => void>()

  function wakeAll(): void {
    const woken = [...waiting]
    waiting.clear()
    for (const wake of woken) wake()
  }

  return {
    readers: 0,
    get end() {
      return first + entries.length
    },
    read(from, limit) {
      if (from < first) return null
      const events: LiveEvent[] = []
      let next = from
      for (; next < first + entries.length && events.length < limit; next++) {
        const event = entries[next - first]?.event
        const subject = event && subjectOf(event)
        if (event && (subject == null || newest.get(subject) === next)) events.push(event)
      }
      return { events, next }
    },
    onNext(wake) {
      waiting.add(wake)
      return () => waiting.delete(wake)
    },
    add(number, event) {
      const subject = subjectOf(event)
      if (subject !== null) newest.set(subject, first + entries.length)
      const entry = { number, event, sizeBytes: sizeOf(event) }
      entries.push(entry)
      wakeAll()
      return entry.sizeBytes
    },
    dropFirst() {
      const entry = entries.shift()
      const subject = entry && subjectOf(entry.event)
      if (subject != null && newest.get(subject) === first) newest.delete(subject)
      if (entry) first++
      return entry
    },
    dropAll() {
      const dropped = entries
      first += dropped.length + 1
      entries = []
      newest.clear()
      wakeAll()
      return dropped
    },
  }
}
