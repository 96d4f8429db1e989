import { wholeCharacters } from '../utf8.ts'
import type { CheckedBytes } from './checked-bytes.ts'
import type { Place } from './place.ts'

export const PREVIEW_MAX_BYTES = 1024
/** `\u` and four digits; a pair of them is one character. */
const ESCAPE_MAX_BYTES = 12

/** The beginning of a value's source text. */
export async function previewOfValue(checked: CheckedBytes, { start, end }: Place): Promise<string> {
  const [bytes = Buffer.alloc(0)] = await checked.take([
    { start, end: Math.min(end, start + PREVIEW_MAX_BYTES + ESCAPE_MAX_BYTES) },
  ])
  if (end - start <= PREVIEW_MAX_BYTES) return bytes.toString('utf8')
  return bytes.toString('utf8', 0, wholeCharacters(bytes, wholeEscapes(bytes, PREVIEW_MAX_BYTES)))
}

/** The largest length, not above `length`, that cuts no escape and no pair of escapes that are one character. */
function wholeEscapes(bytes: Buffer, length: number): number {
  let at = 0
  while (at < length) {
    const next = at + (bytes[at] === 0x5c ? escapeLength(bytes, at) : 1)
    if (next > length) return at
    at = next
  }
  return at
}

function escapeLength(bytes: Buffer, at: number): number {
  if (bytes[at + 1] !== 0x75) return 2
  const isPair = /^\\u[dD][89abAB]..\\u[dD][c-fC-F]/.test(bytes.toString('latin1', at, at + ESCAPE_MAX_BYTES))
  return isPair ? ESCAPE_MAX_BYTES : ESCAPE_MAX_BYTES / 2
}
