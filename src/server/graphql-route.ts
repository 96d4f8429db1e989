import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { GraphQLError } from 'graphql'
import type { GraphQLParams } from 'graphql-yoga'
import { AppError } from '../errors.ts'
import { extensionsOf } from '../graphql/mask-error.ts'
import { sendAnswer } from './answer.ts'
import { type FailureBody, type Handler, readBody } from './http.ts'
import type { RequestContext } from './request.ts'
import type { GraphqlServer } from './yoga.ts'

/** A payload of 2 MiB and what is said about it. */
const BODY_MAX_BYTES = 2_621_440

const RESPONSE_JSON = 'application/graphql-response+json'
const PLAIN_JSON = 'application/json'

export interface GraphqlRouteOptions {
  readonly graphql: GraphqlServer
  /** Answers a browser that opens the address. */
  readonly graphiql: Handler
}

/** GraphQL over HTTP: POST of JSON, and GET of queries by clients that are not a form on a foreign page. */
export function createGraphqlRoute({ graphql, graphiql }: GraphqlRouteOptions): {
  readonly GET: Handler
  readonly HEAD: Handler
  readonly POST: Handler
} {
  async function execute(params: GraphQLParams, asked: RequestContext): Promise<void> {
    const { request, response } = asked
    const mediaType = chooseMediaType(request.headers.accept)
    const result = await graphql.execute(params, request.method === 'POST' ? 'POST' : 'GET', asked)
    if (!result || Symbol.asyncIterator in result)
      throw new AppError('BAD_REQUEST', 'That operation has no single answer')
    const { data, errors } = result
    await sendAnswer(response, result, {
      status: statusOf(data, errors, mediaType),
      headers: { ...headersOf(errors), 'content-type': `${mediaType}; charset=utf-8`, 'cache-control': 'no-store' },
      maskError: graphql.maskError,
    })
  }

  async function get(context: RequestContext): Promise<void> {
    const { request, query } = context
    // Also with a query: GraphiQL shows it in its editor, and runs nothing.
    if (acceptsHtml(request)) return await graphiql(context)
    refuseSimpleRequest(request)
    await execute(requireParams(paramsOfQuery(query)), context)
  }

  return {
    GET: get,
    HEAD: get,
    async POST(context) {
      const { request } = context
      requireJson(request)
      await execute(requireParams(paramsOfBody(await readBody(request, BODY_MAX_BYTES))), context)
    },
  }
}

/** Clients of GraphQL read `errors`, also where nothing was executed. */
export const graphqlFailure: FailureBody = ({ code, message }) => ({
  errors: [{ message, extensions: extensionsOf(code) }],
})

function acceptsHtml({ headers }: IncomingMessage): boolean {
  return headers.accept?.includes('text/html') ?? false
}

/** A header that only a script of an allowed origin can set shows that no foreign page sends the viewer's request. */
function refuseSimpleRequest({ headers }: IncomingMessage): void {
  const told =
    headers['graphql-require-preflight'] ?? headers['apollo-require-preflight'] ?? headers['x-requested-with']
  if (told === undefined && !isJson(headers['content-type'])) {
    throw new AppError('FORBIDDEN', 'A GET query needs the header graphql-require-preflight, or send it by POST')
  }
}

function requireJson({ headers }: IncomingMessage): void {
  if (!isJson(headers['content-type'])) {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json in UTF-8')
  }
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must not be compressed')
  }
}

function isJson(contentType: string | undefined): boolean {
  return /^application\/json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?$/i.test(contentType ?? '')
}

function paramsOfBody(body: Buffer): GraphQLParams {
  if (!isUtf8(body)) throw new AppError('BAD_REQUEST', 'The body is not UTF-8')
  const params = parseJson(body.toString())
  if (Array.isArray(params)) throw new AppError('BAD_REQUEST', 'Batches are not served: send one operation a request')
  if (!isObject(params)) throw new AppError('BAD_REQUEST', 'The body must be a JSON object')
  return params
}

/** What else a client sends along is not looked at. @throws AppError `BAD_REQUEST` for what nothing behind here could read. */
function requireParams(params: GraphQLParams): GraphQLParams {
  const { query, operationName, variables, extensions } = params
  if (typeof query !== 'string') throw new AppError('BAD_REQUEST', 'query must be a string')
  if (operationName != null && typeof operationName !== 'string') {
    throw new AppError('BAD_REQUEST', 'operationName must be a string')
  }
  if ([variables, extensions].some((value) => value != null && !isObject(value))) {
    throw new AppError('BAD_REQUEST', 'variables and extensions must be objects')
  }
  return { query, operationName, variables, extensions }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function paramsOfQuery(query: string): GraphQLParams {
  const search = new URLSearchParams(query)
  const jsonOf = (name: string) => {
    const text = search.get(name)
    return text === null ? undefined : (parseJson(text) as Record<string, unknown>)
  }
  return {
    query: search.get('query') ?? undefined,
    operationName: search.get('operationName') ?? undefined,
    variables: jsonOf('variables'),
    extensions: jsonOf('extensions'),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new AppError('BAD_REQUEST', 'The body is not JSON')
  }
}

/** @see the GraphQL over HTTP specification, section "Media types"; without a wish the newer one is sent. */
function chooseMediaType(accept = '*/*'): typeof RESPONSE_JSON | typeof PLAIN_JSON {
  if (accept.includes(RESPONSE_JSON) || /\*\/\*|application\/\*/.test(accept)) return RESPONSE_JSON
  if (accept.includes(PLAIN_JSON)) return PLAIN_JSON
  throw new AppError('BAD_REQUEST', `Answers are ${RESPONSE_JSON} or ${PLAIN_JSON}`)
}

interface HttpNote {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** True where the older media type answers 200 all the same. */
  readonly spec?: boolean
}

function httpNoteOf({ extensions }: GraphQLError): HttpNote {
  return (extensions['http'] ?? {}) as HttpNote
}

/** An operation that ran answers 200, whatever its fields met. */
function statusOf(data: unknown, errors: readonly GraphQLError[] | undefined, mediaType: string): number {
  if (data !== undefined || !errors?.length) return 200
  const notes = errors.map(httpNoteOf)
  if (mediaType === PLAIN_JSON && notes.every(({ spec }) => spec)) return 200
  return Math.max(400, ...notes.map(({ status }) => status ?? 400))
}

function headersOf(errors: readonly GraphQLError[] | undefined): Record<string, string> {
  return Object.assign({}, ...(errors ?? []).map((error) => httpNoteOf(error).headers ?? {}))
}
