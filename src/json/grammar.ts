import * as carry from './wasm/carries.ts'

/**
 * The grammar of RFC 8259 as one table. A row is a place in the grammar, kept as a multiple of 256, so that
 * `TRANSITIONS[row | byte]` is what follows: the next row and, in the low eight bits, an action (0 for none).
 *
 * Rows after a value exist once for each of document, object and array. So a number may end at a comma or a bracket without a
 * look at what is around it, and the stack of the scanner holds nothing but the rows to return to.
 */
export const IN_STRING = 1
export const IN_DIGITS = 2
export const NEW_LINE = 3
/** The row given with the action is the one to return to. */
export const OPEN_OBJECT = 4
export const OPEN_ARRAY = 5
export const CLOSE = 6
/** The row given with the action is the one that refused. */
export const REFUSE = 7

const ROWS = 88
const DIGITS = '0123456789'
const NON_ZERO = '123456789'
const HEX = '0123456789abcdefABCDEF'
const WORDS = { true: carry.WORD_TRUE, false: carry.WORD_FALSE, null: carry.WORD_NULL } as const

/** Indexed by row and byte. */
export const TRANSITIONS = new Uint16Array(ROWS * 256)

const expectations: string[] = []
const carries: number[] = []
const rows = new Map<number, number>()

/** What a row expects, in words for a client. */
export function expectedAt(row: number): string {
  return expectations[row >> 8] ?? 'a JSON value'
}

/** What the blocks of `wasm/scanner.as.ts` carry over at a row. */
export function carriesAt(row: number): number {
  return carries[row >> 8] ?? 0
}

/** Whether a row is inside of `true`, `false` or `null`. */
export function isInLiteral(row: number): boolean {
  return carriesAt(row) >= 1 << carry.WORD_SHIFT
}

/** The row where they carry that over; undefined where no good document does. */
export function findRow(carried: number): number | undefined {
  return rows.get(carried)
}

/** The same where the blocks have refused what is not good. */
export function rowAt(carried: number): number {
  const row = findRow(carried)
  if (row === undefined) throw new RangeError(`No place in the grammar carries ${carried}`)
  return row
}

/** Whether the document may end at this row. */
export function mayEndAt(row: number): boolean {
  return TRANSITIONS[row | 0x20] === AFTER_DOCUMENT
}

function addRow(expected: string, carried: number): number {
  const row = expectations.length << 8
  expectations.push(expected)
  carries.push(carried)
  rows.set(carried, row)
  TRANSITIONS.fill(row | REFUSE, row, row + 256)
  return row
}

function on(row: number, characters: string, next: number): void {
  for (const character of characters) TRANSITIONS[row | character.charCodeAt(0)] = next
}

/** A row between two tokens: whitespace stays in it. */
function addGap(expected: string, carried: number): number {
  const row = addRow(expected, carried)
  on(row, ' \t\r', row)
  on(row, '\n', row | NEW_LINE)
  return row
}

/** A row where a number may end, and so all that may follow the number is allowed too. */
function addNumberEnd(after: number, carried: number): number {
  const row = addRow('a well-formed number', carried)
  for (let byte = 0; byte < 256; byte++) {
    const next = TRANSITIONS[after | byte] ?? REFUSE
    if ((next & 0xff) !== REFUSE) TRANSITIONS[row | byte] = next
  }
  return row
}

/** The rows of a string. Bytes from 0x80 are left to the UTF-8 check. Returns what follows its opening quote. */
function addString(after: number, around: number): number {
  const inside = around | carry.IN_STRING
  const body = addRow('a string without control characters and its closing quote', inside)
  const escaped = addRow('an escape that JSON knows', inside | carry.AFTER_BACKSLASH)
  TRANSITIONS.fill(body | IN_STRING, body | 0x20, body + 256)
  on(body, '"', after)
  on(body, '\\', escaped)
  on(escaped, '"\\/bfnrt', body | IN_STRING)
  let next = body | IN_STRING
  for (const missing of [1, 2, 3, 4]) next = addHexDigit(next, inside | (lowest(missing) << carry.HEX_SHIFT))
  on(escaped, 'u', next)
  return body | IN_STRING
}

function addHexDigit(next: number, carried: number): number {
  const row = addRow('four hexadecimal digits', carried)
  on(row, HEX, next)
  return row
}

