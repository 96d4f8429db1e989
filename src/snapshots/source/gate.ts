import { AppError } from '../../errors.ts'

export interface GateOptions {
  /** How much is let in at once, in the unit of the gate: places, or bytes. */
  readonly capacity: number
  /** Most callers that wait. */
  readonly maxQueue: number
  /** Milliseconds that a caller waits before it is refused. */
  readonly queueMillis: number
}

/** Lets in what fits, and the others in the order in which they came. */
export interface Gate {
  /**
   * Waits for room. More than there is at all waits until it would be alone. The function that it gives frees the room; calling it
   * again does nothing.
   * @param weight in the unit of the gate; 1 when left out.
   * @throws AppError `OVERLOADED` when there was none in time; the signal's reason when that fires first.
   */
  enter(signal?: AbortSignal, weight?: number): Promise<() => void>
  /** Whether so much would be let in at once. */
  hasRoom(weight: number): boolean
  /** What is inside now. */
  taken(): number
  state(): GateState
}

export interface GateState {
  readonly capacity: number
  readonly taken: number
  readonly waiting: number
  /** Callers that were refused since the start, as there was no room in time. */
  readonly refused: number
}

interface Waiting {
  readonly weight: number
  admit(): void
}

export function createGate({ capacity, maxQueue, queueMillis }: GateOptions): Gate {
  const queue = new Set<Waiting>()
  let taken = 0
  let refused = 0

  const fits = (weight: number) => taken + weight <= capacity

  function place(weight: number): () => void {
    let isHeld = true
    taken += weight
    return () => {
      if (!isHeld) return
      isHeld = false
      taken -= weight
      admitNext()
    }
  }

  function admitNext(): void {
    for (const next of queue) {
      // In order: a large one is not passed over for ever by small ones.
      if (!fits(next.weight)) return
      next.admit()
    }
  }

  return {
    hasRoom: (weight) => queue.size === 0 && fits(weight),
    taken: () => taken,
    state: () => ({ capacity, taken, waiting: queue.size, refused }),
    async enter(signal, wanted = 1) {
      signal?.throwIfAborted()
      const weight = capacity === 0 ? wanted : Math.min(wanted, capacity)
      if (queue.size === 0 && fits(weight)) return place(weight)
      if (queue.size >= maxQueue) {
        refused++
        throw overloaded()
      }
      return await new Promise<() => void>((resolve, reject) => {
        const leave = () => {
          queue.delete(waiting)
          clearTimeout(timer)
          signal?.removeEventListener('abort', abort)
        }
        const refuse = (reason: unknown) => {
          leave()
          reject(reason)
          // Whoever stood behind it may fit.
          admitNext()
        }
        const abort = () => refuse(signal?.reason)
        const timer = setTimeout(() => {
          refused++
          refuse(overloaded())
        }, queueMillis)
        const waiting: Waiting = {
          weight,
          admit() {
            leave()
            resolve(place(weight))
          },
        }
        signal?.addEventListener('abort', abort)
        queue.add(waiting)
      })
    },
  }
}

function overloaded(): AppError {
  return new AppError('OVERLOADED', 'Too many payloads are on their way: try again')
}
