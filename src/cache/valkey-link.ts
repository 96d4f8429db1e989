import { setTimeout as delay } from 'node:timers/promises'
import { createBreaker } from '../breaker.ts'
import { SILENT, type Telemetry } from '../telemetry/telemetry.ts'
import { createValkeyClient, type ValkeyClient } from './valkey-client.ts'

/** A client with a judgement on whether it is worth asking. */
export interface ValkeyLink {
  readonly client: ValkeyClient
  /** False while there is no connection, or while the server does not answer: a command would only cost time. */
  isUsable(): boolean
  isUp(): Promise<boolean>
  answered(): void
  /** Takes note of a command that was rejected. */
  failed(error: unknown): void
  report(message: string): void
  close(): Promise<void>
}

export interface ValkeyLinkOptions {
  readonly url: string
  readonly cluster: boolean
  /** @see ValkeyCacheOptions */
  readonly onProblem?: (message: string) => void
  /** @see ValkeyCacheOptions */
  readonly telemetry?: Pick<Telemetry, 'cacheFailed' | 'breaker'>
}

const FAILURES_TO_OPEN = 5
const PROBE_INTERVAL_MS = 250
const PROBLEM_INTERVAL_MS = 10_000
const CLOSE_TIMEOUT_MS = 500

/** Begins to connect, and returns at once. */
export function createValkeyLink({ url, cluster, onProblem, telemetry = SILENT }: ValkeyLinkOptions): ValkeyLink {
  const client = createValkeyClient({ url, cluster })
  const isUp = () => ping(client)
  const breaker = createBreaker({
    threshold: FAILURES_TO_OPEN,
    probeIntervalMs: PROBE_INTERVAL_MS,
    probe: isUp,
    onChange: telemetry.breaker('cache'),
  })
  const report = createReporter(onProblem)
  client.on('error', (error: unknown) => report(`The cache is not connected: ${failureWord(error)}`))
  client.on('ready', () => breaker.succeeded())
  client.connect().catch(() => {}) // the reason reaches the listener of errors

  return {
    client,
    isUp,
    report,
    isUsable: () => client.status === 'ready' && !breaker.isOpen(),
    answered: () => breaker.succeeded(),

    failed(error) {
      telemetry.cacheFailed()
      report(`The cache did not do as asked: ${failureWord(error)}`)
      // A reply that is an error came in time: it says nothing against the connection.
      if (!isReply(error)) breaker.failed()
    },

    async close() {
      breaker.close()
      await disconnect(client)
    },
  }
}

async function ping(client: ValkeyClient): Promise<boolean> {
  if (client.status !== 'ready') return false
  return client.ping().then(
    () => true,
    () => false,
  )
}

async function disconnect(client: ValkeyClient): Promise<void> {
  // A client that has no connection, and waits to make one, ends without saying so.
  const willSay = client.status !== 'reconnecting' && client.status !== 'end'
  const ended = new AbortController()
  client.once('end', () => ended.abort())
  client.disconnect()
  if (willSay) await delay(CLOSE_TIMEOUT_MS, undefined, { signal: ended.signal }).catch(() => {})
}

function createReporter(onProblem: ((message: string) => void) | undefined): (message: string) => void {
  let silentUntil = Number.NEGATIVE_INFINITY
  return (message) => {
    const now = performance.now()
    if (now < silentUntil) return
    silentUntil = now + PROBLEM_INTERVAL_MS
    onProblem?.(message)
  }
}

/** A word for the failure: the system's code, or the server's. The rest of its message may quote a command or an address. */
export function failureWord(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if (error.message === 'Command timed out') return 'timed out'
  if ('code' in error && typeof error.code === 'string') return error.code
  const word = /^(?:Ready check failed: )?([A-Z]{2,})\b/.exec(error.message)?.[1]
  return word ?? error.name
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}
