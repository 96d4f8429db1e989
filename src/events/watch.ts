import { Departure } from '../errors.ts'
import type { LiveEvent } from './event.ts'

/** An event as one subscriber gets it. */
export interface Delivery<Event extends LiveEvent = LiveEvent> {
  readonly event: Event
  /** Has whoever gives it back go on behind the event. */
  readonly cursor: string
}

/**
 * The events of one subscriber, one at a time. Written by hand: an async generator would stay alive after its reader until the next event.
 * It rejects with an `AppError` where it cannot go on.
 */
export interface Watch extends AsyncIterable<Delivery> {
  next(): Promise<IteratorResult<Delivery, undefined>>
  /** Lets go of all that it holds, at once; a `next` that waits resolves as done. */
  return(): Promise<IteratorResult<Delivery, undefined>>
  /** What comes next, as far as it is at hand. */
  ahead(): readonly Delivery[]
  [Symbol.asyncIterator](): Watch
}

/** Where the events of a watch come from. */
export interface Source {
  /** The next ones, however long that takes; null when there are no more. */
  read(signal: AbortSignal): Promise<readonly LiveEvent[] | null>
  cursorOf(event: LiveEvent): string
  /** Called once. */
  close(): void
}

const DONE: IteratorResult<Delivery, undefined> = { done: true, value: undefined }

export function createWatch({ read, cursorOf, close }: Source): Watch {
  const stopping = new AbortController()
  let batch: readonly Delivery[] = []
  let at = 0

  function end(): IteratorResult<Delivery, undefined> {
    if (stopping.signal.aborted) return DONE
    stopping.abort(new Departure())
    batch = []
    close()
    return DONE
  }

  const watch: Watch = {
    async next() {
      try {
        while (at >= batch.length) {
          if (stopping.signal.aborted) return DONE
          const events = await read(stopping.signal)
          if (events === null || stopping.signal.aborted) return end()
          batch = events.map((event) => ({ event, cursor: cursorOf(event) }))
          at = 0
        }
        return { done: false, value: batch[at++] as Delivery }
      } catch (error) {
        if (stopping.signal.aborted) return DONE
        end()
        throw error
      }
    },
    return: async () => end(),
    ahead: () => batch.slice(at),
    [Symbol.asyncIterator]: () => watch,
  }
  return watch
}
