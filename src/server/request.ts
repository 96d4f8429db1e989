import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Authenticate } from '../auth/authenticate.ts'
import { ANYONE, STRANGER, type Viewer } from '../auth/viewer.ts'
import { Departure } from '../errors.ts'
import type { Logger } from '../log.ts'

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
  /** Fires, with a `Departure`, when the client goes away before its answer is complete. */
  readonly signal: AbortSignal
  /** Fires when the server is about to stop: who answers without end should come to one. */
  readonly draining: AbortSignal
  /** Each line names the request. */
  readonly log: Logger
  /** What is said of it in its line of the log. */
  readonly told: Told
}

/** What only a handler knows. */
export interface Told {
  /** Name of the operation, as its client wrote it. */
  operation?: string | undefined
  /** Codes of the errors beside data, each once. */
  codes?: readonly string[] | undefined
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
}

/** A path names what was asked for; it may be as long as a request. */
const LOGGED_PATH_LENGTH = 200

export function createRequestContext(
  response: ServerResponse,
  { path, query, params, draining, log: serverLog }: ContextOptions,
): RequestContext {
  const { req: request } = response
  let id: string | undefined
  let signal: AbortSignal | undefined
  let log: Logger | undefined
  let viewer = ANYONE
  return {
    request,
    response,
    query,
    params,
    draining,
    told: {},
    get viewer() {
      return viewer
    },
    recognize(authenticate) {
      // Until it is known, and where that fails.
      viewer = STRANGER
      const { headers, socket } = request
      const found = authenticate({ authorization: headers.authorization, address: socket.remoteAddress ?? '' })
      if (!(found instanceof Promise)) {
        viewer = found
        return
      }
      return found.then((known) => {
        viewer = known
      })
    },
    // Made when somebody asks: most answers are complete before a client could leave, or anything could fail.
    get id() {
      id ??= idOf(request)
      return id
    },
    get signal() {
      signal ??= signalOf(response)
      return signal
    },
    get log() {
      // Never the query: it may hold a signature.
      log ??= serverLog.child({ request: this.id, method: request.method, path: path.slice(0, LOGGED_PATH_LENGTH) })
      return log
    },
  }
}

/** Has the client send its body, where it waits to be asked. */
export function askForBody(response: ServerResponse): void {
  const { headers, httpVersion } = response.req
  if (headers.expect !== undefined && httpVersion !== '1.0') response.writeContinue()
}

const current = new AsyncLocalStorage<RequestContext>()

/** Does the work of a request, so that whatever it leads to can be told with it. */
export function runAs<Result>(context: RequestContext, work: () => Result): Result {
  return current.run(context, work)
}

/** Tells the log of a failure whose cause clients do not see, by the name that the answer gives the request. */
export function reportTo(log: Logger): (error: unknown) => void {
  return (error) => (current.getStore()?.log ?? log).error({ err: error }, 'request failed')
}

function idOf({ headers }: IncomingMessage): string {
  const told = headers['x-request-id']
  return typeof told === 'string' && /^[\w.:+/=@-]{1,128}$/.test(told) ? told : randomUUID()
}

function signalOf(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const leave = () => {
    if (!response.writableFinished) controller.abort(new Departure())
  }
  if (response.closed) leave()
  else response.once('close', leave)
  return controller.signal
}
