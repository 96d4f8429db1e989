import { AppError } from '../errors.ts'

/** Ends what is done for an operation: when its client goes away, and when its time is over. */
export interface Deadline {
  /** Fires with a `Departure`, or with `DATABASE_TIMEOUT`. */
  readonly signal: AbortSignal
  /** The operation is done in time. The signal goes on for what is still read while the answer is sent. */
  keep(): void
}

export interface DeadlineOptions {
  /** Fires when the client goes away; asked for when the deadline's own signal is. */
  readonly client: () => AbortSignal
  /** Milliseconds from now; undefined: only the client ends it. */
  readonly millis?: number | undefined
}

export function createDeadline({ client, millis }: DeadlineOptions): Deadline {
  const begin = performance.now()
  let controller: AbortController | undefined
  let timer: NodeJS.Timeout | undefined
  let isKept = millis === undefined

  function start(): AbortController {
    const made = new AbortController()
    const gone = client()
    if (gone.aborted) made.abort(gone.reason)
    else gone.addEventListener('abort', () => made.abort(gone.reason), { once: true })
    if (!isKept) timer = setTimeout(() => made.abort(late(millis)), (millis ?? 0) - (performance.now() - begin)).unref()
    return made
  }

  return {
    // Made when somebody asks: an operation that waits for nothing needs none.
    get signal() {
      controller ??= start()
      return controller.signal
    },
    keep() {
      isKept = true
      clearTimeout(timer)
    },
  }
}

function late(millis = 0): AppError {
  return new AppError('DATABASE_TIMEOUT', `The operation took longer than ${millis / 1000} seconds`)
}
