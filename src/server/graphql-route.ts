import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { ExecutionResult, GraphQLError } from 'graphql'
import type { GraphQLParams } from 'graphql-yoga'
import { requireKnown } from '../auth/viewer.ts'
import { AppError, ERRORS, type ErrorCode } from '../errors.ts'
import { isEventStream } from '../graphql/event-stream.ts'
import { toBytes } from '../graphql/frames.ts'
import { extensionsOf } from '../graphql/mask-error.ts'
import { sendAnswer } from './answer.ts'
import { isMarked } from './cors.ts'
import { EVENTS, sendAsEvent, sendEvents } from './event-writer.ts'
import { type AskedParams, decodeBody, isSubscription, paramsOfBody, paramsOfQuery } from './graphql-request.ts'
import type { FailureAnswer, Handler } from './http.ts'
import { jsonTypeOf, prefersPage, RESPONSE_JSON, readAccept, readCoding } from './negotiation.ts'
import { readBody } from './read-body.ts'
import type { RequestContext } from './request.ts'
import { type Streams, whoAsks } from './streams.ts'
import type { TrustedDocuments } from './trusted-documents.ts'
import type { GraphqlServer } from './yoga.ts'

/** A payload of 2 MiB and what is said about it. */
const BODY_MAX_BYTES = 2_621_440

/** Of payloads in an answer that goes out as one event: it is held until it is whole. */
const EVENT_MAX_BYTES = 4_194_304
const PLAIN_JSON = 'application/json'

export interface GraphqlRouteOptions {
  readonly graphql: GraphqlServer
  readonly streams: Streams
  /** Answers a browser that opens the address; undefined: nobody does. */
  readonly graphiql: Handler | undefined
  /** The operations that may run, as they are now; undefined: any. */
  readonly documents?: (() => TrustedDocuments) | undefined
}

/**
 * GraphQL over HTTP: POST of JSON, and GET of queries and subscriptions by everyone but pages that may not read the answer. Subscriptions
 * are answered as events alone, by the same methods.
 */
export function createGraphqlRoute({ graphql, streams, graphiql, documents }: GraphqlRouteOptions): {
  readonly GET: Handler
  readonly HEAD: Handler
  readonly POST: Handler
} {
  async function execute(params: AskedParams, asked: RequestContext): Promise<void> {
    const { request, response } = asked
    asked.told.operation = operationNameOf(params)
    const method = request.method === 'POST' ? 'POST' : 'GET'
    if (isSubscription(params)) return await subscribe(params, asked)
    const mediaType = chooseMediaType(request.headers)
    if (!mediaType && !prefersEvents(request.headers))
      throw notAcceptable(response, `are ${RESPONSE_JSON} or ${PLAIN_JSON}`)
    const result = await graphql.execute(params, method, asked)
    if (!result || Symbol.asyncIterator in result)
      throw new AppError('BAD_REQUEST', 'That operation has no single answer')
    await send(result, asked)
  }

  async function subscribe(params: AskedParams, asked: RequestContext): Promise<void> {
    const { request, response, viewer } = asked
    const { headers, method, socket } = request
    if (readAccept(headers).namedWeightOf(EVENTS) === 0) throw notAcceptable(response, `of subscriptions are ${EVENTS}`)
    // Nothing would ever end it.
    if (method === 'HEAD') throw new AppError('BAD_REQUEST', 'A subscription has no head alone')
    const leave = await streams.enter(whoAsks(viewer, socket.remoteAddress))
    asked.told.isLasting = true
    try {
      const after = headers['last-event-id'] || undefined
      const result = await graphql.subscribe(params, asked, { after: after?.toString() })
      if (isEventStream(result)) await sendEvents(asked, result, streams)
      else await send(result, asked)
    } finally {
      leave()
    }
  }

  async function send(result: ExecutionResult, asked: RequestContext): Promise<void> {
    const { request, response, told } = asked
    const { data, errors } = result
    const maskError = (error: unknown) => graphql.maskError(error, asked)
    told.codes = codesOf(errors)
    const isPassing = data === undefined && errors?.some(({ extensions }) => extensions['retryable'] === true)
    const wantsEvent = prefersEvents(request.headers)
    if (wantsEvent && !isPassing) return void sendAsEvent(response, await toBytes(result, maskError, EVENT_MAX_BYTES))
    // Who takes events comes back after a status that says so, and after nothing else.
    const mediaType = (wantsEvent ? undefined : chooseMediaType(request.headers)) ?? RESPONSE_JSON
    if (isPassing) response.setHeader('retry-after', '1')
    await sendAnswer(response, result, {
      status: statusOf(data, errors, mediaType),
      headers: { ...headersOf(errors), 'content-type': `${mediaType}; charset=utf-8`, 'cache-control': 'no-store' },
      maskError,
    })
  }

  async function get(context: RequestContext): Promise<void> {
    const { request, query } = context
    // Also with a query: GraphiQL shows it in its editor, and runs nothing.
    if (graphiql && prefersPage(request.headers)) return await graphiql(context)
    requireKnown(context.viewer)
    refuseForeignPage(context)
    await execute(paramsOfQuery(query, documents?.()), context)
  }

  return {
    GET: get,
    HEAD: get,
    async POST(context) {
      const { request, response } = context
      // Before its body is read.
      requireKnown(context.viewer)
      if (!isJson(request.headers)) {
        throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json in UTF-8')
      }
      const coding = readCoding(response)
      const body = await readBody(request, BODY_MAX_BYTES)
      const text = coding ? await decodeBody(body, coding, BODY_MAX_BYTES) : body
      await execute(paramsOfBody(text, documents?.()), context)
    },
  }
}

