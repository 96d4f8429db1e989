import { columnOf, type RowColumn } from './value-types.ts'

/** What the rows of a statement hold. */
export interface RowColumns {
  readonly all: readonly RowColumn[]
  /** How many of them stand before the first one of JSON. */
  readonly leading: number
}

export const NO_COLUMNS: RowColumns = { all: [], leading: 0 }

/**
 * Reads a row description, from behind its head. Behind the name of each column stand its table, its place there, its type, the type's
 * size and modifier, and how values are written.
 */
export function readColumns(bytes: Buffer, start: number, end: number): RowColumns {
  const all: RowColumn[] = []
  for (let at = start + 2; at < end; ) {
    const behindName = bytes.indexOf(0, at) + 1
    all.push(columnOf(bytes.readInt32BE(behindName + 6)))
    at = behindName + 18
  }
  const firstJson = all.findIndex(({ isJson }) => isJson)
  return { all, leading: firstJson === -1 ? all.length : firstJson }
}

/** More than this is not read twice. */
const AT_ONCE_BYTES = 4096

/**
 * Reads a data row, from behind its head. A row holds many short texts, and to decode each by itself costs several times what it costs to
 * cut them out of one: where all are ASCII that is done.
 */
export function readRow(bytes: Buffer, start: number, { all, leading }: RowColumns): unknown[] {
  const begin = start + 2
  const end = endOfAscii(bytes, begin, leading)
  const texts = end - begin <= AT_ONCE_BYTES ? bytes.toString('latin1', begin, end) : ''
  const row: unknown[] = []
  let at = begin
  for (const { isJson, parse } of all) {
    const length = lengthAt(bytes, at)
    const from = at + 4
    if (length < 0) {
      row.push(null)
      at = from
      continue
    }
    at = from + length
    if (isJson) row.push(bytes.subarray(from, at))
    else {
      const text = at - begin <= texts.length ? texts.slice(from - begin, at - begin) : bytes.toString('utf8', from, at)
      row.push(parse ? parse(text) : text)
    }
  }
  return row
}

/** Where the first `count` values end, or those before the first one that is not of ASCII alone. */
function endOfAscii(bytes: Buffer, begin: number, count: number): number {
  let end = begin
  for (let column = 0; column < count; column++) {
    const behind = end + 4 + Math.max(lengthAt(bytes, end), 0)
    let bits = 0
    for (let at = end + 4; at < behind; at++) bits |= bytes[at] as number
    if (bits > 127) return end
    end = behind
  }
  return end
}

function lengthAt(bytes: Buffer, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}
