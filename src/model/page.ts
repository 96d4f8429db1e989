import { AppError } from '../errors.ts'
import { readUnsettled } from './unsettled.ts'

export const MAX_PAGE_SIZE = 100
export const DEFAULT_PAGE_SIZE = 20

export interface PageArgs {
  readonly first?: number | null
  readonly after?: string | null
  readonly last?: number | null
  readonly before?: string | null
}

/** A page asked for: `backward` counts `size` items back from `before` or the end; the answer is in list order all the same. */
export interface PageRequest {
  readonly size: number
  readonly backward: boolean
  readonly after: readonly string[] | null
  readonly before: readonly string[] | null
  /** Whether anybody asks for `hasNextPage` or `hasPreviousPage`: behind a cursor that takes a look of its own. */
  readonly wantsEnds: boolean
  /** Whether anybody asks for `totalCount`. */
  readonly wantsTotal: boolean
}

/** One page in list order. */
export interface Page<T> {
  readonly items: readonly T[]
  /** Whether the list has items behind the last one here; with no item here, behind its place. Only true where it was asked for. */
  readonly hasNextPage: boolean
  /** The same before the first one. */
  readonly hasPreviousPage: boolean
  /** Items of the whole list, whatever the page; null where there are more than `TOTAL_MAX`, and where it was not asked for. */
  readonly totalCount: number | null
}

/** Lists up to this length are counted exactly. */
export const TOTAL_MAX = 1000

/** What one part of a cursor must be like. */
export interface CursorCheck {
  test(part: string): boolean
  /** Whether it may be left out; the last ones only. */
  readonly isOptional?: boolean
}

/** Opaque position in one kind of list: base64url of the list's name and the sort key of an item. */
export function encodeCursor(list: string, key: readonly string[]): string {
  return Buffer.from(JSON.stringify([list, ...key])).toString('base64url')
}

/** @throws AppError `BAD_REQUEST` when the cursor is not one of this kind of list. */
export function decodeCursor(list: string, cursor: string, checks: readonly CursorCheck[]): readonly string[] {
  const parts = parseStrings(cursor)
  const key = parts.slice(1)
  const sound =
    parts[0] === list &&
    key.length <= checks.length &&
    checks.every((check, i) => (i < key.length ? check.test(key[i] ?? '') : check.isOptional === true))
  if (!sound) throw new AppError('BAD_REQUEST', 'That cursor does not belong to this list')
  return key
}

function parseStrings(cursor: string): readonly string[] {
  if (cursor.length > 8192) return []
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(value) && value.every((part) => typeof part === 'string' && part.isWellFormed()) ? value : []
  } catch {
    return []
  }
}

/**
 * A page that tells its ends and no total; whoever knows better what is asked for says so in the request.
 * @param checks one for each part of the list's sort key.
 * @throws AppError `BAD_REQUEST` for sizes below 0 or above 100, `first` together with `last`, and cursors of another list.
 */
export function parsePage(list: string, args: PageArgs, checks: readonly CursorCheck[]): PageRequest {
  const { first, last } = args
  if (first != null && last != null) throw new AppError('BAD_REQUEST', 'first and last exclude each other')
  const size = first ?? last ?? DEFAULT_PAGE_SIZE
  if (size < 0 || size > MAX_PAGE_SIZE) {
    throw new AppError('BAD_REQUEST', `${last == null ? 'first' : 'last'} must be 0 to ${MAX_PAGE_SIZE}`)
  }
  const backward = last != null || (first == null && args.before != null && args.after == null)
  return {
    size,
    backward,
    after: args.after == null ? null : decodeCursor(list, args.after, checks),
    before: args.before == null ? null : decodeCursor(list, args.before, checks),
    wantsEnds: true,
    wantsTotal: false,
  }
}

/** What was read beside the items of a page. */
export interface PageFacts {
  /** Whether there is an item at the cursor `after`, or before it. */
  readonly hasBefore: boolean
  /** Whether there is an item at the cursor `before`, or behind it. */
  readonly hasBehind: boolean
  /** Up to one more than `TOTAL_MAX`; null where nobody counted. */
  readonly counted: number | null
}

/** Makes a page of the `size + 1` rows that were read in reading order. */
export function toPage<T>(rows: readonly T[], request: PageRequest, facts: PageFacts): Page<T> {
  const more = rows.length > request.size
  const items = more ? rows.slice(0, request.size) : [...rows]
  if (request.backward) items.reverse()
  const { hasBefore, hasBehind, counted } = facts
  return {
    items,
    hasNextPage: hasBehind || (more && !request.backward),
    hasPreviousPage: hasBefore || (more && request.backward),
    totalCount: counted !== null && counted <= TOTAL_MAX ? counted : null,
  }
}

/** A moment as the database has it, which is more than RFC 3339 can say. */
export const CURSOR_INSTANT: CursorCheck = /^(-?infinity|\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z( BC)?)$/
/** Of 64 bits. */
export const CURSOR_INTEGER: CursorCheck = {
  test: (part) => /^-?\d{1,19}$/.test(part) && BigInt.asIntN(64, BigInt(part)) === BigInt(part),
}
export const CURSOR_UNSETTLED: CursorCheck = { test: (part) => readUnsettled(part) !== null, isOptional: true }
export const CURSOR_TEXT: CursorCheck = /^[^\0]{1,512}$/su
