import { skipSpace, skipString, skipValue } from '../skip-text.ts'
import { canonicalNumber } from './number.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const OPEN_OBJECT = 0x7b

/*
 * Bytes of valid JSON as text of one character a byte (`latin1`), so that places in it are places in the bytes.
 */

/** A child of a container, as it stands in text at hand. */
export interface TextChild {
  /** Canonical text of its key; null in an array. */
  readonly key: string | null
  /** Of the value, in the text. */
  readonly start: number
  readonly end: number
}

/** The children that stand between two places of a container's inside, in order, equal keys included. */
export function childrenIn(text: string, start: number, end: number): TextChild[] {
  const children: TextChild[] = []
  let at = skipSpace(text, start)
  while (at < end) {
    let [key, valueStart]: [string | null, number] = [null, at]
    const stringEnd = text.charCodeAt(at) === QUOTE ? skipString(text, at) : at
    const colon = stringEnd === at ? at : skipSpace(text, stringEnd)
    if (stringEnd !== at && colon < end && text.charCodeAt(colon) === COLON) {
      key = canonicalString(text.slice(at, stringEnd))
      valueStart = skipSpace(text, colon + 1)
    }
    const valueEnd = key === null && stringEnd !== at ? stringEnd : skipValue(text, valueStart)
    children.push({ key, start: valueStart, end: valueEnd })
    at = skipSpace(text, valueEnd)
    if (text.charCodeAt(at) === COMMA) at = skipSpace(text, at + 1)
  }
  return children
}

/** One text for all texts of the same value: no white space, members by their keys and the last of equal ones, numbers and strings by value. */
export function canonical(text: string): string {
  const code = text.charCodeAt(0)
  if (code === QUOTE) return canonicalString(text)
  if (code === OPEN_ARRAY) {
    return `[${childrenIn(text, 1, text.length - 1).map(({ start, end }) => canonical(text.slice(start, end)))}]`
  }
  if (code !== OPEN_OBJECT) return isDigitOrMinus(code) ? canonicalNumber(text) : text
  const members = new Map(childrenIn(text, 1, text.length - 1).map(({ key, start, end }) => [key ?? '', [start, end]]))
  const sorted = [...members].sort(([one], [two]) => (one < two ? -1 : 1))
  return `{${sorted.map(([key, [start, end]]) => `${key}:${canonical(text.slice(start, end))}`)}}`
}

/** A string as `JSON.stringify` would write it, which escapes nothing that it need not. */
export function canonicalString(text: string): string {
  if (!text.includes('\\')) return text
  return Buffer.from(JSON.stringify(JSON.parse(Buffer.from(text, 'latin1').toString()))).toString('latin1')
}

/** Whether two texts are of the same value. */
export function isSame(one: string, two: string): boolean {
  return (
    one === two ||
    ((one.charCodeAt(0) === two.charCodeAt(0) || isDigitOrMinus(one.charCodeAt(0))) &&
      canonical(one) === canonical(two))
  )
}

/** What the value is that begins with this character: containers by their bracket, and one letter for each kind of scalar. */
export type Kind = '{' | '[' | '"' | '0' | 't' | 'n'

export function kindOf(text: string): Kind {
  const first = text[0] ?? 'n'
  if (first === 'f') return 't'
  return isDigitOrMinus(first.charCodeAt(0)) ? '0' : (first as Kind)
}

/** Whether a text goes on behind a key. */
export function isKeyEnd(rest: string): boolean {
  return rest.charCodeAt(skipSpace(rest, 0)) === COLON
}

function isDigitOrMinus(code: number): boolean {
  return code === 0x2d || (code >= 0x30 && code <= 0x39)
}
