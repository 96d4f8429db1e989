import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export interface ScriptedRequest {
  /** Method, and the path without the query that only the SDK cares for. */
  readonly line: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export type Step = (response: ServerResponse, request: ScriptedRequest) => void

export interface ScriptedS3 {
  readonly endpoint: string
  readonly port: number
  /** All requests so far, in order. */
  readonly requests: readonly ScriptedRequest[]
  connections(): number
  /** Resolves when every connection is closed. */
  idle(): Promise<void>
  close(): Promise<void>
}

/** An S3 server that answers in order what the test says, and then always the last of it: for what a real one will not do. */
export async function startScriptedS3(...steps: readonly Step[]): Promise<ScriptedS3> {
  const requests: ScriptedRequest[] = []
  const sockets = new Set<object>()
  let connections = 0
  let onIdle = (): void => undefined
  const server = createServer(async (message, response) => {
    response.on('error', () => undefined)
    const body = await buffer(message).catch(() => null)
    if (body === null) return
    const line = `${message.method} ${message.url?.replace(/[?&]x-id=\w+/, '')}`
    const request = { line, headers: message.headers, body }
    requests.push(request)
    steps[Math.min(requests.length, steps.length) - 1]?.(response, request)
  })
  server.on('connection', (socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      if (sockets.size === 0) onIdle()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    requests,
    connections: () => connections,
    idle: () =>
      new Promise((resolve) => {
        if (sockets.size === 0) resolve()
        else onIdle = resolve
      }),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function answer(status: number, body = '', headers: Readonly<Record<string, string>> = {}): Step {
  const length = 'transfer-encoding' in headers ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  return (response) => void response.writeHead(status, { ...length, ...headers }).end(body)
}

export function failure(status: number, code: string, more = ''): Step {
  return answer(status, `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message>${more}</Error>`)
}

/** The object, or the part, is there. */
export const stored: Step = answer(200, '', { etag: '"e"' })
export const hang: Step = () => undefined
export const reset: Step = (response) => void response.socket?.resetAndDestroy()
