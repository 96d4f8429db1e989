import { isUtf8 } from 'node:buffer'
import { once } from 'node:events'
import { getOperationAST, OperationTypeNode, parse } from 'graphql'
import type { GraphQLParams } from 'graphql-yoga'
import { AppError } from '../errors.ts'
import { DEFAULT_LIMITS } from '../graphql/limits.ts'
import { createDecoder, type Encoding, isDecodingError } from '../snapshots/encoding.ts'
import type { TrustedDocuments } from './trusted-documents.ts'

/**
 * Undoes the coding of a body that is at hand.
 * @throws AppError `BAD_REQUEST` when it is not one whole stream, `PAYLOAD_TOO_LARGE` as soon as more than the limit comes out of it.
 */
export async function decodeBody(body: Buffer, encoding: Encoding, maxBytes: number): Promise<Buffer> {
  const decoder = createDecoder(encoding)
  const chunks: Buffer[] = []
  let size = 0
  decoder.on('data', (chunk: Buffer) => {
    size += chunk.length
    chunks.push(chunk)
    if (size > maxBytes)
      decoder.destroy(new AppError('PAYLOAD_TOO_LARGE', `The body holds more than ${maxBytes} bytes`))
  })
  decoder.end(body)
  try {
    await once(decoder, 'end')
    return Buffer.concat(chunks, size)
  } catch (error) {
    if (!isDecodingError(error)) throw error
    throw new AppError('BAD_REQUEST', `The body is not one whole ${encoding} stream`)
  }
}

export interface AskedParams extends GraphQLParams {
  /** The JSON that they came in. */
  readonly body?: string
}

/**
 * What a POST asks for. @throws AppError `BAD_REQUEST`; `FORBIDDEN` for what is none of the documents that may run alone.
 * @param documents undefined: any may run.
 */
export function paramsOfBody(body: Buffer, documents?: TrustedDocuments): AskedParams {
  if (!isUtf8(body)) throw new AppError('BAD_REQUEST', 'The body is not UTF-8')
  // Some editors put a mark of the byte order in front, and parsers may pass it over.
  const whole = body.toString()
  const text = whole.startsWith('\ufeff') ? whole.slice(1) : whole
  const params = parseJson('The body', text)
  if (Array.isArray(params)) throw new AppError('BAD_REQUEST', 'Batches are not served: send one operation a request')
  if (!isObject(params)) throw new AppError('BAD_REQUEST', 'The body must be a JSON object')
  return { ...requireParams(params, documents), body: text }
}

/** What a GET asks for; an empty parameter is as good as none. @param query raw, without its `?`. @throws as `paramsOfBody` does. */
export function paramsOfQuery(query: string, documents?: TrustedDocuments): GraphQLParams {
  const search = new URLSearchParams(query)
  const textOf = (name: string) => search.get(name) || undefined
  const jsonOf = (name: string) => {
    const text = textOf(name)
    return text === undefined ? undefined : (parseJson(name, text) as Record<string, unknown>)
  }
  const params = {
    query: textOf('query'),
    operationName: textOf('operationName'),
    variables: jsonOf('variables'),
    extensions: jsonOf('extensions'),
    documentId: textOf('documentId'),
  }
  return requireParams(params as GraphQLParams, documents)
}

/** More than settings will allow; what is too long is refused once it is known what it is. */
const TOKENS_MAX = 10 * DEFAULT_LIMITS.tokens

/** Whether it asks for events; what cannot be read asks for nothing. */
export function isSubscription({ query = '', operationName }: GraphQLParams): boolean {
  // Nearly every operation is known by this alone.
  if (!query.includes('subscription')) return false
  try {
    const document = parse(query, { noLocation: true, maxTokens: TOKENS_MAX })
    return getOperationAST(document, operationName)?.operation === OperationTypeNode.SUBSCRIPTION
  } catch {
    return false
  }
}

type NamedParams = GraphQLParams & { readonly documentId?: unknown }

/** What else a client sends along is not looked at. @throws AppError `BAD_REQUEST` for what nothing behind here could read. */
export function requireParams(params: NamedParams, documents: TrustedDocuments | undefined): GraphQLParams {
  const { operationName, variables, extensions } = params
  if ([variables, extensions].some((value) => value != null && !isObject(value))) {
    throw new AppError('BAD_REQUEST', 'variables and extensions must be objects')
  }
  const query = documents ? trustedText(params, documents) : params.query
  if (query == null) throw withoutQuery(params)
  if (typeof query !== 'string') throw new AppError('BAD_REQUEST', 'query must be a string')
  if (operationName != null && typeof operationName !== 'string') {
    throw new AppError('BAD_REQUEST', 'operationName must be a string')
  }
  return { query, operationName, variables, extensions }
}

/** By its text, by a `documentId`, or by the hash that clients of persisted queries send. */
function trustedText({ query, extensions, documentId }: NamedParams, documents: TrustedDocuments): string {
  const { sha256Hash } = (extensions?.['persistedQuery'] ?? {}) as { readonly sha256Hash?: unknown }
  const id = documentId ?? sha256Hash
  const text = query ?? (typeof id === 'string' ? documents.find(id) : undefined)
  if (typeof text === 'string' && documents.has(text)) return text
  throw new AppError('FORBIDDEN', 'Only the operations that this server was given may run here')
}

function withoutQuery({ extensions, documentId }: NamedParams): AppError {
  // Clients know this very message: they send the query from now on.
  if (extensions?.['persistedQuery'] != null) {
    return new AppError('PERSISTED_QUERY_NOT_SUPPORTED', 'PersistedQueryNotSupported')
  }
  if (documentId != null) {
    return new AppError('BAD_REQUEST', 'No document is known here by a documentId: send its text as query')
  }
  return new AppError('BAD_REQUEST', 'query must be a string')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseJson(what: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new AppError('BAD_REQUEST', `${what} is not JSON`)
  }
}
