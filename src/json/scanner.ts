import { AppError } from '../errors.ts'
import {
  ARRAY_START,
  CLOSE,
  expectedAt,
  IN_DIGITS,
  IN_STRING,
  mayEndAt,
  NEW_LINE,
  OBJECT_START,
  OPEN_OBJECT,
  REFUSE,
  START,
  TRANSITIONS,
} from './grammar.ts'
import { skipDigits, skipPlain, skipSpaces } from './skip.ts'
import { createUtf8Checker } from './utf8.ts'

const DEFAULT_MAX_DEPTH = 512

export type JsonTopLevel = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'

/** What is known of a document once every byte of it was seen. */
export interface ScannedJson {
  readonly sizeBytes: number
  /** Most containers open at once: 0 for a scalar, 1 for `[]`. */
  readonly depth: number
  readonly topLevel: JsonTopLevel
}

/**
 * Checks that bytes are one JSON document: RFC 8259 in well-formed UTF-8, without a byte order mark. Duplicate keys, numbers of
 * any length and lone surrogates in escapes are allowed, because the bytes are kept as they are. Single use.
 */
export interface JsonScanner {
  /**
   * Takes the next bytes, cut anywhere; they are neither changed nor kept.
   * @throws AppError `INVALID_PAYLOAD` at the first byte that no document can have there, or that opens too many containers;
   * `PAYLOAD_TOO_LARGE` when the bytes up to `maxBytes` were good and there are more. Every later call throws the same error.
   */
  write(chunk: Uint8Array): void

  /** @throws AppError `INVALID_PAYLOAD` when the document is not complete; the error of `write` when that has thrown. */
  end(): ScannedJson
}

export interface JsonScannerOptions {
  /** Most containers open at once; 512 when left out. */
  readonly maxDepth?: number
  /** Largest document in bytes; unlimited when left out. */
  readonly maxBytes?: number
}

interface ScanState {
  row: number
  depth: number
  deepest: number
  /** Bytes before the current chunk. */
  offset: number
  /** The first byte that is not whitespace. */
  firstByte: number | undefined
  failure: AppError | undefined
  /** For each open container, the row to go on with when it closes. */
  readonly returnRows: Uint16Array
}

export function createJsonScanner(options: JsonScannerOptions = {}): JsonScanner {
  const { maxDepth = DEFAULT_MAX_DEPTH, maxBytes = Number.POSITIVE_INFINITY } = options
  const returnRows = new Uint16Array(maxDepth)
  const utf8 = createUtf8Checker()
  const state: ScanState = {
    row: START,
    depth: 0,
    deepest: 0,
    offset: 0,
    firstByte: undefined,
    failure: undefined,
    returnRows,
  }

  return {
    write(chunk) {
      if (state.failure) throw state.failure
      const allowed = chunk.length > maxBytes - state.offset ? chunk.subarray(0, maxBytes - state.offset) : chunk
      const invalid = utf8.findInvalid(allowed)
      state.firstByte ??= firstByteOf(allowed)
      // The grammar goes first up to the bad byte, so that the error is the same however the document is cut.
      scan(state, allowed, invalid === -1 ? allowed.length : invalid)
      if (invalid !== -1) throw refusal(state, invalid, 'well-formed UTF-8')
      state.offset += allowed.length
      if (allowed === chunk) return
      state.failure = new AppError('PAYLOAD_TOO_LARGE', `The JSON document has more than ${maxBytes} bytes`)
      throw state.failure
    },

    end() {
      if (state.failure) throw state.failure
      // A character that is still open needs no check of its own: it can only stand in a string, which is then open too.
      if (!mayEndAt(state.row)) throw refusal(state, 0, expectedAt(state.row))
      return { sizeBytes: state.offset, depth: state.deepest, topLevel: topLevelOf(state.firstByte) }
    },
  }
}

/** Runs the grammar over the bytes before `end`. At module level: V8 then optimises it once for all scanners. */
function scan(state: ScanState, chunk: Uint8Array, end: number): void {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  const { returnRows } = state
  let { row, depth } = state
  let at = 0
  while (at < end) {
    row = TRANSITIONS[row | (chunk[at++] as number)] as number
    const action = row & 0xff
    if (action === 0) continue
    row ^= action
    if (action === IN_STRING) at = skipPlain(view, at, end)
    else if (action === IN_DIGITS) at = skipDigits(view, at, end)
    else if (action === NEW_LINE) at = skipSpaces(view, at, end)
    else if (action === CLOSE) row = returnRows[--depth] as number
    else if (action === REFUSE) throw refusal(state, at - 1, expectedAt(row))
    else {
      if (depth === returnRows.length) throw refusal(state, at - 1, `at most ${depth} levels of nesting`)
      returnRows[depth++] = row
      if (depth > state.deepest) state.deepest = depth
      row = action === OPEN_OBJECT ? OBJECT_START : ARRAY_START
    }
  }
  state.row = row
  state.depth = depth
}

/** @param at index in the current chunk */
function refusal(state: ScanState, at: number, expected: string): AppError {
  const place = state.offset + at
  // What some systems put in front of a text is nothing that one sees in it.
  const more = place === 0 && (state.firstByte ?? 0) >= 0x80 ? ', without a byte order mark' : ''
  state.failure = new AppError('INVALID_PAYLOAD', `Invalid JSON at byte ${place}: expected ${expected}${more}`)
  return state.failure
}

/** The first byte that is not whitespace. A loop: `find` with a callback halves the speed on long whitespace. */
function firstByteOf(chunk: Uint8Array): number | undefined {
  for (let at = 0; at < chunk.length; at++) {
    const byte = chunk[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte
  }
  return undefined
}

function topLevelOf(firstByte: number | undefined): JsonTopLevel {
  switch (firstByte) {
    case 0x7b:
      return 'object'
    case 0x5b:
      return 'array'
    case 0x22:
      return 'string'
    case 0x74:
    case 0x66:
      return 'boolean'
    case 0x6e:
      return 'null'
    default:
      return 'number'
  }
}
