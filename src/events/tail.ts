import { hasSeen, type Seen } from '../model/seen.ts'
import { BEGINNING, type Place } from './cursor.ts'
import { type LiveEvent, placeAt } from './event.ts'
import type { Membership } from './hub.ts'
import type { Source } from './watch.ts'

/** What a subscriber is told that was committed before it came, in pages. */
export interface Past {
  /** The next page. `seen` comes with the last one: what it does not see is to come. */
  read(signal: AbortSignal): Promise<PastPage>
  /** Begins anew behind a place. */
  goBack(place: Place): void
}

export interface PastPage {
  readonly events: readonly LiveEvent[]
  readonly seen: Seen | null
}

export interface TailOptions {
  readonly membership: Membership
  readonly past: Past
  readonly cursorOf: (event: LiveEvent) => string
  /** What of the topic is told; all of it when left out. */
  readonly isWanted?: (event: LiveEvent) => boolean
  /** After so long without an event it is said again that all is told. */
  readonly idleMillis: number
}

/** A subscriber reads few at a time, so that what it reads next may have become newer meanwhile. */
const BATCH = 50
const MIDWAY_MILLIS = 200

/**
 * What was before, then what happens. Of what is in both the past has it. Whoever falls so far behind that the ring has forgotten what
 * comes next goes back to the past.
 */
export function createTail({ membership, past, cursorOf, isWanted = () => true, idleMillis }: TailOptions): Source {
  const { topic } = membership
  let position = membership.begin
  let place = BEGINNING
  let joint: Seen | null = null
  let toldAt = performance.now()
  let isOver = false

  function tell(events: readonly LiveEvent[]): readonly LiveEvent[] {
    toldAt = performance.now()
    place = events.at(-1)?.place ?? place
    isOver = events.some(({ kind }) => kind === 'RunEnded')
    return events
  }

  function isNew(event: LiveEvent, seen: Seen): boolean {
    return !('xid' in event && event.xid !== null && hasSeen(seen, event.xid)) && isWanted(event)
  }

  /** @returns null while there is nothing to tell. */
  async function readLive(seen: Seen): Promise<readonly LiveEvent[] | null> {
    const part = topic.read(position, BATCH)
    if (!part) {
      joint = null
      // Before the past is read: what comes in between is in both.
      position = topic.end
      past.goBack(place)
      return null
    }
    position = part.next
    const events = part.events.filter((event) => isNew(event, seen))
    if (events.length > 0) return tell(events)
    if (position < topic.end) return null
    return await idle(seen)
  }

  async function idle(seen: Seen): Promise<readonly LiveEvent[] | null> {
    const left = toldAt + idleMillis - performance.now()
    const head = left > 0 ? null : membership.head()
    if (!head) {
      await membership.wait(left > 0 ? left : MIDWAY_MILLIS)
      return null
    }
    return tell([{ kind: 'CaughtUp', place: placeAt(head.seen.end < seen.end ? seen : head.seen) }])
  }

  return {
    async read(signal) {
      while (!isOver && !membership.isOver) {
        if (joint) {
          const events = await readLive(joint)
          if (events) return events
          continue
        }
        const { events, seen } = await past.read(signal)
        joint = seen
        if (events.length > 0) return tell(events)
      }
      return null
    },
    cursorOf,
    close: () => membership.leave(),
  }
}
