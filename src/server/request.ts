import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createStop, type Stop, type StopSignal, toAbortSignal } from '../abort.ts'
import type { Authenticate } from '../auth/authenticate.ts'
import { ANYONE, requireNoLess, STRANGER, type Viewer } from '../auth/viewer.ts'
import { AppError, Departure } from '../errors.ts'
import type { FailureLog } from '../failure-log.ts'
import type { Logger } from '../log.ts'
import { type Position, readPosition } from '../model/position.ts'
import { patienceOf } from './negotiation.ts'

/** One request on its way through the server: made once, in the front, and handed to every handler. */
export interface RequestContext {
  /** Names it in logs, and in its answer: the client's own `X-Request-Id`, or a new one. */
  readonly id: string
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Raw, without the `?`; nothing is decoded. */
  readonly query: string
  /** Groups of the route's path. */
  readonly params: readonly string[]
  readonly viewer: Viewer
  /** Finds out who sent it, before its handler is asked; until then it is anyone. @throws as `authenticate` does. */
  recognize(authenticate: Authenticate): void | Promise<void>
  /** Finds it out once more, for an answer that lasts. @throws as `recognize` does, and AppError `FORBIDDEN` where he may less by now. */
  recheck(): Promise<void>
  /** Fires, with a `Departure`, when the client goes away before its answer is complete; with a failure, when its time is over. */
  readonly signal: AbortSignal
  /** The same, for those that take it: it costs less. */
  readonly departure: StopSignal
  /** How long its client would wait at most for what takes its time, in milliseconds, as `Prefer: wait` says; undefined where it says nothing. */
  readonly patienceMillis: number | undefined
  /** Fires when the server is about to stop: who answers without end should come to one. */
  readonly draining: AbortSignal
  /** Each line names the request. */
  readonly log: Logger
  /** Tells the log of a failure whose cause the client does not see, by the name that the answer gives the request. */
  report(error: unknown): void
  /**
   * What its answer has to show: all that was written before, as an earlier answer named it. Undefined where it names nothing.
   * @throws AppError `BAD_REQUEST` for what is no such place.
   */
  readonly after: Position | undefined
  /** Has the answer name up to where something was written by it. */
  wrote(position: Position): void
  /** What is said of it in its line of the log. */
  readonly told: Told
}

/** What only a handler knows. */
export interface Told {
  /** Name of the operation, as its client wrote it. */
  operation?: string | undefined
  /** Codes of the errors beside data, each once. */
  codes?: readonly string[] | undefined
  /** Whether it lasts as long as somebody listens. */
  isLasting?: boolean
  /** Of the trace that it belongs to, where traces are collected. */
  traceId?: string | undefined
  /** Who connected, where that was said on the connection. */
  viewer?: Viewer | undefined
}

export interface Target {
  /** Empty where there is none that could be served. */
  readonly path: string
  readonly query: string
  /** Host and port, where the target names them. */
  readonly authority?: string
}

