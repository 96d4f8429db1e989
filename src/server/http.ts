import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type Authenticate, challengeOf } from '../auth/authenticate.ts'
import { requireScope, type Scope } from '../auth/viewer.ts'
import { AppError, Departure, ERRORS, isAppError } from '../errors.ts'
import type { FailureLog } from '../failure-log.ts'
import type { Logger } from '../log.ts'
import { SILENT, type Telemetry } from '../telemetry/telemetry.ts'
import { breakOff } from './connection.ts'
import { type Cors, isPreflight } from './cors.ts'
import { refuseUnclear } from './framing.ts'
import type { Hosts } from './hosts.ts'
import { observeRequest } from './observe-request.ts'
import type { Pace } from './pace.ts'
import { limitRequest, type RateLimit } from './rate-limit.ts'
import { BODY_MILLIS } from './read-body.ts'
import { askForBody, createRequestContext, type OwnedContext, type RequestContext, splitTarget } from './request.ts'
import { startLine } from './request-log.ts'
import { createSlowReaders } from './slow-readers.ts'
import { boundRest, stopReading } from './unread-body.ts'

/** Answers one request; what it throws becomes the answer, with the status that was set before if that is one of a failure. */
export type Handler = (context: RequestContext) => Promise<void>

export interface Route {
  /** Template of its path, as metrics and traces call it, such as `/snapshots/{snapshotId}/payload`; `other` when left out. */
  readonly name?: string
  /** Matched against the raw path, before the `?`; groups become `params`. */
  readonly path: RegExp
  readonly methods: Readonly<Record<string, Handler>>
  readonly failureAnswer?: FailureAnswer
  /** Bytes of a refused body that are thrown away, so that a client that sends all of it first can read the answer; default 0. */
  readonly discardMaxBytes?: number
  /** The scope that it needs; `read` when left out. `nothing`: it is open to strangers as well, or asks by itself. */
  readonly needs?: Scope | 'nothing'
  /** How long a GET or HEAD may take until its answer begins, in milliseconds; undefined: as long as it takes. */
  readonly headMillis?: number
  /**
   * Whether it is served whatever the request calls this server, as what watches over it calls it by its address; default false.
   * `by token`: to whoever shows one, where the server asks for it. No page of a site that took a name of this server's has one.
   */
  readonly isForAnyHost?: boolean | 'by token'
}

/** How the answer of a failure looks; without one it holds the code and the message. */
export type FailureAnswer = (failure: AppError, asked: FailedRequest) => Answer

export interface FailedRequest {
  readonly request: IncomingMessage
  /** Of the failure. */
  readonly status: number
}

export interface Answer {
  readonly status: number
  /** Default `application/json`. */
  readonly mediaType?: string
  /** Written as JSON, unless it is bytes. */
  readonly body: object | Buffer
}

export interface FrontOptions {
  readonly routes: readonly Route[]
  readonly log: Logger
  /** Told of each request; nobody is when it is left out. */
  readonly telemetry?: Telemetry | undefined
  /** Told of every failure whose cause clients do not see. */
  readonly failures: FailureLog
  /** Whether each request has a line in the log; default false. */
  readonly logRequests?: boolean
  /** Which pages of other origins may read the answers; undefined: none. */
  readonly cors?: Cors | undefined
  /** Path of the server's public URL, without a trailing slash: taken off where a proxy left it on; default none. */
  readonly basePath?: (() => string) | undefined
  /** By which names this server is served; undefined: all. */
  readonly hosts?: Hosts | undefined
  /** Tells who sends a request; undefined: nobody is asked. Routes for any host, and preflights, carry no token. */
  readonly authenticate?: Authenticate | undefined
  /** How much each viewer may ask for; undefined: as much as he wants. Not of routes for any host. */
  readonly rateLimit?: RateLimit | undefined
  /** From when it fires on, every answer ends its connection. */
  readonly draining: AbortSignal
  /** How fast a client must take any answer. */
  readonly readers: Pace
}

/**
 * The front of the server: routing and limits on `node:http`; nothing stands between a handler and its socket. It listens to
 * `request` and `checkContinue` alike.
 */
export function createFront({
  routes,
  log,
  failures,
  cors,
  basePath,
  hosts,
  authenticate,
  rateLimit,
  draining,
  readers,
  telemetry = SILENT,
  logRequests = false,
}: FrontOptions): RequestListener {
  const slowReaders = createSlowReaders(readers)
  draining.addEventListener('abort', () => {
    for (const response of slowReaders.watched()) endConnection(response)
  })

  async function serve(found: FoundRoute | undefined, context: OwnedContext, isKnownHost: boolean): Promise<void> {
    const { response } = context
    try {
      // First of all: a page that may read an answer may read a failure too.
      cors?.mark(response)
      if (!isKnownHost) throw misdirected(response)
      if (authenticate && asksWho(found, context)) await context.recognize(authenticate)
      if (rateLimit && asksWho(found, context)) await limitRequest(rateLimit, context)
      const done = found && startDeadline(found.route, context)
      await answer(found, context, cors).finally(done)
    } catch (error) {
      if (isDeparture(response, error)) return void response.destroy()
      if (!isAppError(error) || error.cause !== undefined) context.report(error)
      const failure = isAppError(error) ? error : UNFORESEEN
      telemetry.failed(failure.code)
      fail(context, failure, found?.route)
    }
  }

  return (request, response) => {
    // Uploads are asked for only once it is clear that they are wanted: their handler does it.
    if (request.method !== 'PUT') askForBody(response)
    slowReaders.watch(response)
    if (draining.aborted) endConnection(response)
    const { path, query, authority = request.headers.host } = splitTarget(request)
    const found = findRoute(routes, withoutBase(path, basePath?.())) ?? findRoute(routes, path)
    const context = createRequestContext(response, {
      path,
      query,
      params: found?.params ?? [],
      draining,
      log,
      failures,
    })
    response.setHeader('x-request-id', context.id)
    // Answers are data, and no page: what is one says so itself.
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    const isRoutine = found?.route.isForAnyHost === true
    const observed = observeRequest(telemetry, { context, path, route: found && (found.route.name ?? 'other') })
    const writeLine = logRequests ? startLine(log, { context, path, isRoutine }) : undefined
    // One listener: an answer has ten at most without a warning, and its payloads have theirs.
    response.on('close', () => {
      slowReaders.forget(response)
      context.closed()
      boundRest(request, BODY_MILLIS)
      writeLine?.()
      observed.ended()
    })
    const isByToken = authenticate !== undefined && found?.route.isForAnyHost === 'by token'
    const isKnownHost = isRoutine || isByToken || hosts === undefined || hosts(authority)
    if (observed.span) observed.span.within(() => serve(found, context, isKnownHost))
    else serve(found, context, isKnownHost)
  }
}

