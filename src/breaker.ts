export interface Breaker {
  /** While it is open nobody should ask: the answer would only come late, or not at all. */
  isOpen(): boolean
  /** Notes that the server answers, whatever it says. */
  succeeded(): void
  /** Notes that one call brought no answer. @param call what `begin` gave it; one that began before the last answer of all says nothing. */
  failed(call?: Call): void
  /** To be called before a call whose failure is to count from its beginning on. */
  begin(): Call
  close(): void
}

/** When a call began. */
export interface Call {
  readonly era: number
  /** On the clock of the process, in milliseconds. */
  readonly at: number
}

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly threshold: number
  /** How long there must have been no answer until it opens, in milliseconds: many calls that one event breaks are no outage; default 0. */
  readonly silenceMs?: number
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
export function createBreaker(options: BreakerOptions): Breaker {
  const { threshold, silenceMs = 0, probeIntervalMs, probe, onChange } = options
  let failures = 0
  let silentSince = 0
  let isOpen = false
  /** Counts how often it was closed: what began before tells of a trouble that is over. */
  let era = 0
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const begin = (): Call => ({ era, at: performance.now() })

  function closeAgain(): void {
    failures = 0
    era += 1
    if (!isOpen) return
    isOpen = false
    onChange?.(false)
  }

  function probeLater(): void {
    timer ??= setTimeout(async () => {
      const answered = await probe()
      timer = undefined
      if (answered) closeAgain()
      else if (isOpen && !closed) probeLater()
    }, probeIntervalMs).unref()
  }

  return {
    begin,
    isOpen: () => isOpen,

    succeeded() {
      if (isOpen) closeAgain()
      failures = 0
    },

    failed(call = begin()) {
      if (closed || call.era !== era) return
      silentSince = failures === 0 ? call.at : Math.min(silentSince, call.at)
      failures += 1
      if (failures < threshold || performance.now() - silentSince < silenceMs) return
      if (!isOpen) {
        isOpen = true
        onChange?.(true)
      }
      probeLater()
    },

    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
