import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

const ALLOW_ORIGIN = 'access-control-allow-origin'
const EXPOSE_HEADERS = 'access-control-expose-headers'

/** Beside those that every page may send: what routes read, what tells a page's script from a form of its, and what goes along. */
const REQUEST_HEADERS = [
  'accept',
  'apollo-require-preflight',
  'authorization',
  'content-digest',
  'content-encoding',
  'content-type',
  'digest',
  'graphql-require-preflight',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'if-range',
  'range',
  'repr-digest',
  'x-request-id',
  'x-requested-with',
  // Nobody here reads them: tracers and clients of GraphQL send them with every request, and a browser would send none without.
  'apollographql-client-name',
  'apollographql-client-version',
  'baggage',
  'sentry-trace',
  'traceparent',
  'tracestate',
  'x-datadog-origin',
  'x-datadog-parent-id',
  'x-datadog-sampling-priority',
  'x-datadog-trace-id',
].join(', ')

/** Beside those that every page may read. */
const RESPONSE_HEADERS = [
  'accept-encoding',
  'accept-ranges',
  'allow',
  'content-disposition',
  'content-encoding',
  'content-length',
  'content-range',
  'etag',
  'location',
  'retry-after',
  'x-request-id',
].join(', ')

const PREFLIGHT_SECONDS = '600'

/** Which pages may read the answers, by the origin they come from. Nothing here uses cookies: credentials are never allowed. */
export interface Cors {
  /** Sets what lets the page that asks read the answer, whatever the answer will be; for a page that may not, nothing. */
  mark(response: ServerResponse): void

  /**
   * Answers a preflight, once its answer is marked; `methods` as they stand in `Allow`.
   * @throws AppError `FORBIDDEN` where the page may not call.
   */
  answerPreflight(response: ServerResponse, methods: string): void
}

/** @param origins as browsers spell them, or `*` alone for all; without any, undefined. */
export function createCors(origins: readonly string[]): Cors | undefined {
  if (origins.length === 0) return undefined
  const allowsAll = origins.includes('*')
  const marks = new Map(origins.map((origin) => [origin, marksOf(origin)]))

  return {
    mark(response) {
      // Also where no origin is told: a cache must not hand that answer to a page.
      if (!allowsAll) response.setHeader('vary', 'origin')
      const found = marks.get(allowsAll ? '*' : (response.req.headers.origin ?? ''))
      if (found) response.setHeaders(found)
    },

    answerPreflight(response, methods) {
      if (!isMarked(response)) {
        throw new AppError('FORBIDDEN', 'Pages of that origin may not call this server')
      }
      response.removeHeader(EXPOSE_HEADERS)
      // What was asked for is not looked at: the browser compares.
      response.writeHead(204, {
        'access-control-allow-methods': methods,
        'access-control-allow-headers': REQUEST_HEADERS,
        'access-control-max-age': PREFLIGHT_SECONDS,
      })
      response.end()
    },
  }
}

/** Whether the page that asks may read the answer. */
export function isMarked(response: ServerResponse): boolean {
  return response.hasHeader(ALLOW_ORIGIN)
}

function marksOf(origin: string): Map<string, string> {
  return new Map([
    [ALLOW_ORIGIN, origin],
    [EXPOSE_HEADERS, RESPONSE_HEADERS],
  ])
}

/** Whether a browser asks what a page may send, before it sends it. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined
}