/** `http://host:port/path?query`: without a user, and without a fragment. */
const ABSOLUTE = /^https?:\/\/([^/?#@\s]+)([^#]*)$/i

/** The parts of a request's target, raw: nothing is decoded. @see RFC 9112 section 3.2 */
export function splitTarget({ url = '/' }: IncomingMessage): Target {
  const [, authority, rest = url] = ABSOLUTE.exec(url) ?? []
  const mark = rest.indexOf('?')
  const path = mark === -1 ? rest : rest.slice(0, mark)
  const query = mark === -1 ? '' : rest.slice(mark + 1)
  if (authority !== undefined) return { path: path === '' ? '/' : path, query, authority }
  return /^\/(?!\/)/.test(path) ? { path, query } : { path: '', query: '' }
}

export interface ContextOptions extends Pick<RequestContext, 'query' | 'params' | 'draining'> {
  readonly path: string
  /** Of the server. */
  readonly log: Logger
  /** The same. */
  readonly failures: FailureLog
}

/** The context, as whoever makes it has it. */
export interface OwnedContext extends RequestContext {
  /** To be called when the answer is closed: whether its client has all of it, or has left. */
  closed(): void
  /** Ends what is done for it, which fails with this. */
  expire(failure: AppError): void
}

/** In an answer to a write, and in requests that have to see it, whichever server they come to. */
const AFTER_HEADER = 'x-statelens-after'

/** A path names what was asked for; it may be as long as a request. */
const LOGGED_PATH_LENGTH = 200

export function createRequestContext(response: ServerResponse, options: ContextOptions): OwnedContext {
  return new FrontContext(response, options)
}

/** A class, since each request has one. What it gets is made when somebody asks: most answers need little of it. */
class FrontContext implements OwnedContext {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: string
  readonly params: readonly string[]
  readonly draining: AbortSignal
  readonly told: Told = {}
  readonly departure: StopSignal
  #authenticate: Authenticate | undefined
  readonly #stop: Stop
  readonly #path: string
  readonly #serverLog: Logger
  readonly #failures: FailureLog
  #viewer = ANYONE
  #id: string | undefined
  #signal: AbortSignal | undefined
  #log: Logger | undefined

  constructor(response: ServerResponse, { path, query, params, draining, log, failures }: ContextOptions) {
    this.request = response.req
    this.response = response
    this.query = query
    this.params = params
    this.draining = draining
    this.#stop = createStop()
    this.departure = this.#stop
    this.#path = path
    this.#serverLog = log
    this.#failures = failures
  }

  get viewer(): Viewer {
    return this.#viewer
  }

  get patienceMillis(): number | undefined {
    return patienceOf(this.request.headers)
  }

  recognize(authenticate: Authenticate): void | Promise<void> {
    this.#authenticate = authenticate
    // Until it is known, and where that fails.
    this.#viewer = STRANGER
    const { request } = this
    const { headers, socket } = request
    const found = authenticate({ authorization: headers.authorization, address: socket.remoteAddress ?? '', request })
    if (found instanceof Promise) {
      return found.then((known) => {
        this.#viewer = known
      })
    }
    this.#viewer = found
  }

  async recheck(): Promise<void> {
    if (!this.#authenticate) return
    const before = this.#viewer
    await this.recognize(this.#authenticate)
    requireNoLess(before, this.#viewer)
  }

  get id(): string {
    this.#id ??= idOf(this.request)
    return this.#id
  }

  get signal(): AbortSignal {
    this.#signal ??= toAbortSignal(this.#stop)
    return this.#signal
  }

  get log(): Logger {
    // Never the query: it may hold a signature.
    this.#log ??= this.#serverLog.child({
      request: this.id,
      method: this.request.method,
      path: this.#path.slice(0, LOGGED_PATH_LENGTH),
      trace_id: this.told.traceId,
    })
    return this.#log
  }

  get after(): Position | undefined {
    const told = this.request.headers[AFTER_HEADER]
    if (told === undefined) return undefined
    if (typeof told === 'string' && readPosition(told) !== null) return told
    throw new AppError('BAD_REQUEST', `The header ${AFTER_HEADER} must be as an answer had it`)
  }

  wrote(position: Position): void {
    if (!this.response.headersSent) this.response.setHeader(AFTER_HEADER, position)
  }

  report(error: unknown): void {
    this.#failures.tell(this.log, { error, what: 'request failed' })
  }

  closed(): void {
    if (!this.response.writableFinished) this.#stop.abort(new Departure())
  }

  expire(failure: AppError): void {
    this.#stop.abort(failure)
  }
}

/** Has the client send its body, where it waits to be asked. */
export function askForBody(response: ServerResponse): void {
  const { headers, httpVersion } = response.req
  if (headers.expect !== undefined && httpVersion !== '1.0') response.writeContinue()
}

function idOf({ headers }: IncomingMessage): string {
  const told = headers['x-request-id']
  return typeof told === 'string' && /^[\w.:+/=@-]{1,128}$/.test(told) ? told : randomUUID()
}
