import { LRUCache } from 'lru-cache'
import { unlessAborted } from '../../abort.ts'
import { AppError, Departure, isAppError } from '../../errors.ts'
import type { Gate } from '../source/gate.ts'

export interface LookOptions {
  /** Fires when this caller goes; the pass goes on. */
  readonly signal?: AbortSignal | undefined
  /** How long this caller waits for it, in milliseconds. */
  readonly waitMillis: number
}

/** One pass over bytes of a state. */
export interface Pass<T> {
  /** Of what it gives, and of what it reads. */
  readonly name: string
  /** That it reads; null where only reading tells. */
  readonly sizeBytes: number | null
  /** @param tell takes how many bytes more were read. */
  run(tell: (count: number) => void, signal: AbortSignal): Promise<T>
}

/** Passes that take their time: each once for all who need it, to its end whoever leaves, in a place of its own. */
export interface Passes<T> {
  /**
   * @throws AppError `STORAGE_TIMEOUT` with its `progress` where the caller's time is over: the next call finds it further, or
   * done. What the pass throws, and for a while again where the state is wrong; the signal's reason.
   */
  wait(pass: Pass<T>, options: LookOptions): Promise<T>
  /** Ends what is under way. */
  close(): void
}

interface Running<T> {
  readonly result: Promise<T>
  readBytes: number
}

/** What was found wrong is not read again for so long; another version is another state. */
const WRONG_MILLIS = 60_000
const WRONG_MAX = 1000

export function createPasses<T>(gate: Gate): Passes<T> {
  const running = new Map<string, Running<T>>()
  const wrong = new LRUCache<string, AppError>({ max: WRONG_MAX, ttl: WRONG_MILLIS })
  const closing = new AbortController()

  async function run(pass: Pass<T>, tell: (count: number) => void): Promise<T> {
    const { signal } = closing
    const leave = await gate.enter(signal)
    try {
      return await pass.run(tell, signal)
    } finally {
      leave()
    }
  }

  function begin(pass: Pass<T>): Running<T> {
    const { name } = pass
    const begun: Running<T> = {
      readBytes: 0,
      result: Promise.try(run, pass, (count) => {
        begun.readBytes += count
      }),
    }
    begun.result
      .catch((error: unknown) => {
        if (isAppError(error, 'INVALID_PAYLOAD') || isAppError(error, 'OBJECT_CORRUPT')) wrong.set(name, error)
      })
      .finally(() => running.delete(name))
    running.set(name, begun)
    return begun
  }

  return {
    async wait(pass, { signal, waitMillis }) {
      const known = wrong.get(pass.name)
      if (known) throw known
      const look = running.get(pass.name) ?? begin(pass)
      const time = AbortSignal.timeout(Math.max(0, Math.ceil(waitMillis)))
      try {
        return await unlessAborted(look.result, signal ? AbortSignal.any([signal, time]) : time)
      } catch (error) {
        if (error !== time.reason) throw error
        throw notYet({ readBytes: look.readBytes, sizeBytes: pass.sizeBytes })
      }
    },
    close: () => closing.abort(new Departure('The server stops')),
  }
}

function notYet(progress: { readonly readBytes: number; readonly sizeBytes: number | null }): AppError {
  const message = 'The state is read for the first time, and that takes longer: try again'
  return new AppError('STORAGE_TIMEOUT', message, { details: { progress } })
}
