import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

const ALLOW_ORIGIN = 'access-control-allow-origin'
const EXPOSE_HEADERS = 'access-control-expose-headers'

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
  'x-statelens-after',
].join(', ')

const PREFLIGHT_SECONDS = '600'

/** Which pages may read the answers, by the origin they come from. Nothing here uses cookies: credentials are never allowed. */
export interface Cors {
  /** Whether pages of that origin may call. */
  allows(origin: string): boolean

  /** Sets what lets the page that asks read the answer, whatever the answer will be; for a page that may not, nothing. */
  mark(response: ServerResponse): void

  /**
   * Answers a preflight, once its answer is marked; `methods` as they stand in `Allow`. A page that may call may send any header:
   * tracers add theirs to each request, and one that nobody reads here does no harm.
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
    allows: (origin) => allowsAll || marks.has(origin),

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
      const asked = response.req.headers['access-control-request-headers']
      response.writeHead(204, {
        'access-control-allow-methods': methods,
        ...(isNameList(asked) ? { 'access-control-allow-headers': asked } : {}),
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

/** Names of headers and nothing else, as browsers send them. */
function isNameList(text: unknown): text is string {
  return typeof text === 'string' && /^[\w!#$%&'*+.^`|~-]+(?:[ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/.test(text)
}

/** Whether a browser asks what a page may send, before it sends it. */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined
}
