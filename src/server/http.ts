import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { AppError, Departure, ERRORS, isAppError, isRetryable } from '../errors.ts'
import { type Cors, isPreflight } from './cors.ts'
import { createRequestContext, type RequestContext, splitTarget } from './request.ts'

/** Answers one request; what it throws becomes the answer. */
export type Handler = (context: RequestContext) => Promise<void>

export interface Route {
  /** Matched against the raw path, before the `?`; groups become `params`. */
  readonly path: RegExp
  readonly methods: Readonly<Record<string, Handler>>
  readonly failureBody?: FailureBody
  /** Bytes of a refused body that are thrown away, so that a client that sends all of it first can read the answer; default 0. */
  readonly discardMaxBytes?: number
}

/** What the answer of a failure holds; without one, its code and message. */
export type FailureBody = (failure: AppError) => object

export interface HttpOptions {
  readonly routes: readonly Route[]
  /** Told of every failure whose cause clients do not see. */
  readonly onHiddenError: (error: unknown) => void
  /** Which pages of other origins may read the answers; undefined: none. */
  readonly cors?: Cors | undefined
}

/** How long a client whose request was not read to its end may take to read the answer, and to send what is thrown away. */
const LINGER_MILLIS = 1000
const DISCARD_MILLIS = 5000
/** For the whole of a body that is read at once, and of one that no handler reads. */
const BODY_MILLIS = 30_000

/** The front of the server: routing and limits on `node:http`; nothing stands between a handler and its socket. */
export function createHttpServer({ routes, onHiddenError, cors }: HttpOptions): Server {
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const { path, query } = splitTarget(request)
    const found = findRoute(routes, path)
    response.once('finish', () => boundRest(request))
    const context = createRequestContext(response, { query, params: found?.params ?? [] })
    answer(found, context, cors).catch((error: unknown) => {
      if (isDeparture(response, error)) return void response.destroy()
      if (!isAppError(error) || error.cause !== undefined) onHiddenError(error)
      fail(response, isAppError(error) ? error : UNFORESEEN, found?.route)
    })
  }
  const limits = {
    headersTimeout: 10_000,
    // Uploads take as long as they take: whoever reads a body has a limit of its own for it.
    requestTimeout: 0,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: 2000,
    maxHeaderSize: 16_384,
  }
  const server = createServer(limits, onRequest)
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // Uploads are asked for only once it is clear that they are wanted: their handler does it.
    if (request.method !== 'PUT') response.writeContinue()
    onRequest(request, response)
  })
  server.maxConnections = 2000
  server.maxRequestsPerSocket = 1000
  return server
}

interface FoundRoute {
  readonly route: Route
  readonly params: readonly string[]
}

function findRoute(routes: readonly Route[], path: string): FoundRoute | undefined {
  for (const route of routes) {
    const match = route.path.exec(path)
    if (match) return { route, params: match.slice(1) }
  }
  return undefined
}

async function answer(found: FoundRoute | undefined, context: RequestContext, cors: Cors | undefined): Promise<void> {
  const { request, response } = context
  // First of all: a page that may read an answer may read a failure too.
  cors?.mark(response)
  if (!found) throw new AppError('NOT_FOUND', 'Nothing is served at that path')
  const { route } = found
  const handler = route.methods[request.method ?? '']
  if (handler) return await handler(context)
  const methods = Object.keys(route.methods).join(', ')
  if (cors && isPreflight(request)) return cors.answerPreflight(response, methods)
  // No code of ours means 405: the status alone says it.
  response.statusCode = 405
  response.setHeader('allow', methods)
  throw new AppError('BAD_REQUEST', 'That method is not served here')
}

/** Names request headers that the answer depends on, beside those named before. */
export function addVary(response: ServerResponse, names: string): void {
  const before = response.getHeader('vary')
  response.setHeader('vary', before === undefined ? names : `${before}, ${names}`)
}