/** As it is told, or stands at the beginning of the text. */
function operationNameOf({ operationName, query = '' }: GraphQLParams): string | undefined {
  return (operationName || /^\s*(?:query|mutation|subscription)\s+(\w+)/.exec(query)?.[1])?.slice(0, 100)
}

function codesOf(errors: readonly GraphQLError[] | undefined): readonly string[] | undefined {
  return errors && [...new Set(errors.map(({ extensions }) => String(extensions['code'])))].slice(0, 5)
}

/** Clients of GraphQL read `errors`, also where nothing was executed. */
export const graphqlFailure: FailureAnswer = (failure, { request, status }) => {
  const mediaType = chooseMediaType(request.headers) ?? PLAIN_JSON
  return {
    status: mediaType === PLAIN_JSON && failure.code === 'PERSISTED_QUERY_NOT_SUPPORTED' ? 200 : status,
    mediaType,
    body: { errors: [{ message: failure.message, extensions: extensionsOf(failure) }] },
  }
}

function isJson(headers: IncomingHttpHeaders): boolean {
  return jsonTypeOf(headers) === PLAIN_JSON
}

/**
 * A page of another site can have a browser send a GET without asking first. Browsers tell of it, and send no such GET with one of these
 * headers, unless the page's origin is allowed.
 */
function refuseForeignPage({ request, response }: RequestContext): void {
  const { headers } = request
  const { origin, 'sec-fetch-site': site } = headers
  const asksFirst = ['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with']
  if (asksFirst.some((name) => headers[name] !== undefined) || isJson(headers)) return
  if (site === 'same-origin' || site === 'none') return
  if (origin === undefined ? site === undefined : isMarked(response)) return
  throw new AppError('FORBIDDEN', 'A GET query of a page of another origin needs the header graphql-require-preflight')
}

/** @see the GraphQL over HTTP specification, section "Media types". Whoever does not name the newer one gets the one that all know. */
function chooseMediaType(headers: IncomingHttpHeaders): string | undefined {
  const { weightOf, namedWeightOf } = readAccept(headers)
  const wish = namedWeightOf(RESPONSE_JSON)
  if (wish > 0 && wish >= weightOf(PLAIN_JSON)) return RESPONSE_JSON
  return [PLAIN_JSON, RESPONSE_JSON].find((type) => weightOf(type) > 0)
}

/** Whether it would rather have an event than JSON; nobody who takes anything means events. */
function prefersEvents(headers: IncomingHttpHeaders): boolean {
  const { weightOf, namedWeightOf } = readAccept(headers)
  return namedWeightOf(EVENTS) > Math.max(weightOf(PLAIN_JSON), namedWeightOf(RESPONSE_JSON))
}

/** No code of ours means 406: the status alone says it. */
function notAcceptable(response: ServerResponse, types: string): AppError {
  response.statusCode = 406
  return new AppError('BAD_REQUEST', `Answers ${types}`)
}

interface HttpNote {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
}

function httpNoteOf({ extensions }: GraphQLError): HttpNote {
  return (extensions['http'] ?? {}) as HttpNote
}

/**
 * An operation that ran answers 200, whatever its fields met; in the older media type so does one that was refused, as nobody could
 * tell a status of ours from one of a proxy. A method that may not run it is another matter.
 */
function statusOf(data: unknown, errors: readonly GraphQLError[] | undefined, mediaType: string): number {
  if (data !== undefined || !errors?.length) return 200
  const status = Math.max(...errors.map(failureStatusOf))
  return mediaType === PLAIN_JSON && status !== 405 ? 200 : status
}

function failureStatusOf(error: GraphQLError): number {
  const { status = ERRORS[error.extensions['code'] as ErrorCode]?.status ?? 400 } = httpNoteOf(error)
  return Math.max(status, 400)
}

function headersOf(errors: readonly GraphQLError[] | undefined): Record<string, string> | undefined {
  if (errors === undefined) return undefined
  return Object.assign({}, ...errors.map((error) => httpNoteOf(error).headers ?? {}))
}
