import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { codesOf, type PlainResponse, send } from '../support/http.ts'
import { put, storedOf } from '../support/put.ts'

/** What callers do. Those of the first three need no object store. */
export const KINDS = ['metadata', 'inline read', 'inline write', 'large read', 'large write'] as const
export type Kind = (typeof KINDS)[number]

export interface Call {
  readonly kind: Kind
  /** When it was sent, on the clock of the process, in milliseconds. */
  readonly at: number
  readonly millis: number
  /** `ok`, the code of an error, `cut` where the answer broke off, `wrong` for bytes that are not those of the state. */
  readonly outcome: string
}

export interface LoadOptions {
  readonly url: string
  /** Calls a second of each kind, sent whether or not the ones before were answered. */
  readonly perSecond: number
  /** More than what lies inline. */
  readonly largeBytes: number
}

export interface Load {
  /** All calls that were answered so far. */
  readonly calls: readonly Call[]
  /** Resolves when so many calls of each kind that were sent from then on have succeeded, or after half a minute. */
  succeeded(count: number, since: number): Promise<void>
  /** Sends nothing more. Resolves when all is answered. */
  stop(): Promise<void>
  /** Reads back what was acknowledged, past every cache. @returns how many states, and those that are not what was sent. */
  audit(): Promise<{ readonly acknowledged: number; readonly lost: readonly string[] }>
}

const SMALL_BYTES = 400

/** Begins to send calls, once there is something to be read. */
export async function startLoad({ url, perSecond, largeBytes }: LoadOptions): Promise<Load> {
  const calls: Call[] = []
  const acknowledged = new Map<string, string>()
  const underWay = new Set<Promise<void>>()
  let count = 0
  let isOver = false

  async function capture(sizeBytes: number): Promise<string> {
    count += 1
    const text = stateOf(count, sizeBytes)
    const headers = { 'idempotency-key': `key-${count}` }
    const answer = await put(url, text, { runId: `load-${count % 7}`, stepId: `${count}`, headers })
    if (answer.status >= 300) return codeIn(answer)
    acknowledged.set(storedOf(answer).snapshotId, digestOf(text))
    return 'ok'
  }

  async function read(snapshotId: string): Promise<string> {
    const answer = await send(url, { target: `/snapshots/${snapshotId}/payload` })
    if (answer.status !== 200) return codeIn(answer)
    return digestOf(answer.body) === acknowledged.get(snapshotId) ? 'ok' : 'wrong'
  }

  async function list(): Promise<string> {
    const answer = await graphql(url, '{ runs(first: 20) { nodes { runId steps(first: 5) { nodes { stepId } } } } }')
    const [code] = codesOf(answer)
    return code ?? (answer.body.includes('load-') ? 'ok' : 'wrong')
  }

  for (const sizeBytes of [SMALL_BYTES, largeBytes]) await capture(sizeBytes)
  const [small = '', large = ''] = [...acknowledged.keys()]
  const act: Readonly<Record<Kind, () => Promise<string>>> = {
    metadata: list,
    'inline read': () => read(small),
    'inline write': () => capture(SMALL_BYTES),
    'large read': () => read(large),
    'large write': () => capture(largeBytes),
  }

  async function call(kind: Kind): Promise<void> {
    const at = performance.now()
    const outcome = await act[kind]().catch(() => 'cut')
    calls.push({ kind, at, millis: performance.now() - at, outcome })
  }

  async function sendAll(): Promise<void> {
    for (let turn = 0, from = performance.now(); !isOver; turn++) {
      for (const kind of KINDS) {
        const one = call(kind).finally(() => underWay.delete(one))
        underWay.add(one)
      }
      await delay(Math.max(0, from + ((turn + 1) * 1000) / perSecond - performance.now()))
    }
  }

  const sending = sendAll()
  const isOk = (kind: Kind, since: number) => (call: Call) =>
    call.kind === kind && call.outcome === 'ok' && call.at >= since
  return {
    calls,
    async succeeded(count, since) {
      const end = performance.now() + 30_000
      const lacks = (kind: Kind) => calls.filter(isOk(kind, since)).length < count
      while (KINDS.some(lacks) && performance.now() < end) await delay(20)
    },
    async stop() {
      isOver = true
      await sending
      await Promise.all(underWay)
    },
    async audit() {
      const lost: string[] = []
      for (const snapshotId of acknowledged.keys()) if ((await read(snapshotId)) !== 'ok') lost.push(snapshotId)
      return { acknowledged: acknowledged.size, lost }
    },
  }
}

function graphql(url: string, query: string): Promise<PlainResponse> {
  const headers = { 'content-type': 'application/json' }
  return send(url, { method: 'POST', target: '/graphql', headers, body: JSON.stringify({ query }) })
}

function codeIn({ body, status }: PlainResponse): string {
  return JSON.parse(body.toString()).code ?? `status ${status}`
}

/** JSON of about so many bytes, another one for each number. */
function stateOf(number: number, sizeBytes: number): string {
  const word = createHash('sha256').update(String(number)).digest('hex')
  return `{"number":${number},"text":"${word.repeat(Math.ceil(sizeBytes / word.length)).slice(0, sizeBytes)}"}`
}

function digestOf(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