/**
 * @throws AppError `PAYLOAD_TOO_LARGE` as soon as the limit is passed, `BAD_REQUEST` after 30 seconds; the connection then ends
 * with the answer.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw bodyTooLarge(maxBytes)
  const chunks: Buffer[] = []
  let size = 0
  // Events: an async iterator costs more than all else that is done for a small body.
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const take = (chunk: Buffer) => {
    size += chunk.length
    if (size > maxBytes) reject(bodyTooLarge(maxBytes))
    else chunks.push(chunk)
  }
  const leave = () => request.complete || reject(new Departure())
  const timer = setTimeout(() => reject(bodyLate()), BODY_MILLIS)
  request.on('data', take).once('end', resolve).once('error', reject).once('close', leave)
  try {
    await promise
    return join(chunks, size)
  } finally {
    clearTimeout(timer)
    request.off('data', take).off('end', resolve).off('error', reject).off('close', leave)
    // Not destroyed: the answer goes out on the same socket.
    if (!request.complete) request.pause()
  }
}

function join(chunks: readonly Buffer[], size: number): Buffer {
  const [only] = chunks
  return only && chunks.length === 1 ? only : Buffer.concat(chunks, size)
}

function bodyTooLarge(maxBytes: number): AppError {
  return new AppError('PAYLOAD_TOO_LARGE', `The request's body is larger than ${maxBytes} bytes`)
}

function bodyLate(): AppError {
  return new AppError('BAD_REQUEST', `The request's body took longer than ${BODY_MILLIS} ms`)
}

/** A small JSON answer that nobody keeps. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.length,
    'cache-control': 'no-store',
  })
  response.end(bytes)
}

/** After the head the socket is destroyed, so that nobody takes a part of an answer for the whole. */
function fail(response: ServerResponse, failure: AppError, route: Route | undefined): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { failureBody = plainBody, discardMaxBytes = 0 } = route ?? {}
  if (!response.req.complete) stopReading(response, discardMaxBytes)
  if (isRetryable(failure.code)) response.setHeader('retry-after', '1')
  const status = response.statusCode === 405 ? 405 : ERRORS[failure.code].status
  sendJson(response, status, failureBody(failure))
}

/** Nobody is left to answer, and nothing went wrong here. */
function isDeparture(response: ServerResponse, error: unknown): boolean {
  if (error instanceof Departure) return true
  return response.destroyed && error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}

/** What was not read of the request's body is not waited for: the connection ends with this answer. */
function stopReading(response: ServerResponse, discardMaxBytes: number): void {
  const { req: request } = response
  const { socket } = request
  response.setHeader('connection', 'close')
  // To close with bytes unread resets the connection, and the answer may be lost on its way: so FIN first.
  socket.destroySoon = () => {
    if (discardMaxBytes === 0) socket.pause()
    else discard(request, discardMaxBytes)
    socket.end()
    setTimeout(() => socket.destroy(), discardMaxBytes === 0 ? LINGER_MILLIS : DISCARD_MILLIS).unref()
  }
}

function discard(request: IncomingMessage, maxBytes: number): void {
  let rest = maxBytes
  // A reader that gave up still waits for the next chunk, and would keep the rest from flowing.
  request.removeAllListeners('readable')
  request.on('error', () => {})
  request.once('end', () => request.socket.destroy())
  request.on('data', (chunk: Buffer) => {
    rest -= chunk.length
    if (rest < 0) request.socket.destroy()
  })
}

/** A body that its handler did not ask for is read and thrown away by Node, however slowly it comes. */
function boundRest(request: IncomingMessage): void {
  if (request.complete) return
  const timer = setTimeout(() => request.socket.destroy(), BODY_MILLIS).unref()
  request.once('close', () => clearTimeout(timer))
}

const plainBody: FailureBody = ({ code, message }) => ({ code, message })

const UNFORESEEN = new AppError('INTERNAL_SERVER_ERROR', 'Something went wrong on the server')
