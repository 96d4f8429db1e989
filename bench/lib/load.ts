import { setTimeout as delay } from 'node:timers/promises'
import type { Client, Dispatcher } from 'undici'

export interface Request {
  readonly path: string
  readonly method: 'POST' | 'PUT'
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

export interface LoadOptions {
  readonly origin: string
  readonly nextRequest: () => Request
  /** Requests under way at once, each on a connection of its own that is kept open. */
  readonly connections: number
  readonly seconds: number
  /** Ends sooner, after so many. */
  readonly most?: number
  /** A shorter answer counts as wrong. */
  readonly leastBytes: number
}

export interface LoadResult {
  readonly requests: number
  /** Until the last answer was complete. */
  readonly seconds: number
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json' }

/** A question to a GraphQL server. */
export function graphqlRequest(body: string): Request {
  return { path: '/graphql', method: 'POST', body }
}

/** Asks one question after the other on every connection. @throws Error for the first answer that is not as it should be. */
export async function generateLoad(options: LoadOptions): Promise<LoadResult> {
  const { origin, nextRequest, connections, seconds, most = Number.POSITIVE_INFINITY, leastBytes } = options
  const begin = performance.now()
  const end = begin + seconds * 1000
  let requests = 0
  await withClients(origin, connections, async (client) => {
    while (performance.now() < end && requests < most) {
      requests++
      await ask(client, { origin, request: nextRequest(), leastBytes })
    }
  })
  return { requests, seconds: (performance.now() - begin) / 1000 }
}

export interface PacedOptions<Kind> extends Pick<LoadOptions, 'origin' | 'connections' | 'seconds' | 'leastBytes'> {
  readonly requestsPerSecond: number
  readonly next: () => { readonly kind: Kind; readonly request: Request }
}

/**
 * Asks at a steady pace, whether earlier answers have come or not, as far as there are connections.
 * @returns milliseconds from the moment when a question was due to its whole answer: what waited for others is counted
 */
export async function pacedLoad<Kind>(options: PacedOptions<Kind>): Promise<{ kind: Kind; millis: number }[]> {
  const { origin, connections, seconds, leastBytes, requestsPerSecond, next } = options
  const begin = performance.now()
  const count = Math.round(seconds * requestsPerSecond)
  const answers: { kind: Kind; millis: number }[] = []
  let asked = 0
  await withClients(origin, connections, async (client) => {
    for (let place = asked++; place < count; place = asked++) {
      const due = begin + (place * 1000) / requestsPerSecond
      const early = due - performance.now()
      if (early > 0) await delay(early)
      const { kind, request } = next()
      await ask(client, { origin, request, leastBytes })
      answers.push({ kind, millis: performance.now() - due })
    }
  })
  return answers
}

async function withClients(origin: string, count: number, drive: (client: Client) => Promise<void>): Promise<void> {
  // Imported late: it is installed by the bench itself.
  const { Client } = await import('undici')
  const clients = Array.from({ length: count }, () => new Client(origin, { pipelining: 1 }))
  try {
    await Promise.all(clients.map(drive))
  } finally {
    await Promise.all(clients.map((client) => client.destroy()))
  }
}

interface Asked extends Pick<LoadOptions, 'origin' | 'leastBytes'> {
  readonly request: Request
}

async function ask(client: Client, { origin, request, leastBytes }: Asked): Promise<void> {
  const { status, sizeBytes } = await count(client, request)
  if ((status !== 200 && status !== 201) || sizeBytes < leastBytes) {
    throw new Error(`${origin} answered ${status}, ${sizeBytes} bytes`)
  }
}

function count(
  client: Client,
  { path, method, headers = {}, body }: Request,
): Promise<{ readonly status: number; readonly sizeBytes: number }> {
  return new Promise((resolve, reject) => {
    let status = 0
    let sizeBytes = 0
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart() {},
      onResponseStart(_controller, statusCode) {
        status = statusCode
      },
      onResponseData(_controller, chunk) {
        sizeBytes += chunk.length
      },
      onResponseEnd: () => resolve({ status, sizeBytes }),
      onResponseError: (_controller, error) => reject(error),
    }
    client.dispatch({ path, method, headers: { ...HEADERS, ...headers }, body }, handler)
  })
}

/** One answer with its status. */
export async function sendOnce(
  origin: string,
  { path, method, headers, body }: Request,
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(origin + path, { method, headers: { ...HEADERS, ...headers }, body })
  return { status: response.status, text: await response.text() }
}

/** One answer to a question, as its text. */
export async function askOnce(origin: string, body: string): Promise<string> {
  return (await sendOnce(origin, graphqlRequest(body))).text
}
