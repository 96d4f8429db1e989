import { skipPlain, skipTokens } from '../skip.ts'

/** Where a value stands that is passed over between two chunks, and the chunk. */
export interface Passed {
  chunk: Buffer
  view: DataView
  /** Nothing is looked at from there on. */
  end: number
  /** Open containers within it. */
  depth: number
  isInString: boolean
  /** Whether a backslash was the last byte. */
  isEscaped: boolean
  /** Set where a string may have a backslash. */
  hasEscapes: boolean
}

export const QUOTE = 0x22
export const COMMA = 0x2c
export const BACKSLASH = 0x5c
export const SPACE = 0x20
/** Of both kinds, once bit 5 is set. */
export const OPENER = 0x7b
export const CLOSER = 0x7d

/*
 * At module level: V8 then optimises each once for all documents. All of them begin at a place in the chunk, and return where they stopped.
 */

/** Shorter strings are walked: a call to where there are faster ways costs more than it saves. */
const WALKED_BYTES = 48

/** To behind the quote that ends the string, or to the end while it goes on. */
export function skipString(state: Passed, from: number): number {
  const { chunk, view, end } = state
  let at = from
  if (state.isEscaped && at < end) {
    state.isEscaped = false
    at++
  }
  const walked = Math.min(end, at + WALKED_BYTES)
  while (at < walked) {
    at = skipPlain(view, at, walked)
    if (at >= walked) break
    const byte = chunk[at++]
    if (byte === QUOTE) {
      state.isInString = false
      return at
    }
    if (byte !== BACKSLASH) continue
    state.hasEscapes = true
    if (at === end) state.isEscaped = true
    else at++
  }
  return at < end ? skipLong(state, at) : at
}

/** The same from behind a whole character. A quote ends the string unless the backslashes before it are an odd number. */
function skipLong(state: Passed, from: number): number {
  const chunk = state.end === state.chunk.length ? state.chunk : state.chunk.subarray(0, state.end)
  for (let at = from; ; at++) {
    at = chunk.indexOf(QUOTE, at)
    const end = at === -1 ? chunk.length : at
    const isEscaped = (end - beforeBackslashes(chunk, from, end)) % 2 === 1
    if (at === -1) {
      state.isEscaped = isEscaped
      state.hasEscapes = true
      return end
    }
    if (isEscaped) continue
    state.isInString = false
    // A key of that length is unescaped whether it has to be or not.
    state.hasEscapes = true
    return at + 1
  }
}

/** Where the backslashes begin that end there. */
function beforeBackslashes(chunk: Uint8Array, from: number, end: number): number {
  let at = end
  while (at > from && chunk[at - 1] === BACKSLASH) at--
  return at
}

/** To behind the bracket that ends the container; its depth is 0 then. */
export function skipContainer(state: Passed, from: number): number {
  const { chunk, view, end } = state
  let at = state.isInString ? skipString(state, from) : from
  let depth = state.depth
  while (at < end) {
    at = skipTokens(view, at, end)
    if (at >= end) break
    const byte = chunk[at++] as number
    if (byte === QUOTE) {
      state.isInString = true
      at = skipString(state, at)
    } else if ((byte | SPACE) === OPENER) depth++
    else if ((byte | SPACE) === CLOSER && --depth === 0) break
  }
  state.depth = depth
  return at
}

/** To what ends a number or a word. */
export function skipScalar({ chunk, end }: Passed, from: number): number {
  let at = from
  for (; at < end; at++) {
    const byte = chunk[at] as number
    if (byte <= SPACE || byte === COMMA || (byte | SPACE) === CLOSER) break
  }
  return at
}
