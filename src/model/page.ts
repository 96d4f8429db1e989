import { AppError } from '../errors.ts'

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
}

/** One page in list order. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
}

/** Opaque position in one kind of list: base64url of the list's name and the sort key of an item. */
export function encodeCursor(list: string, key: readonly string[]): string {
  return Buffer.from(JSON.stringify([list, ...key])).toString('base64url')
}

/** @throws AppError `BAD_REQUEST` when the cursor is not one of this kind of list. */
export function decodeCursor(list: string, cursor: string, checks: readonly RegExp[]): readonly string[] {
  const parts = parseStrings(cursor)
  const key = parts.slice(1)
  const sound =
    parts[0] === list && key.length === checks.length && checks.every((check, i) => check.test(key[i] ?? ''))
  if (!sound) throw new AppError('BAD_REQUEST', 'That cursor does not belong to this list')
  return key
}

function parseStrings(cursor: string): readonly string[] {
  if (cursor.length > 4096) return []
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(value) && value.every((part) => typeof part === 'string' && part.isWellFormed()) ? value : []
  } catch {
    return []
  }
}

/**
 * @param checks one pattern for each part of the list's sort key.
 * @throws AppError `BAD_REQUEST` for sizes below 0 or above 100, `first` together with `last`, and cursors of another list.
 */
export function parsePage(list: string, args: PageArgs, checks: readonly RegExp[]): PageRequest {
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
  }
}

/** Makes a page of the `size + 1` rows that were read in reading order. */
export function toPage<T>(rows: readonly T[], request: PageRequest): Page<T> {
  const more = rows.length > request.size
  const items = more ? rows.slice(0, request.size) : [...rows]
  if (request.backward) items.reverse()
  return {
    items,
    hasNextPage: request.backward ? request.before !== null : more,
    hasPreviousPage: request.backward ? more : request.after !== null,
  }
}

export const CURSOR_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/
export const CURSOR_INTEGER = /^-?\d{1,18}$/
export const CURSOR_TEXT = /^[^\0]{1,512}$/su
