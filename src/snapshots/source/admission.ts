import { AppError } from '../../errors.ts'

export interface AdmissionOptions {
  /** Most streams at once: twice as many must leave sockets of the storage client free, since an answer opens one ahead. */
  readonly maxStreams?: number
  /** Most callers that wait for a place. */
  readonly maxQueue?: number
  /** Milliseconds that a caller waits before it is refused. */
  readonly queueMillis?: number
}

/** Bounds how many payloads are on their way at once, and with them sockets, files and memory. */
export interface Admission {
  /**
   * Waits for a place. The function that it gives frees the place; calling it again does nothing.
   * @throws AppError `OVERLOADED` when none became free in time; the signal's reason when that fires first.
   */
  enter(signal?: AbortSignal): Promise<() => void>
}

export function createAdmission(options: AdmissionOptions = {}): Admission {
  const { maxStreams = 24, maxQueue = 256, queueMillis = 2000 } = options
  const waiting = new Set<() => void>()
  let taken = 0

  function leave(): void {
    const [next] = waiting
    if (next) next()
    else taken--
  }

  function place(): () => void {
    let held = true
    return () => {
      if (held) leave()
      held = false
    }
  }

  return {
    async enter(signal) {
      signal?.throwIfAborted()
      if (taken < maxStreams) {
        taken++
        return place()
      }
      if (waiting.size >= maxQueue) throw overloaded()
      return await new Promise<() => void>((resolve, reject) => {
        const settle = (finish: () => void) => {
          waiting.delete(admit)
          clearTimeout(timer)
          signal?.removeEventListener('abort', abort)
          finish()
        }
        const admit = () => settle(() => resolve(place()))
        const abort = () => settle(() => reject(signal?.reason))
        const timer = setTimeout(() => settle(() => reject(overloaded())), queueMillis)
        signal?.addEventListener('abort', abort)
        waiting.add(admit)
      })
    },
  }
}

function overloaded(): AppError {
  return new AppError('OVERLOADED', 'Too many payloads are on their way: try again')
}
