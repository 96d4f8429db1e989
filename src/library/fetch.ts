import { createServer, type IncomingMessage, type RequestListener, request as sendRequest } from 'node:http'
import { type Duplex, duplexPair, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Answers requests of this process, without a port. */
export interface InProcess {
  /**
   * As the global one, but for the address: host and port count for nothing but the names that the server is called by.
   * @param onConnection told the server's end of the connection that the request comes by.
   * @throws TypeError when the answer breaks off before it begins; the reason of the signal of the request.
   */
  fetch(request: Request, onConnection?: (connection: Duplex) => void): Promise<Response>
  /** Ends the connections that there are. */
  close(): void
}

/** Of bytes on their way, in either direction. */
const WINDOW_BYTES = 262_144

/**
 * HTTP all the same, over a pair of streams in place of a socket: whatever a server does to a connection, such as cutting it so that half
 * an answer is taken for no whole one, reaches the caller as it would from afar.
 */
export function createInProcess(handler: RequestListener): InProcess {
  const server = createServer({ requestTimeout: 0 }, handler)
  const connections = new Set<Duplex>()
  return {
    async fetch(request, onConnection) {
      const [near, far] = duplexPair({ highWaterMark: WINDOW_BYTES })
      connections.add(far)
      far.once('close', () => {
        connections.delete(far)
        near.destroy()
      })
      onConnection?.(far)
      server.emit('connection', far)
      return await send(request, near)
    },
    close() {
      for (const connection of connections) connection.destroy()
    },
  }
}

async function send(request: Request, connection: Duplex): Promise<Response> {
  const { method, body, signal } = request
  const { host, pathname, search } = new URL(request.url)
  const leave = () => connection.destroy()
  signal.throwIfAborted()
  signal.addEventListener('abort', leave, { once: true })
  connection.once('close', () => signal.removeEventListener('abort', leave))
  const outgoing = sendRequest({
    method,
    path: pathname + search,
    headers: { ...Object.fromEntries(request.headers), host, connection: 'close' },
    createConnection: () => connection,
  })
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  outgoing.on('response', resolve).on('error', reject)
  // What goes wrong shows in the answer, or in its absence: a server may answer, and read no more.
  if (body) pipeline(Readable.fromWeb(body as never), outgoing).catch(() => {})
  else outgoing.end()
  try {
    return toResponse(await promise, method, connection)
  } catch (cause) {
    connection.destroy()
    signal.throwIfAborted()
    throw new TypeError('The server broke the request off', { cause })
  }
}

const BODILESS = new Set([101, 204, 205, 304])

function toResponse(incoming: IncomingMessage, method: string, connection: Duplex): Response {
  const { statusCode = 500, statusMessage, rawHeaders } = incoming
  const headers = new Headers()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '')
  // One connection, one answer: what is said of it is of no use to whom the answer is handed on.
  for (const name of ['connection', 'keep-alive', 'transfer-encoding']) headers.delete(name)
  incoming.once('close', () => connection.destroy())
  const hasBody = method !== 'HEAD' && !BODILESS.has(statusCode)
  if (!hasBody) incoming.resume()
  const body = hasBody ? (Readable.toWeb(incoming) as ReadableStream<Uint8Array>) : null
  return new Response(body, { status: statusCode, statusText: statusMessage, headers })
}
