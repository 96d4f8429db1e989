/*
 * Where things end in JSON text that was checked before: nothing is made of it.
 */

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const SPACE = 0x20

/** Past white space. */
export function skipSpace(text: string, start: number): number {
  let at = start
  while (text.charCodeAt(at) <= SPACE) at += 1
  return at
}

/** Past the quote that ends the string. */
export function skipString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end === -1 ? text.length : end + 1
}

function isEscaped(text: string, quote: number): boolean {
  let before = quote - 1
  while (text.charCodeAt(before) === BACKSLASH) before -= 1
  return (quote - before) % 2 === 0
}

/** Past a value; nothing in it is looked at but where it ends. */
export function skipValue(text: string, start: number): number {
  let depth = 0
  let at = start
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = skipString(text, at)
    else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      depth += 1
      at += 1
    } else if (isClose(code)) {
      depth -= 1
      at += 1
    } else if (depth > 0) {
      at += 1
      continue
    } else at = skipScalar(text, at)
    if (depth === 0) return at
  }
  return at
}

function skipScalar(text: string, start: number): number {
  let at = start
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code <= SPACE || code === COMMA || code === COLON || isClose(code)) break
  }
  return at
}

export function isClose(code: number): boolean {
  return code === CLOSE_ARRAY || code === CLOSE_OBJECT
}
