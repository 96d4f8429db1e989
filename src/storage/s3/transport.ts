import type { Readable } from 'node:stream'
import { isUint8Array } from 'node:util/types'
import type { S3Client } from '@aws-sdk/client-s3'
import { Agent, type Dispatcher } from 'undici'
import type { OriginBreakers } from './origin-breakers.ts'

type RequestHandler = S3Client['config']['requestHandler']

/** Of the SDK's own type, what is used here. */
interface Request {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>
  readonly method: string
  readonly headers: Record<string, string>
  readonly body?: Dispatcher.DispatchOptions['body']
}

interface RequestOptions {
  /** The SDK's type allows signals of other makes too; ours all come from an AbortController. */
  readonly abortSignal?: object
  readonly requestTimeout?: number
  /** Called for each piece of a body in memory, once the socket has taken it. */
  readonly onTaken?: () => void
}

/** Sockets to a store, now. */
export interface SocketState {
  readonly busy: number
  readonly idle: number
  /** Requests that wait for one. */
  readonly waiting: number
}

export interface TransportOptions {
  readonly maxSockets: number
  /** Given what tells how the sockets stand. */
  readonly breakers: OriginBreakers
  readonly onSockets?: ((state: () => SocketState) => void) | undefined
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

const CONNECT_TIMEOUT_MS = 1000
/** From the request to the headers of its answer; a call may set another limit, or 0 for none. */
const HEADERS_TIMEOUT_MS = 4000
/** Between two chunks of a body: longer than a client may take nothing, so that a slow client is not blamed on the store. */
const BODY_TIMEOUT_MS = 30_000

/** Undici hands these on to Node, though its types do not say so: no more than a piece is read before somebody asks for it. */
const CONNECT = { timeout: CONNECT_TIMEOUT_MS, highWaterMark: 16_384 }

/** A body in memory is handed over in such pieces. */
const PIECE_BYTES = 128 * 1024

/** Codes of undici, and those that the SDK knows as worth another try. */
const CODES: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: 'ETIMEDOUT',
  UND_ERR_HEADERS_TIMEOUT: 'ETIMEDOUT',
  UND_ERR_SOCKET: 'ECONNRESET',
}

/**
 * Sends the SDK's requests by undici, which takes far less CPU for large bodies than `node:http`. Follows no redirect. Where the store
 * has not answered for a while, nothing is sent: the request fails at once.
 */
export function createS3Transport({ maxSockets, breakers, onSockets }: TransportOptions): RequestHandler {
  const open = () =>
    new Agent({
      connections: maxSockets,
      connect: CONNECT,
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_TIMEOUT_MS,
      // A connection carries one body at a time, so that a slow reader holds up nobody else.
      allowH2: false,
    })
  let agent: Agent | undefined
  onSockets?.(() => stateOf(agent))
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request: Request, { abortSignal, requestTimeout, onTaken }: RequestOptions = {}) {
      agent ??= open()
      const origin = originOf(request)
      const told = breakers.admit(origin)
      const sending = agent.request({
        origin,
        path: request.path + queryOf(request),
        method: request.method as Dispatcher.HttpMethod,
        headers: request.headers,
        body: onTaken && isUint8Array(request.body) ? inPieces(request.body, onTaken) : request.body,
        signal: abortSignal as AbortSignal | undefined,
        headersTimeout: requestTimeout,
        // Passed on at once: what lies here waits for somebody who has enough.
        highWaterMark: 1,
      })
      const { statusCode, headers, body } = await sending.catch((error: unknown) => {
        told.failed(error, abortSignal as AbortSignal | undefined)
        return rethrow(error)
      })
      told.answered()
      // A body that is destroyed before its end says so by an error, which whoever destroyed it does not wait for.
      body.on('error', () => undefined)
      return { response: { statusCode, headers: toHeaderBag(headers), body } }
    },
    // As with the SDK's own handler: what is sent after it opens connections anew.
    destroy() {
      agent?.destroy().catch(() => undefined)
      agent = undefined
    },
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  }
}

function stateOf(agent: Agent | undefined): SocketState {
  const state = { busy: 0, idle: 0, waiting: 0 }
  for (const { connected, running, pending } of Object.values(agent?.stats ?? {})) {
    const busy = Math.min(running, Number(connected))
    state.busy += busy
    state.idle += Number(connected) - busy
    state.waiting += pending
  }
  return state
}

/** The socket asks for the next piece when it has passed the last one on. */
function inPieces(body: Uint8Array, onTaken: () => void): Dispatcher.DispatchOptions['body'] {
  if (body.length <= PIECE_BYTES) return body
  function* pieces(): Generator<Uint8Array> {
    for (let at = 0; at < body.length; at += PIECE_BYTES) {
      yield body.subarray(at, at + PIECE_BYTES)
      onTaken()
    }
  }
  // Undici takes any iterable; its types do not say so.
  return pieces() as Iterable<Uint8Array> as unknown as Readable
}

function originOf({ protocol, hostname, port }: Request): string {
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`
}

/** In the escaping that signatures are made over. */
function queryOf({ query = {} }: Request): string {
  const parts = Object.entries(query)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, value]) =>
      [value].flat().map((one) => (one === null ? escapeText(name) : `${escapeText(name)}=${escapeText(one)}`)),
    )
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

function escapeText(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}

function toHeaderBag(headers: Headers): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')]))
}

function rethrow(error: unknown): never {
  const code = error instanceof Error && 'code' in error ? CODES[String(error.code)] : undefined
  throw code === undefined ? error : Object.assign(new Error((error as Error).message, { cause: error }), { code })
}
