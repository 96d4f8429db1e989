import { Agent } from 'undici'
import { type Breaker, createBreaker } from '../../breaker.ts'
import { AppError, isAppError } from '../../errors.ts'

/** Whether the servers of one store answer: each by itself, as a bucket may have a host of its own. */
export interface OriginBreakers {
  /** @throws AppError `STORAGE_UNAVAILABLE` while the server is known not to answer. */
  admit(origin: string): Admitted
  close(): void
}

/** One request on its way; to be told what became of it. */
export interface Admitted {
  /** Whatever the answer says. */
  answered(): void
  /** There was none. @param signal that may have ended it. */
  failed(error: unknown, signal: AbortSignal | undefined): void
}

const FAILURES_TO_OPEN = 5
/** What breaks many connections at once, as a failover does, is no outage: the next ones are answered. */
const SILENCE_MS = 1000
const PROBE_INTERVAL_MS = 250
const PROBE_MS = 1000

/** Codes of Node and undici for a server that says nothing. Those of this machine's own troubles, and of bodies, are not among them. */
const SILENT =
  /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENETDOWN|ENETUNREACH|ENOTFOUND|EAI_AGAIN|UND_ERR_(CONNECT_TIMEOUT|HEADERS_TIMEOUT|SOCKET)$)/

/** @param onChange told when nothing is sent to one of them any more, and when there is none such again. */
export function createOriginBreakers(onChange?: (isOpen: boolean) => void): OriginBreakers {
  const breakers = new Map<string, Breaker>()
  const silent = new Set<string>()
  let agent: Agent | undefined

  /** Any answer will do, so it is asked as a stranger: what it thinks of our keys is not the question. */
  async function probe(origin: string): Promise<boolean> {
    agent ??= new Agent({ connections: 1, connect: { timeout: PROBE_MS }, pipelining: 0, allowH2: false })
    try {
      const signal = AbortSignal.timeout(PROBE_MS)
      const { body } = await agent.request({ origin, path: '/', method: 'HEAD', signal })
      await body.dump()
      return true
    } catch {
      return false
    }
  }

  function of(origin: string): Breaker {
    const known = breakers.get(origin)
    if (known) return known
    const breaker = createBreaker({
      threshold: FAILURES_TO_OPEN,
      silenceMs: SILENCE_MS,
      probeIntervalMs: PROBE_INTERVAL_MS,
      probe: () => probe(origin),
      onChange(isOpen) {
        const before = silent.size
        if (isOpen) silent.add(origin)
        else silent.delete(origin)
        if (before === 0 || silent.size === 0) onChange?.(isOpen)
      },
    })
    breakers.set(origin, breaker)
    return breaker
  }

  return {
    admit(origin) {
      const breaker = of(origin)
      if (breaker.isOpen()) throw new AppError('STORAGE_UNAVAILABLE', 'Object storage does not answer for now')
      const call = breaker.begin()
      return {
        answered: () => breaker.succeeded(),
        failed(error, signal) {
          if (signal?.aborted ? isAppError(signal.reason, 'STORAGE_TIMEOUT') : isSilence(error)) breaker.failed(call)
        },
      }
    },
    close() {
      for (const breaker of breakers.values()) breaker.close()
      agent?.destroy().catch(() => undefined)
      agent = undefined
    },
  }
}

function isSilence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && SILENT.test(String(error.code))
}
