import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { MIMEType } from 'node:util'
import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'
import { codingsIn, ENCODINGS, type Encoding, isEncoding } from '../snapshots/encoding.ts'

/** Whether `Accept-Encoding` takes a coding; without the header none is. @see RFC 9110 section 12.5.3. */
export function accepts({ 'accept-encoding': header }: IncomingHttpHeaders, coding: string): boolean {
  const weights = weightsOf(String(header ?? ''))
  return (weights.get(coding) ?? weights.get(`x-${coding}`) ?? weights.get('*') ?? 0) > 0
}

/** How much a client wants each media type, from 0 to 1. @see RFC 9110 section 12.5.1. */
export interface MediaWishes {
  /** By the range that fits best; 0 where none does. */
  weightOf(type: string): number
  /** The same for a type that is named in full, and 0 otherwise. */
  namedWeightOf(type: string): number
}

/** Reads `Accept`; without the header, or with nothing in it, everything is wanted alike. Parameters but the weight are passed over. */
export function readAccept({ accept = '' }: IncomingHttpHeaders): MediaWishes {
  const weights = weightsOf(accept.trim() === '' ? '*/*' : accept)
  return {
    weightOf: (type) =>
      weights.get(type) ?? weights.get(`${type.slice(0, type.indexOf('/'))}/*`) ?? weights.get('*/*') ?? 0,
    namedWeightOf: (type) => weights.get(type) ?? 0,
  }
}

export const RESPONSE_JSON = 'application/graphql-response+json'

/** Whether a browser asks that would show a page: browsers name `text/html`, and whoever takes anything is no browser. */
export function prefersPage(headers: IncomingHttpHeaders): boolean {
  const { weightOf, namedWeightOf } = readAccept(headers)
  const wish = namedWeightOf('text/html')
  return wish > 0 && wish >= Math.max(weightOf('application/json'), namedWeightOf(RESPONSE_JSON))
}

/** What `Prefer: wait=…` says, in milliseconds; undefined without it. @see RFC 7240 section 4.3. */
export function patienceOf({ prefer }: IncomingHttpHeaders): number | undefined {
  // Most have none, and it may come more than once.
  if (prefer === undefined) return undefined
  const [, seconds] = /(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:[;,]|$)/i.exec(String(prefer)) ?? []
  return seconds === undefined ? undefined : Number(seconds) * 1000
}

/** Clients send the same few headers again and again. */
const knownWeights = new LRUCache<string, ReadonlyMap<string, number>>({ max: 64 })
const knownTypes = new LRUCache<string, { readonly type: string | undefined }>({ max: 64 })

function weightsOf(header: string): ReadonlyMap<string, number> {
  const known = knownWeights.get(header)
  if (known) return known
  const weights = readWeights(header)
  knownWeights.set(header, weights)
  return weights
}

/** Of each item of a list its weight, 1 unless told; a weight that is none counts as 0. */
function readWeights(header: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>()
  for (const item of split(header, ',')) {
    const [name = '', ...parameters] = split(item, ';').map((part) => part.trim().toLowerCase())
    const [, weight = '1'] = parameters.map((parameter) => /^q\s*=\s*(.*)$/.exec(parameter)).find(Boolean) ?? []
    if (name !== '') weights.set(name, Number(weight) || 0)
  }
  return weights
}

/** Cuts where the separator stands outside of quotes. */
function split(text: string, separator: ',' | ';'): readonly string[] {
  return text.match(separator === ',' ? /(?:"(?:\\.|[^"\\])*"|[^,])+/g : /(?:"(?:\\.|[^"\\])*"|[^;])+/g) ?? []
}

/**
 * The media type of a body of JSON in UTF-8, in lower case: `application/json`, or another type that is JSON by its name. Empty parameters
 * are nothing, and others say nothing of the bytes.
 * @returns undefined for everything else.
 */
export function jsonTypeOf({ 'content-type': header = '' }: IncomingHttpHeaders): string | undefined {
  const known = knownTypes.get(header)
  if (known) return known.type
  const type = readJsonType(header)
  knownTypes.set(header, { type })
  return type
}

function readJsonType(header: string): string | undefined {
  try {
    const { essence, params } = new MIMEType(header)
    const isUtf8 = /^utf-?8$/i.test(params.get('charset') ?? 'utf-8')
    return isUtf8 && /^application\/json$|\/.+\+json$/.test(essence) ? essence : undefined
  } catch {
    return undefined
  }
}

/**
 * What a body is coded in; undefined for one that is sent as it is.
 * @throws AppError `UNSUPPORTED_MEDIA_TYPE` for other codings and for several, and names those that are taken.
 */
export function readCoding(response: ServerResponse): Encoding | undefined {
  const { 'content-encoding': header } = response.req.headers
  if (header === undefined) return undefined
  const [coding, ...others] = codingsIn(header)
  if (coding === undefined) return undefined
  if (isEncoding(coding) && others.length === 0) return coding
  response.setHeader('accept-encoding', ENCODINGS.join(', '))
  throw new AppError('UNSUPPORTED_MEDIA_TYPE', `The body may be coded in ${ENCODINGS.join(' or ')}, and once`)
}
