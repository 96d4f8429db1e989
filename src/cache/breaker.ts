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
  /** Told when it opens, and when it closes. */
  readonly onChange?: ((isOpen: boolean) => void) | undefined
}

/**
 * Stops asking a server that does not answer. While it is open a probe asks in the background, so that no request has to
 * pay for finding out; the first probe that is answered closes it.
 */
export function createBreaker({ threshold, probeIntervalMs, probe, onChange }: BreakerOptions): Breaker {
  let failures = 0
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function isOpen(): boolean {
    return failures >= threshold
  }

  function count(now: number): void {
    const wasOpen = isOpen()
    failures = now
    if (isOpen() !== wasOpen) onChange?.(!wasOpen)
  }

  function probeLater(): void {
    timer ??= setTimeout(async () => {
      const answered = await probe()
      timer = undefined
      if (answered) count(0)
      if (isOpen() && !closed) probeLater()
    }, probeIntervalMs).unref()
  }

  return {
    isOpen,

    succeeded() {
      count(0)
    },

    failed() {
      count(failures + 1)
      if (isOpen() && !closed) probeLater()
    },

    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
