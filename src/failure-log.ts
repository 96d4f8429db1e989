import { isAppError } from './errors.ts'
import type { Logger } from './log.ts'

/** Tells the log of failures. */
export interface FailureLog {
  /**
   * Tells of one in a line of its own; of those that an outage brings by the hundred, the first, and from then on how many more there
   * were, once in ten seconds.
   */
  tell(log: Logger, failure: Told): void
  close(): void
}

export interface Told {
  readonly error: unknown
  readonly what: string
  /** Default `error`. */
  readonly level?: 'warn' | 'error'
}

interface Outage {
  /** Not told of yet. */
  count: number
  last: { readonly log: Logger } & Told
}

const INTERVAL_MILLIS = 10_000
/** Kinds of failures that are counted at once: stores may call theirs as they like. */
const KINDS_MAX = 100

export function createFailureLog(): FailureLog {
  const outages = new Map<string, Outage>()
  const timers = new Set<NodeJS.Timeout>()

  function sumUpLater(kind: string): void {
    const timer = setTimeout(() => {
      timers.delete(timer)
      sumUp(kind)
    }, INTERVAL_MILLIS).unref()
    timers.add(timer)
  }

  function sumUp(kind: string): void {
    const { count = 0, last } = outages.get(kind) ?? {}
    outages.delete(kind)
    if (!last || count === 0) return
    const { log, error, what, level = 'error' } = last
    log[level]({ err: error, more: count }, what)
    outages.set(kind, { count: 0, last })
    sumUpLater(kind)
  }

  return {
    tell(log, told) {
      const { error, what, level = 'error' } = told
      const kind = kindOf(error, what)
      const outage = kind === null ? undefined : outages.get(kind)
      if (outage) {
        outage.count += 1
        outage.last = { log, ...told }
        return
      }
      log[level]({ err: error }, what)
      if (kind === null || outages.size >= KINDS_MAX) return
      outages.set(kind, { count: 0, last: { log, ...told } })
      sumUpLater(kind)
    },
    close() {
      for (const timer of timers) clearTimeout(timer)
      timers.clear()
      for (const kind of [...outages.keys()]) sumUp(kind)
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

/** Those that are alike come from one outage; null for what stands alone. */
function kindOf(error: unknown, what: string): string | null {
  if (!isAppError(error) || !error.isRetryable) return null
  const { cause } = error
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return [what, error.code, why].join(' ')
}
