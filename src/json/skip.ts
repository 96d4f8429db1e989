/**
 * Runs of bytes that a grammar need not look at one by one, taken four at a time. Each function starts at `start` and returns
 * where the run ends; in the last 3 bytes before `end` it may stop early, because it never reads past `end`.
 *
 * In `hits` the high bit of a byte is set where the run ends. A borrow or a carry falsifies higher bytes only, so the lowest bit
 * is exact, and `(31 - clz32(hits & -hits)) >> 3` is the index of its byte. That is written out three times, because one
 * function more takes the scanner's loop over V8's budget for inlining and costs it a tenth of its speed.
 */
const HIGH_BITS = 0x80808080 | 0

/** Past the bytes of a string that are neither a quote, a backslash nor a control character. */
export function skipPlain(view: DataView, start: number, end: number): number {
  let at = start
  const last = end - 4
  while (at <= last) {
    const hits = specials(view.getInt32(at, true)) & HIGH_BITS
    if (hits !== 0) return at + ((31 - Math.clz32(hits & -hits)) >> 3)
    at += 4
    if (at - start === 16) at = skipPlainBlocks(view, at, end)
  }
  return at
}

/** Stops at the block of 16 bytes that holds the end of the run. Long strings take this loop: 2 to 3 times as fast. */
function skipPlainBlocks(view: DataView, start: number, end: number): number {
  let at = start
  for (const last = end - 16; at <= last; at += 16) {
    const first = specials(view.getInt32(at, true)) | specials(view.getInt32(at + 4, true))
    const second = specials(view.getInt32(at + 8, true)) | specials(view.getInt32(at + 12, true))
    if (((first | second) & HIGH_BITS) !== 0) break
  }
  return at
}

/** Past decimal digits. */
export function skipDigits(view: DataView, start: number, end: number): number {
  let at = start
  for (const last = end - 4; at <= last; at += 4) {
    const values = view.getInt32(at, true) ^ 0x30303030
    const hits = (values | (values + 0x76767676)) & HIGH_BITS
    if (hits !== 0) return at + ((31 - Math.clz32(hits & -hits)) >> 3)
  }
  return at
}

/** Past spaces, which is how lines are indented. */
export function skipSpaces(view: DataView, start: number, end: number): number {
  let at = start
  for (const last = end - 4; at <= last; at += 4) {
    const difference = view.getInt32(at, true) ^ 0x20202020
    if (difference !== 0) return at + ((31 - Math.clz32(difference & -difference)) >> 3)
  }
  return at
}

/** High bit set for a quote, a backslash or a byte below 0x20; the flip of bit 1 brings the quote next to those. */
function specials(word: number): number {
  const quoteOrControl = ((word ^ 0x02020202) - 0x21212121) | 0
  const backslash = ((word ^ 0x5c5c5c5c) - 0x01010101) | 0
  return (quoteOrControl | backslash) & ~word
}

/** Past what is neither a quote nor a bracket of either kind. It may stop at some other bytes too, which stand in strings alone. */
export function skipTokens(view: DataView, start: number, end: number): number {
  let at = start
  for (const last = end - 4; at <= last; at += 4) {
    const hits = quotesAndBrackets(view.getInt32(at, true)) & HIGH_BITS
    if (hits !== 0) return at + ((31 - Math.clz32(hits & -hits)) >> 3)
  }
  return at
}

/** High bit set for a quote, and for a bracket: with bit 5 set and bits 1 and 2 cleared all four are the same byte. */
function quotesAndBrackets(word: number): number {
  const quote = word ^ 0x22222222
  const bracket = ((word | 0x20202020) ^ 0x7b7b7b7b) & (0xf9f9f9f9 | 0)
  return ((quote - 0x01010101) & ~quote) | ((bracket - 0x01010101) & ~bracket)
}
