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

/** Indexed by row and byte. */
export const TRANSITIONS = new Uint16Array(ROWS * 256)

const expectations: string[] = []

/** What a row expects, in words for a client. */
export function expectedAt(row: number): string {
  return expectations[row >> 8] ?? 'a JSON value'
}

/** Whether the document may end at this row. */
export function mayEndAt(row: number): boolean {
  return TRANSITIONS[row | 0x20] === AFTER_DOCUMENT
}

function addRow(expected: string): number {
  const row = expectations.length << 8
  expectations.push(expected)
  TRANSITIONS.fill(row | REFUSE, row, row + 256)
  return row
}

function on(row: number, characters: string, next: number): void {
  for (const character of characters) TRANSITIONS[row | character.charCodeAt(0)] = next
}

/** A row between two tokens: whitespace stays in it. */
function addGap(expected: string): number {
  const row = addRow(expected)
  on(row, ' \t\r', row)
  on(row, '\n', row | NEW_LINE)
  return row
}

/** A row where a number may end, and so all that may follow the number is allowed too. */
function addNumberEnd(after: number): number {
  const row = addRow('a well-formed number')
  for (let byte = 0; byte < 256; byte++) {
    const next = TRANSITIONS[after | byte] ?? REFUSE
    if ((next & 0xff) !== REFUSE) TRANSITIONS[row | byte] = next
  }
  return row
}

/** The rows of a string. Bytes from 0x80 are left to the UTF-8 check. Returns what follows its opening quote. */
function addString(after: number): number {
  const body = addRow('a string without control characters and its closing quote')
  const escaped = addRow('an escape that JSON knows')
  TRANSITIONS.fill(body | IN_STRING, body | 0x20, body + 256)
  on(body, '"', after)
  on(body, '\\', escaped)
  on(escaped, '"\\/bfnrt', body | IN_STRING)
  const fourth = addHexDigit(body | IN_STRING)
  on(escaped, 'u', addHexDigit(addHexDigit(addHexDigit(fourth))))
  return body | IN_STRING
}

function addHexDigit(next: number): number {
  const row = addRow('four hexadecimal digits')
  on(row, HEX, next)
  return row
}

/** The rows of `true`, `false` or `null` after the first letter, which is in `starts`. */
function addLiteral(starts: readonly number[], literal: string, after: number): void {
  let next = after
  for (const letter of [...literal.slice(1)].reverse()) {
    const row = addRow('true, false or null')
    on(row, letter, next)
    next = row
  }
  for (const start of starts) on(start, literal.charAt(0), next)
}

function addNumber(starts: readonly number[], after: number): void {
  const minus = addRow('a digit')
  const zero = addNumberEnd(after)
  const integer = addNumberEnd(after)
  const point = addRow('a digit')
  const fraction = addNumberEnd(after)
  const exponentStart = addRow('a digit or a sign')
  const exponentSign = addRow('a digit')
  const exponent = addNumberEnd(after)
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
  const string = addString(after)
  for (const start of starts) {
    on(start, '"', string)
    on(start, '{', after | OPEN_OBJECT)
    on(start, '[', after | OPEN_ARRAY)
  }
  for (const literal of ['true', 'false', 'null']) addLiteral(starts, literal, after)
  addNumber(starts, after)
}

export const START = addGap('a JSON value')
export const AFTER_DOCUMENT = addGap('nothing but whitespace after the document')
export const OBJECT_START = addGap("a key or '}'")
export const ARRAY_START = addGap("a value or ']'")
const keyStart = addGap('a key')
const colon = addGap("':'")
const memberValue = addGap('a value')
const afterMember = addGap("',' or '}'")
const element = addGap('a value')
const afterElement = addGap("',' or ']'")

const key = addString(colon)
for (const row of [OBJECT_START, keyStart]) on(row, '"', key)
for (const row of [OBJECT_START, afterMember]) on(row, '}', CLOSE)
for (const row of [ARRAY_START, afterElement]) on(row, ']', CLOSE)
on(colon, ':', memberValue)
on(afterMember, ',', keyStart)
on(afterElement, ',', element)
// Last, because the ends of numbers copy the rows that follow them.
addValue([START], AFTER_DOCUMENT)
addValue([memberValue], afterMember)
addValue([ARRAY_START, element], afterElement)
