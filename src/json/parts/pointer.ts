import { AppError } from '../../errors.ts'

/**
 * Keys and indexes of a JSON Pointer, the outermost first; none for the empty one, which is the root.
 * @throws AppError `BAD_REQUEST` @see RFC 6901
 */
export function parsePointer(pointer: string): readonly string[] {
  if (pointer === '') return []
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) {
    throw new AppError(
      'BAD_REQUEST',
      'A JSON Pointer is empty or starts with "/", and has "~0" for "~" and "~1" for "/"',
    )
  }
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The pointer to a child. */
export function childPointer(pointer: string, token: string | number): string {
  if (typeof token === 'number') return `${pointer}/${token}`
  return `${pointer}/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** The index that a token is, or null: without leading zeros, and `-` is none. */
export function parseIndex(token: string): number | null {
  return /^(?:0|[1-9]\d{0,14})$/.test(token) ? Number(token) : null
}