/** The rows of `true`, `false` or `null` after the first letter, which is in `starts`. */
function addLiteral(starts: readonly number[], literal: keyof typeof WORDS, after: number): void {
  const around = carriesAt(after) | (WORDS[literal] << carry.WORD_SHIFT)
  let next = after
  for (let missing = 1; missing < literal.length; missing++) {
    const row = addRow('true, false or null', around | (lowest(missing) << carry.LETTERS_SHIFT))
    on(row, literal.charAt(literal.length - missing), next)
    next = row
  }
  for (const start of starts) on(start, literal.charAt(0), next)
}

function lowest(bits: number): number {
  return (1 << bits) - 1
}

function addNumber(starts: readonly number[], after: number): void {
  const inside = carriesAt(after) | carry.IN_NUMBER
  const minus = addRow('a digit', inside | carry.AFTER_SIGN | carry.AFTER_FIRST_SIGN)
  const zero = addNumberEnd(after, inside | carry.AFTER_LEADING_ZERO)
  const integer = addNumberEnd(after, inside)
  const point = addRow('a digit', inside | carry.AFTER_POINT)
  const fraction = addNumberEnd(after, inside | carry.IN_FRACTION)
  const exponentStart = addRow('a digit or a sign', inside | carry.AFTER_E)
  const exponentSign = addRow('a digit', inside | carry.AFTER_SIGN | carry.AFTER_EXPONENT_SIGN)
  const exponent = addNumberEnd(after, inside | carry.IN_EXPONENT)
  for (const row of [...starts, minus]) {
    on(row, '0', zero)
    on(row, NON_ZERO, integer)
  }
  for (const row of starts) on(row, '-', minus)
  // From the second digit on: most integers are short, and a skip costs more than a step.
  on(integer, DIGITS, integer | IN_DIGITS)
  for (const row of [zero, integer]) on(row, '.', point)
  for (const row of [point, fraction]) on(row, DIGITS, fraction | IN_DIGITS)
  for (const row of [zero, integer, fraction]) on(row, 'eE', exponentStart)
  on(exponentStart, '+-', exponentSign)
  for (const row of [exponentStart, exponentSign, exponent]) on(row, DIGITS, exponent | IN_DIGITS)
}

/** Every kind of value at the rows `starts`, each leading to `after`. */
function addValue(starts: readonly number[], after: number): void {
  const string = addString(after, carriesAt(after))
  for (const start of starts) {
    on(start, '"', string)
    on(start, '{', after | OPEN_OBJECT)
    on(start, '[', after | OPEN_ARRAY)
  }
  for (const literal of ['true', 'false', 'null'] as const) addLiteral(starts, literal, after)
  addNumber(starts, after)
}

export const START = addGap('a JSON value', carry.AFTER_COLON)
export const AFTER_DOCUMENT = addGap('nothing but whitespace after the document', 0)
export const OBJECT_START = addGap("a key or '}'", carry.IN_OBJECT | carry.AFTER_OPENER_OR_COMMA)
export const ARRAY_START = addGap("a value or ']'", carry.IN_ARRAY | carry.AFTER_OPENER_OR_COMMA)
const keyStart = addGap('a key', carry.IN_OBJECT | carry.AFTER_OPENER_OR_COMMA | carry.AFTER_COMMA)
const colon = addGap("':'", carry.IN_OBJECT | carry.AFTER_KEY)
const memberValue = addGap('a value', carry.IN_OBJECT | carry.AFTER_COLON)
export const AFTER_MEMBER = addGap("',' or '}'", carry.IN_OBJECT)
const element = addGap('a value', carry.IN_ARRAY | carry.AFTER_OPENER_OR_COMMA | carry.AFTER_COMMA)
export const AFTER_ELEMENT = addGap("',' or ']'", carry.IN_ARRAY)

const key = addString(colon, carry.IN_OBJECT | carry.IN_KEY)
for (const row of [OBJECT_START, keyStart]) on(row, '"', key)
for (const row of [OBJECT_START, AFTER_MEMBER]) on(row, '}', CLOSE)
for (const row of [ARRAY_START, AFTER_ELEMENT]) on(row, ']', CLOSE)
on(colon, ':', memberValue)
on(AFTER_MEMBER, ',', keyStart)
on(AFTER_ELEMENT, ',', element)
// Last, because the ends of numbers copy the rows that follow them.
addValue([START], AFTER_DOCUMENT)
addValue([memberValue], AFTER_MEMBER)
addValue([ARRAY_START, element], AFTER_ELEMENT)
