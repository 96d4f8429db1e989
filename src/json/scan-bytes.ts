import { AppError } from '../errors.ts'
import {
  ARRAY_START,
  CLOSE,
  expectedAt,
  IN_DIGITS,
  IN_STRING,
  NEW_LINE,
  OBJECT_START,
  OPEN_OBJECT,
  REFUSE,
  START,
  TRANSITIONS,
} from './grammar.ts'
import { skipDigits, skipPlain, skipSpaces } from './skip.ts'

/** Where a scan stands between two bytes. */
export interface ScanState {
  row: number
  depth: number
  deepest: number
  /** Bytes that were scanned. */
  offset: number
  failure: AppError | undefined
  /** The first one that is not whitespace. */
  firstByte: number | undefined
  /** For each open container, the row to go on with when it closes; what lies above is of those that were closed. */
  readonly returnRows: number[]
  /** Most containers open at once. */
  readonly maxDepth: number
}

/**
 * Runs the grammar over all of `bytes`, and moves the state on. A state may go from one such function to another at any byte.
 * @throws AppError `INVALID_PAYLOAD` at the first byte that the grammar refuses; the state is of no use then.
 */
export type Scan = (state: ScanState, bytes: Uint8Array) => void

export function createScanState(maxDepth: number): ScanState {
  return {
    row: START,
    depth: 0,
    deepest: 0,
    offset: 0,
    failure: undefined,
    firstByte: undefined,
    returnRows: [],
    maxDepth,
  }
}

/** Byte by byte. At module level: V8 then optimises it once for all scanners. */
export function scanBytes(state: ScanState, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = bytes.length
  const { returnRows, maxDepth } = state
  let { row, depth } = state
  let at = 0
  while (at < end) {
    row = TRANSITIONS[row | (bytes[at++] as number)] as number
    const action = row & 0xff
    if (action === 0) continue
    row ^= action
    if (action === IN_STRING) at = skipPlain(view, at, end)
    else if (action === IN_DIGITS) at = skipDigits(view, at, end)
    else if (action === NEW_LINE) at = skipSpaces(view, at, end)
    else if (action === CLOSE) row = returnRows[--depth] as number
    else if (action === REFUSE) throw refusal(state, at - 1, expectedAt(row))
    else {
      if (depth === maxDepth) throw refusal(state, at - 1, `at most ${depth} levels of nesting`)
      returnRows[depth++] = row
      if (depth > state.deepest) state.deepest = depth
      row = action === OPEN_OBJECT ? OBJECT_START : ARRAY_START
    }
  }
  state.row = row
  state.depth = depth
  state.offset += end
}

/** @param at bytes from where the state is */
export function refusal(state: ScanState, at: number, expected: string): AppError {
  const place = state.offset + at
  // What some systems put in front of a text is nothing that one sees in it.
  const more = place === 0 && (state.firstByte ?? 0) >= 0x80 ? ', without a byte order mark' : ''
  state.failure = new AppError('INVALID_PAYLOAD', `Invalid JSON at byte ${place}: expected ${expected}${more}`)
  return state.failure
}
