import type { IncomingMessage } from 'node:http'
import type { Span, Spans } from '../telemetry/spans.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { RequestContext } from './request.ts'

export interface ObservedRequest {
  readonly context: RequestContext
  /** Raw, without the query. */
  readonly path: string
  /** Undefined where nothing is served. */
  readonly route: string | undefined
}

export interface Observed {
  /** There while traces are collected. */
  readonly span: Span | undefined
  /** To be called once, when the answer is closed. */
  ended(): void
}

const NO_ROUTE = 'none'
const PATH_LENGTH = 200
const AGENT_LENGTH = 200

/** Tells of one request, and begins its span where traces are collected: within that of its client, where there is one. */
export function observeRequest(telemetry: Telemetry, observed: ObservedRequest): Observed {
  const { context, route = NO_ROUTE } = observed
  const { request, response, told } = context
  const { spans } = telemetry
  const span = spans && startSpan(spans, observed)
  if (span) told.traceId = span.traceId
  const began = performance.now()
  telemetry.requestBegan()
  return {
    span,
    ended() {
      const status = response.headersSent ? response.statusCode : 0
      const isCut = !response.writableFinished
      telemetry.requestEnded({
        route,
        method: request.method ?? '',
        status,
        seconds: told.isLasting ? undefined : (performance.now() - began) / 1000,
        isCut,
      })
      if (!span) return
      span.set({ 'http.response.status_code': status || undefined, 'statelens.answer.cut': isCut || undefined })
      span.end(status >= 500 ? String(status) : undefined)
    },
  }
}

/** @see https://opentelemetry.io/docs/specs/semconv/http/http-spans/ The query is left out: it may hold a signature. */
function startSpan(spans: Spans, { context, path, route }: ObservedRequest): Span {
  const { request } = context
  const method = request.method ?? ''
  return spans.start(route === undefined ? method : `${method} ${route}`, {
    kind: 'server',
    headers: request.headers,
    attributes: {
      'http.request.method': method,
      'http.route': route,
      'url.path': path.slice(0, PATH_LENGTH),
      'url.scheme': schemeOf(request),
      'network.protocol.version': request.httpVersion,
      'user_agent.original': request.headers['user-agent']?.slice(0, AGENT_LENGTH),
      'statelens.request.id': context.id,
    },
  })
}

function schemeOf({ socket }: IncomingMessage): string {
  return 'encrypted' in socket ? 'https' : 'http'
}