/** Whoever watches over a server has no token, and neither has a browser that asks what it may send. */
function asksWho(found: FoundRoute | undefined, { request }: RequestContext): boolean {
  return found?.route.isForAnyHost !== true && request.method !== 'OPTIONS'
}

/** One for all that is done and tried again until the answer begins; what comes after it is measured by its pace. */
function startDeadline({ headMillis }: Route, context: OwnedContext): (() => void) | undefined {
  const { request, response } = context
  if (headMillis === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) return undefined
  const timer = setTimeout(() => {
    if (!response.headersSent) context.expire(new AppError('OVERLOADED', `No answer within ${headMillis} ms`))
  }, headMillis).unref()
  return () => clearTimeout(timer)
}

interface FoundRoute {
  readonly route: Route
  readonly params: readonly string[]
}

/** @param base of the server's public URL, without a trailing slash. */
export function withoutBase(path: string, base = ''): string {
  return base !== '' && path.startsWith(`${base}/`) ? path.slice(base.length) : path
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
  refuseUnclear(response)
  const isOptions = request.method === 'OPTIONS'
  // Asks about the server as a whole, of which nothing is to be said.
  if (isOptions && request.url === '*') return void response.writeHead(204).end()
  if (!found) throw new AppError('NOT_FOUND', 'Nothing is served at that path')
  const { route } = found
  const handler = route.methods[request.method ?? '']
  if (handler) {
    if (route.needs !== 'nothing') requireScope(context.viewer, route.needs ?? 'read')
    return await handler(context)
  }
  const methods = Object.keys(route.methods).join(', ')
  if (cors && isPreflight(request)) return cors.answerPreflight(response, methods)
  response.setHeader('allow', `${methods}, OPTIONS`)
  if (isOptions) return void response.writeHead(204).end()
  // No code of ours means 405: the status alone says it.
  response.statusCode = 405
  throw new AppError('BAD_REQUEST', 'That method is not served here')
}

function misdirected(response: ServerResponse): AppError {
  response.statusCode = 421
  return new AppError('FORBIDDEN', 'That host name is not served here: set PUBLIC_URL to the address that clients use')
}

function endConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
}

/** Names request headers that the answer depends on, beside those named before. */
export function addVary(response: ServerResponse, names: string): void {
  const before = response.getHeader('vary')
  response.setHeader('vary', before === undefined ? names : `${before}, ${names}`)
}

/** A small JSON answer that nobody keeps. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  sendSmall(response, { status, body })
}

function sendSmall(response: ServerResponse, { status, mediaType = 'application/json', body }: Answer): void {
  // Text goes out in one piece with the head.
  const content = Buffer.isBuffer(body) ? body : JSON.stringify(body)
  response.writeHead(status, {
    'content-type': Buffer.isBuffer(body) ? mediaType : `${mediaType}; charset=utf-8`,
    'content-length': Buffer.byteLength(content),
    'cache-control': 'no-store',
  })
  response.end(content)
}

/** After the head the answer is broken off, so that nobody takes a part of it for the whole. */
function fail(context: RequestContext, failure: AppError, route: Route | undefined): void {
  const { response, request } = context
  if (response.headersSent || response.destroyed) {
    breakOff(response)
    return
  }
  const { failureAnswer = plainAnswer, discardMaxBytes = 0 } = route ?? {}
  if (!request.complete) stopReading(response, discardMaxBytes)
  if (failure.isRetryable && !response.hasHeader('retry-after')) response.setHeader('retry-after', '1')
  const status = response.statusCode >= 400 ? response.statusCode : ERRORS[failure.code].status
  const challenge = isAuthFailure(failure) ? challengeOf(status, request.headers.authorization) : undefined
  if (challenge !== undefined) response.setHeader('www-authenticate', challenge)
  sendSmall(response, failureAnswer(failure, { request, status }))
}

function isAuthFailure({ code }: AppError): boolean {
  return code === 'UNAUTHENTICATED' || code === 'FORBIDDEN'
}

/** Nobody is left to answer, and nothing went wrong here. */
function isDeparture(response: ServerResponse, error: unknown): boolean {
  if (error instanceof Departure) return true
  return response.destroyed && error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}

const plainAnswer: FailureAnswer = ({ code, message, details }, { status }) => ({
  status,
  body: { code, message, ...details },
})

const UNFORESEEN = new AppError('INTERNAL_SERVER_ERROR', 'Something went wrong on the server')
