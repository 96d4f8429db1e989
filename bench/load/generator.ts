import { createHash } from 'node:crypto'
import { Agent, type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'

/*
 * The load of a bar, as a process of its own: its plan comes on stdin, and what came of it goes to stdout, both as JSON. An open loop asks
 * when it is time to, however slow the answers are, and counts from the moment when a question was due.
 */

/** One question of a plan. */
export interface Question {
  readonly kind: string
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** A body of so many bytes of JSON instead. */
  readonly bodyBytes?: number
  /** What a whole answer must be: SHA-256 in hex. */
  readonly sha256?: string
  /** The answer is left after so many bytes. */
  readonly leaveAfterBytes?: number
}

export interface Plan {
  readonly origin: string
  /** Asked in turn. */
  readonly questions: readonly Question[]
  /** Open: so many a second for so long. */
  readonly perSecond?: number
  readonly seconds?: number
  /** Open: what could not be sent by then is left. */
  readonly endsInTime?: boolean
  /** Closed: so many at once, until that many were asked or the seconds are over. */
  readonly parallel?: number
  readonly count?: number
}

/** What came of one question. */
export interface Told {
  readonly kind: string
  /** When it was due, in milliseconds since the beginning; and from then to the end of its answer. */
  readonly at: number
  readonly millis: number
  /** Of those, how many went by before it was sent: whoever asks may be short of a core himself. */
  readonly lateMillis: number
  /** 0 where there was none, or one that broke off. */
  readonly status: number
  /** Of an error, on a plain route or in GraphQL. */
  readonly code?: string
  readonly hasRetryAfter?: boolean
  readonly isWrong?: boolean
  readonly sizeBytes: number
}

/** Many large states take minutes on two cores. */
const PATIENCE_MS = 600_000
const TOGETHER = 8
const CODE_SCAN_BYTES = 4096
const FILLER = Buffer.alloc(65_536, 'x')

if (import.meta.main) {
  const plan = (await json(process.stdin)) as Plan
  process.stdout.write(JSON.stringify(await follow(plan)))
}

async function follow(plan: Plan): Promise<Told[]> {
  const {
    questions,
    perSecond,
    endsInTime = false,
    seconds = Number.POSITIVE_INFINITY,
    parallel = 1,
    count = Number.POSITIVE_INFINITY,
  } = plan
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  const begin = performance.now()
  const told: Told[] = []
  const ask = async (place: number, due: number) => {
    const question = questions[place % questions.length] as Question
    told.push(await send(plan.origin, question, { agent, begin, due }))
  }
  if (perSecond !== undefined) {
    const asked: Promise<void>[] = []
    for (let place = 0; place < perSecond * seconds; place++) {
      const due = begin + (place * 1000) / perSecond
      const early = due - performance.now()
      if (early > 1) await delay(early)
      // Late or not, what was asked has to be sent, and its answers taken.
      else if (place % TOGETHER === 0) await nextTurn()
      if (endsInTime && performance.now() - begin > seconds * 1000) break
      asked.push(ask(place, due))
    }
    await Promise.all(asked)
  } else {
    let next = 0
    const drive = async () => {
      while (next < count && performance.now() - begin < seconds * 1000) await ask(next++, performance.now())
    }
    await Promise.all(Array.from({ length: parallel }, drive))
  }
  agent.destroy()
  return told
}

interface Sending {
  readonly agent: Agent
  readonly begin: number
  readonly due: number
}

function send(origin: string, question: Question, { agent, begin, due }: Sending): Promise<Told> {
  const { kind, method, path, headers, body, bodyBytes } = question
  const { hostname, port } = new URL(origin)
  const length = bodyBytes ?? (body === undefined ? undefined : Buffer.byteLength(body))
  const sized = length === undefined ? {} : { 'content-length': String(length) }
  return new Promise((resolve) => {
    const lateMillis = Math.max(0, performance.now() - due)
    const end = (rest: Omit<Told, 'kind' | 'at' | 'millis' | 'lateMillis'>) =>
      resolve({ kind, at: due - begin, millis: performance.now() - due, lateMillis, ...rest })
    const broken = () => end({ status: 0, sizeBytes: 0 })
    const sent = request(
      {
        hostname,
        port,
        method,
        path,
        headers: { ...sized, ...headers },
        agent,
        signal: AbortSignal.timeout(PATIENCE_MS),
      },
      (response) => void read(response, question).then(end, broken),
    ).on('error', broken)
    if (bodyBytes === undefined) sent.end(body)
    else void writeBody(sent, bodyBytes)
  })
}

async function read(response: IncomingMessage, { sha256, leaveAfterBytes }: Question) {
  const status = response.statusCode ?? 0
  const hash = sha256 === undefined ? undefined : createHash('sha256')
  let head = ''
  let sizeBytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    hash?.update(chunk)
    if (head.length < CODE_SCAN_BYTES) head += chunk.toString('latin1', 0, CODE_SCAN_BYTES)
    if (leaveAfterBytes !== undefined && sizeBytes >= leaveAfterBytes) {
      response.destroy()
      return { status, sizeBytes }
    }
  }
  if (!response.complete) return { status: 0, sizeBytes }
  const [, code] = /"code":"([A-Z_]+)"/.exec(head) ?? []
  const isWrong = status === 200 && hash !== undefined && hash.digest('hex') !== sha256
  return {
    status,
    sizeBytes,
    ...(code === undefined ? {} : { code }),
    ...(isWrong ? { isWrong } : {}),
    ...(response.headers['retry-after'] === undefined ? {} : { hasRetryAfter: true }),
  }
}

/** A JSON string of so many bytes, no faster than it is taken. */
async function writeBody(sent: ReturnType<typeof request>, sizeBytes: number): Promise<void> {
  const write = (bytes: Buffer | string) =>
    new Promise<void>((resolve) => {
      sent.write(bytes, () => resolve())
    })
  await write('"')
  for (let left = sizeBytes - 2; left > 0; left -= FILLER.length) {
    if (sent.destroyed) return
    await write(FILLER.subarray(0, Math.min(left, FILLER.length)))
  }
  sent.end('"')
}
