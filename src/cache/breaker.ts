export interface Breaker {
  /** While it is open nobody should ask: the answer would only come late, or not at all. */
  isOpen(): boolean
  succeeded(): void
  failed(): void
  close(): void
}

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly threshold: number
  readonly probeIntervalMs: number
  /** Asks the server whether it answers again. Never rejects. */
  readonly probe: () => Promise<boolean>
}

/**
 * Stops asking a server that does not answer. While it is open a probe asks in the background, so that no request has to
 * pay for finding out; the first probe that is answered closes it.
 */
export function createBreaker({ threshold, probeIntervalMs, probe }: BreakerOptions): Breaker {
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function isOpen(): boolean {
    return failures >= threshold
  }

  function probeLater(): void {
    timer ??= setTimeout(async () => {
      const answered = await probe()
      timer = undefined
      if (answered) failures = 0
      if (isOpen() && !closed) probeLater()
    }, probeIntervalMs).unref()
  }

  return {
    isOpen,

    succeeded() {
      failures = 0
    },

    failed() {
      failures += 1
      if (isOpen() && !closed) probeLater()
    },

    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
