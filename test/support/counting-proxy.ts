import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One read of an object that passed. */
export interface CountedRead {
  readonly range: string | undefined
  readonly ifMatch: string | undefined
  readonly bytes: number
}

/** An HTTP proxy on loopback in front of a store: it notes what is read, and changes nothing. */
export interface CountingProxy extends AsyncDisposable {
  readonly endpoint: string
  /** GETs of objects so far, in the order of their ends. Empty it before what is to be counted. */
  readonly reads: CountedRead[]
}

export async function startCountingProxy(endpoint: string): Promise<CountingProxy> {
  const target = new URL(endpoint)
  const reads: CountedRead[] = []
  const server = createServer((asked, response) => {
    const { method, url, headers } = asked
    // The same host as it was signed for.
    const forward = { hostname: target.hostname, port: target.port, method, path: url, headers }
    const upstream = request(forward, (answer) => {
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      answer.once('close', () => {
        const { range, 'if-match': ifMatch } = headers
        if (method === 'GET') reads.push({ range, ifMatch, bytes })
      })
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    upstream.on('error', () => response.destroy())
    response.on('close', () => upstream.destroy())
    asked.pipe(upstream)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    reads,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
