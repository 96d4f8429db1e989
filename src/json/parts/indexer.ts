import { carriesAt } from '../grammar.ts'
import type { Scan } from '../scan-bytes.ts'
import { IN_NUMBER } from '../wasm/carries.ts'
import { FRAME_SIZE } from '../wasm/noted.ts'
import { createIndexBuilder } from './index-builder.ts'
import { INDEX_ABOVE_BYTES, type JsonIndex, UNIT_BYTES } from './json-index.ts'
import { groupRules, type NoteState, noteScalar } from './notes.ts'
import { type CreateNotingScan, createBlockNotes } from './noting-scan.ts'

/**
 * Makes the index of one document while it is scanned, in memory for what is kept and some 200 KiB. Single use; worth while only where
 * the document may be larger than `INDEX_ABOVE_BYTES`, and for scans of at most 1,024 levels.
 */
export interface Indexer {
  /** To be given to `createJsonScanner`: checks the bytes as any scan does, and takes notes. The bytes are neither changed nor kept. */
  readonly scan: Scan
  /** Once the scanner's own `end` did not throw. Null for a document of at most `INDEX_ABOVE_BYTES`, which needs none. */
  end(): JsonIndex | null
}

export interface IndexerOptions {
  /** `UNIT_BYTES` when left out; a multiple of 128. */
  readonly unitBytes?: number
  /** `INDEX_ABOVE_BYTES` when left out. */
  readonly aboveBytes?: number
  /** How it is done, which is told by nothing but the speed; `createBlockNotes` when left out. */
  readonly createScan?: CreateNotingScan
}

const DEEPEST = 1024

export function createIndexer(options: IndexerOptions = {}): Indexer {
  const { unitBytes = UNIT_BYTES, aboveBytes = INDEX_ABOVE_BYTES, createScan = createBlockNotes } = options
  const builder = createIndexBuilder(unitBytes)
  const state: NoteState = {
    rules: groupRules(unitBytes),
    frames: new Float64Array(DEEPEST * FRAME_SIZE),
    depth: 0,
    offset: 0,
    token: 0,
    last: Buffer.alloc(8),
    take: builder.note,
  }
  const scanPiece = createScan(state)
  let row = 0

  return {
    scan(scanned, bytes) {
      for (let at = 0; at < bytes.length; at += unitBytes) {
        const piece = bytes.subarray(at, at + unitBytes)
        scanPiece(scanned, piece)
        builder.push(piece)
        builder.follow(state)
      }
      row = scanned.row
    },
    end() {
      if ((carriesAt(row) & IN_NUMBER) !== 0) noteScalar(state, state.offset)
      return state.offset > aboveBytes ? builder.end(state) : null
    },
  }
}
