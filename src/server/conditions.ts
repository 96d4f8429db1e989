import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'

const TAG = /(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g

/** What the conditions of a GET or HEAD make of it: the answer itself, 304, or 412. */
export type Precondition = 'proceed' | 'not modified' | 'failed'

/**
 * Weighs `If-Match` and `If-None-Match` in the order of RFC 9110 section 13.2.2. Nothing here carries a date of its last change, so
 * `If-Unmodified-Since` and `If-Modified-Since` are ignored, as that section wants.
 * @param etag strong; undefined where what is there has none: it is still there for `*`.
 */
export function precondition(headers: IncomingHttpHeaders, etag: string | undefined): Precondition {
  const { 'if-match': wanted, 'if-none-match': known } = headers
  if (wanted !== undefined && !names(wanted, etag, isStrong)) return 'failed'
  return known !== undefined && names(known, etag, isAny) ? 'not modified' : 'proceed'
}

/** The failure for a condition that does not hold. */
export function conditionFailed(response: ServerResponse): AppError {
  // No code of ours means 412: the status alone says it.
  response.statusCode = 412
  return new AppError('CONFLICT', 'What is here is another version than If-Match names')
}

/** Whether a list of tags is `*`, or has the tag among those that count. */
function names(list: string, etag: string | undefined, counts: (weakMark: string | undefined) => boolean): boolean {
  if (list.trim() === '*') return true
  return [...list.matchAll(TAG)].some(([, weakMark, tag]) => counts(weakMark) && tag === etag)
}

const isStrong = (weakMark: string | undefined) => weakMark === undefined
const isAny = () => true

/** What a Range header asks of a representation; half-open. `none`: answer as if there were no such header. */
export type RangeWish = { readonly start: number; readonly end: number } | 'unsatisfiable' | 'none'

/**
 * Reads `Range` under `If-Range`. Several ranges, other units and malformed headers are ignored, as RFC 9110 section 14.2 allows;
 * so is everything after an `If-Range` that does not name this version: dates never do, payloads carry none.
 */
export function readRange(headers: IncomingHttpHeaders, { etag, sizeBytes }: RangeTarget): RangeWish {
  const { range, 'if-range': condition } = headers
  if (range === undefined || (condition !== undefined && condition !== etag)) return 'none'
  const [, first, last] = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(range) ?? []
  if (first === undefined || last === undefined || first + last === '') return 'none'
  if (first === '') return between(Math.max(sizeBytes - Number(last), 0), sizeBytes)
  if (last !== '' && Number(last) < Number(first)) return 'none'
  return between(Number(first), last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes))
}

export interface RangeTarget {
  /** Strong; undefined where the representation has none. */
  readonly etag: string | undefined
  /** Of the whole representation. */
  readonly sizeBytes: number
}

function between(start: number, end: number): RangeWish {
  return start < end ? { start, end } : 'unsatisfiable'
}
