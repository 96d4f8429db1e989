import { createStop, type Stop, type StopSignal, toAbortSignal } from '../abort.ts'
import { AppError } from '../errors.ts'

/** Ends what is done for an operation: when its client goes away, and when its time is over. */
export interface Deadline {
  /** Fires with a `Departure`, or with `DATABASE_TIMEOUT`. */
  readonly stop: StopSignal
  /** The same, for those that take nothing else: it is dearer. */
  readonly signal: AbortSignal
  /** The operation is done in time. Both go on for what is still read while the answer is sent. */
  keep(): void
}

export interface DeadlineOptions {
  /** Fires when the client goes away; asked for when the deadline itself is. */
  readonly client: () => StopSignal
  /** Milliseconds from when it is first asked for; undefined: only the client ends it. */
  readonly millis?: number | undefined
}

export function createDeadline(options: DeadlineOptions): Deadline {
  return new LazyDeadline(options)
}

/** Made when somebody asks: an operation that waits for nothing needs none. */
class LazyDeadline implements Deadline {
  readonly #options: DeadlineOptions
  #stop: Stop | undefined
  #signal: AbortSignal | undefined
  #timer: NodeJS.Timeout | undefined
  #isKept = false

  constructor(options: DeadlineOptions) {
    this.#options = options
  }

  get stop(): StopSignal {
    this.#stop ??= this.#start()
    return this.#stop
  }

  get signal(): AbortSignal {
    this.#signal ??= toAbortSignal(this.stop)
    return this.#signal
  }

  #start(): Stop {
    const { client, millis } = this.#options
    const stop = createStop()
    const gone = client()
    if (gone.aborted) stop.abort(gone.reason)
    else gone.addEventListener('abort', () => stop.abort(gone.reason))
    // Always the same time: Node keeps timers by how long they run.
    if (millis !== undefined && !this.#isKept) this.#timer = setTimeout(() => stop.abort(late(millis)), millis).unref()
    return stop
  }

  keep(): void {
    this.#isKept = true
    clearTimeout(this.#timer)
  }
}

function late(millis: number): AppError {
  return new AppError('DATABASE_TIMEOUT', `The operation took longer than ${millis / 1000} seconds`)
}
