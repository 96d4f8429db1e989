import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws'
import { type WebSocket, WebSocketServer } from 'ws'
import { AppError, ERRORS } from '../errors.ts'
import { SILENT } from '../telemetry/telemetry.ts'
import { type FrontOptions, withoutBase } from './http.ts'
import { createRequestContext, type RequestContext, splitTarget } from './request.ts'
import { startSocketLine } from './request-log.ts'

/** Of a `node:http` server, for its event of that name. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

export interface UpgradeOptions
  extends Pick<
    FrontOptions,
    'log' | 'failures' | 'telemetry' | 'logRequests' | 'cors' | 'basePath' | 'hosts' | 'draining'
  > {
  /** The only path with something behind it. */
  readonly path: RegExp
  /** Of the server: its own pages may always connect. */
  readonly publicUrl: () => string
  /** Given every connection that stands. */
  readonly serve: (socket: WebSocket, context: RequestContext) => void
}

/** As metrics call it. */
const SOCKET_ROUTE = '/graphql (websocket)'

/** A subscription and its variables. */
const MESSAGE_MAX_BYTES = 131_072

/** Whether a request asks to go on as a WebSocket: whoever offers another protocol is answered in this one. */
export function isUpgrade({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

/** The front for WebSockets: it looks at what the one for requests looks at, and writes a line when a connection is over. */
export function createUpgradeFront(options: UpgradeOptions): UpgradeListener {
  const { log, failures, telemetry = SILENT, logRequests = false, draining, serve } = options
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: MESSAGE_MAX_BYTES,
    perMessageDeflate: false,
    // Whoever reads no answers would have them kept for it.
    autoPong: false,
    handleProtocols: () => GRAPHQL_TRANSPORT_WS_PROTOCOL,
  })
  server.on('headers', (headers, { headers: { 'x-request-id': id } }) => {
    if (id !== undefined) headers.push(`X-Request-Id: ${id}`)
  })
  return (request, socket, head) => {
    const { path, query } = splitTarget(request)
    // Its name and its log are asked for: what answers it is the connection.
    const about = { path, query, params: [], draining, log, failures }
    const context = createRequestContext(new ServerResponse(request), about)
    request.headers['x-request-id'] = context.id
    // One that breaks is closed too, and that is listened to.
    socket.on('error', () => {})
    const refusal = findRefusal(request, options)
    const { status = 101 } = refusal ?? {}
    if (logRequests) startSocketLine(log, { context, path, status })
    telemetry.requestBegan()
    telemetry.requestEnded({ route: SOCKET_ROUTE, method: 'GET', status, seconds: undefined, isCut: false })
    if (refusal) refuse(context, refusal)
    else server.handleUpgrade(request, socket, head, (connection) => serve(connection, context))
  }
}

interface Refusal {
  readonly status: number
  readonly failure: AppError
}

function findRefusal(request: IncomingMessage, options: UpgradeOptions): Refusal | undefined {
  const { headers } = request
  const { path, authority = headers.host } = splitTarget(request)
  const { hosts, basePath, draining } = options
  if (!isUpgrade(request)) return refusal('BAD_REQUEST', 'No other protocol than that of WebSockets is served')
  if (hosts && !hosts(authority)) return { ...refusal('FORBIDDEN', 'That host name is not served here'), status: 421 }
  if (![path, withoutBase(path, basePath?.())].some((one) => options.path.test(one))) {
    return refusal('NOT_FOUND', 'Nothing is served at that path')
  }
  if (isForeign(request, options)) return refusal('FORBIDDEN', 'Pages of that origin may not connect')
  const protocols = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (!protocols.includes(GRAPHQL_TRANSPORT_WS_PROTOCOL)) {
    return refusal('BAD_REQUEST', `The WebSocket protocol served here is ${GRAPHQL_TRANSPORT_WS_PROTOCOL}`)
  }
  return draining.aborted ? refusal('OVERLOADED', 'This server is about to stop') : undefined
}

function refusal(code: keyof typeof ERRORS, message: string): Refusal {
  return { status: ERRORS[code].status, failure: new AppError(code, message) }
}

/** Browsers let every page connect, and tell whose page it is. Nobody else has an origin. */
function isForeign({ headers }: IncomingMessage, { cors, publicUrl }: UpgradeOptions): boolean {
  const { origin, host, 'sec-fetch-site': site } = headers
  if (origin === undefined || site === 'same-origin' || cors?.allows(origin)) return false
  const url = URL.parse(origin)
  return url === null || (url.host !== host?.toLowerCase() && url.origin !== new URL(publicUrl()).origin)
}

function refuse({ id, request }: RequestContext, { status, failure }: Refusal): void {
  const { code, message, isRetryable } = failure
  const { socket } = request
  const body = JSON.stringify({ code, message })
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    `X-Request-Id: ${id}`,
    'Content-Type: application/json; charset=utf-8',
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(isRetryable ? ['Retry-After: 1'] : []),
  ]
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
