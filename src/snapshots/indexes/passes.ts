import { LRUCache } from 'lru-cache'
import { unlessAborted } from '../../abort.ts'
import { AppError, Departure, isAppError } from '../../errors.ts'
import type { Gate } from '../source/gate.ts'

export interface LookOptions {
  /** Fires when this caller goes: the pass goes on for those who are left. */
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

/**
 * Passes that take their time: each once for all who need it, in a place of its own. It goes on between two calls, and ends where nobody
 * has come again in time.
 */
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
  readonly stopping: AbortController
  readBytes: number
  /** Who waits for it now. */
  callers: number
  /** Ends it; undefined while somebody waits. */
  end: NodeJS.Timeout | undefined
}

/** How long a pass goes on for nobody, in milliseconds. */
export interface PassLimits {
  /** After somebody was told to ask again. */
  readonly toldMillis?: number
  /** After the last one has left. Whoever broke off at the end of his patience, and asks again, still finds it. */
  readonly leftMillis?: number
}

const TOLD_MILLIS = 60_000
const LEFT_MILLIS = 10_000

/** What was found wrong is not read again for so long; another version is another state. */
const WRONG_MILLIS = 60_000
const WRONG_MAX = 1000

export function createPasses<T>(gate: Gate, limits: PassLimits = {}): Passes<T> {
  const { toldMillis = TOLD_MILLIS, leftMillis = LEFT_MILLIS } = limits
  const running = new Map<string, Running<T>>()
  const wrong = new LRUCache<string, AppError>({ max: WRONG_MAX, ttl: WRONG_MILLIS })

  async function run(pass: Pass<T>, tell: (count: number) => void, signal: AbortSignal): Promise<T> {
    const leave = await gate.enter(signal)
    try {
      return await pass.run(tell, signal)
    } finally {
      leave()
    }
  }

  function begin(pass: Pass<T>): Running<T> {
    const { name } = pass
    const stopping = new AbortController()
    const tell = (count: number) => {
      begun.readBytes += count
    }
    const result = Promise.try(run, pass, tell, stopping.signal)
    const begun: Running<T> = { readBytes: 0, callers: 0, end: undefined, stopping, result }
    begun.result
      .catch((error: unknown) => {
        if (isAppError(error, 'INVALID_PAYLOAD') || isAppError(error, 'OBJECT_CORRUPT')) wrong.set(name, error)
      })
      .finally(() => {
        clearTimeout(begun.end)
        if (running.get(name) === begun) running.delete(name)
      })
    running.set(name, begun)
    return begun
  }

  function leave(name: string, look: Running<T>, millis: number): void {
    look.callers--
    if (look.callers > 0 || running.get(name) !== look) return
    look.end = setTimeout(() => {
      // Whoever comes from now on begins anew.
      running.delete(name)
      look.stopping.abort(new Departure('Nobody waits for it any more'))
    }, millis)
    look.end.unref()
  }

  return {
    async wait(pass, { signal, waitMillis }) {
      const known = wrong.get(pass.name)
      if (known) throw known
      const look = running.get(pass.name) ?? begin(pass)
      look.callers++
      clearTimeout(look.end)
      const time = AbortSignal.timeout(Math.max(0, Math.ceil(waitMillis)))
      let isTold = false
      try {
        return await unlessAborted(look.result, signal ? AbortSignal.any([signal, time]) : time)
      } catch (error) {
        if (error !== time.reason) throw error
        isTold = true
        throw notYet({ readBytes: look.readBytes, sizeBytes: pass.sizeBytes })
      } finally {
        leave(pass.name, look, isTold ? toldMillis : leftMillis)
      }
    },
    close() {
      for (const { stopping } of running.values()) stopping.abort(new Departure('The server stops'))
    },
  }
}

function notYet(progress: { readonly readBytes: number; readonly sizeBytes: number | null }): AppError {
  const message = 'The state is read for the first time, and that takes longer: try again'
  return new AppError('STORAGE_TIMEOUT', message, { details: { progress } })
}
