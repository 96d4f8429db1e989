import { AppError } from '../errors.ts'
import { expectedAt, mayEndAt } from './grammar.ts'
import { scanBlocks } from './scan-blocks.ts'
import { createScanState, refusal, type Scan } from './scan-bytes.ts'
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
  /** How it is done, which is told by nothing but the speed; `scanBlocks` when left out. */
  readonly scan?: Scan
}

export function createJsonScanner(options: JsonScannerOptions = {}): JsonScanner {
  const { maxDepth = DEFAULT_MAX_DEPTH, maxBytes = Number.POSITIVE_INFINITY, scan = scanBlocks } = options
  const utf8 = createUtf8Checker()
  const state = createScanState(maxDepth)

  return {
    write(chunk) {
      if (state.failure) throw state.failure
      const room = maxBytes - state.offset
      const allowed = chunk.length > room ? chunk.subarray(0, room) : chunk
      const invalid = utf8.findInvalid(allowed)
      state.firstByte ??= firstByteOf(allowed)
      // The grammar goes first up to the bad byte, so that the error is the same however the document is cut.
      scan(state, invalid === -1 ? allowed : allowed.subarray(0, invalid))
      if (invalid !== -1) throw refusal(state, 0, 'well-formed UTF-8')
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
