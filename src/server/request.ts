import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ANYONE, type Viewer } from '../auth/viewer.ts'
import { Departure } from '../errors.ts'

/** One request on its way through the server: made once, in the front, and handed to every handler. */
export interface RequestContext {
  /** Names it in logs, and in errors that hide their cause: the client's own `X-Request-Id`, or a new one. */
  readonly id: string
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Raw, without the `?`; nothing is decoded. */
  readonly query: string
  /** Groups of the route's path. */
  readonly params: readonly string[]
  readonly viewer: Viewer
  /** Fires, with a `Departure`, when the client goes away before its answer is complete. */
  readonly signal: AbortSignal
}

export interface Target {
  readonly path: string
  readonly query: string
}

/** The path and the query of a request, raw: nothing is decoded. The path of a target that names a host is empty. */
export function splitTarget({ url = '/' }: IncomingMessage): Target {
  if (!/^\/(?!\/)/.test(url)) return { path: '', query: '' }
  const mark = url.indexOf('?')
  return mark === -1 ? { path: url, query: '' } : { path: url.slice(0, mark), query: url.slice(mark + 1) }
}

export function createRequestContext(
  response: ServerResponse,
  { query, params }: Pick<RequestContext, 'query' | 'params'>,
): RequestContext {
  const { req: request } = response
  let id: string | undefined
  let signal: AbortSignal | undefined
  return {
    request,
    response,
    query,
    params,
    viewer: ANYONE,
    // Made when somebody asks: most answers are complete before a client could leave, or anything could fail.
    get id() {
      id ??= idOf(request)
      return id
    },
    get signal() {
      signal ??= signalOf(response)
      return signal
    },
  }
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
