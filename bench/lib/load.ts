import type { Client, Dispatcher } from 'undici'

export interface LoadOptions {
  readonly origin: string
  /** The body of the next request. */
  readonly nextBody: () => string
  /** Requests under way at once, each on a connection of its own that is kept open. */
  readonly connections: number
  readonly seconds: number
  /** A shorter answer counts as wrong. */
  readonly leastBytes: number
}

export interface LoadResult {
  readonly requests: number
  /** Until the last answer was complete. */
  readonly seconds: number
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json' }

/** Asks one question after the other on every connection. @throws Error for the first answer that is not as it should be. */
export async function generateLoad(options: LoadOptions): Promise<LoadResult> {
  const { origin, nextBody, connections, seconds, leastBytes } = options
  // Imported late: it is installed by the bench itself.
  const { Client } = await import('undici')
  const clients = Array.from({ length: connections }, () => new Client(origin, { pipelining: 1 }))
  const begin = performance.now()
  const end = begin + seconds * 1000
  let requests = 0
  const drive = async (client: Client) => {
    while (performance.now() < end) {
      const { status, sizeBytes } = await count(client, nextBody())
      if (status !== 200 || sizeBytes < leastBytes) throw new Error(`${origin} answered ${status}, ${sizeBytes} bytes`)
      requests++
    }
  }
  try {
    await Promise.all(clients.map(drive))
    return { requests, seconds: (performance.now() - begin) / 1000 }
  } finally {
    await Promise.all(clients.map((client) => client.destroy()))
  }
}

function count(client: Client, body: string): Promise<{ readonly status: number; readonly sizeBytes: number }> {
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
    client.dispatch({ path: '/graphql', method: 'POST', headers: HEADERS, body }, handler)
  })
}

/** One answer, as its text. */
export async function askOnce(origin: string, body: string): Promise<string> {
  const response = await fetch(`${origin}/graphql`, { method: 'POST', headers: HEADERS, body })
  return await response.text()
}
