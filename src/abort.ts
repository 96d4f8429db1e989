/** What work listens to that ends with somebody: an `AbortSignal`, or a `Stop`, which costs next to nothing where nobody has to wait. */
export interface StopSignal {
  readonly aborted: boolean
  /** Undefined before it is aborted. */
  readonly reason: unknown
  /** To be taken back by whoever waits no longer. */
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export interface Stop extends StopSignal {
  /** Calls all listeners, once; from then on it stays aborted. */
  abort(reason: unknown): void
}

export function createStop(): Stop {
  return new PlainStop()
}

/** A class, since every request and every operation has one. */
class PlainStop implements Stop {
  aborted = false
  reason: unknown = undefined
  // Most have one listener at a time, if any.
  #only: (() => void) | undefined
  #others: Set<() => void> | undefined

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#only === undefined) this.#only = listener
    else {
      this.#others ??= new Set()
      this.#others.add(listener)
    }
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#only === listener) this.#only = undefined
    else this.#others?.delete(listener)
  }

  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    const listeners = [...(this.#only ? [this.#only] : []), ...(this.#others ?? [])]
    this.#only = undefined
    this.#others = undefined
    for (const listener of listeners) listener()
  }
}

/** For those that take nothing else. */
export function toAbortSignal(stop: StopSignal): AbortSignal {
  if (stop instanceof AbortSignal) return stop
  if (stop.aborted) return AbortSignal.abort(stop.reason)
  const controller = new AbortController()
  stop.addEventListener('abort', () => controller.abort(stop.reason))
  return controller.signal
}

/** Settles as `promise` does, or rejects with the signal's reason as soon as that is aborted. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
