import { carriesAt } from '../grammar.ts'
import { type Scan, type ScanState, scanBytes } from '../scan-bytes.ts'
import { IN_NUMBER } from '../wasm/carries.ts'
import { createIndexBuilder } from './index-builder.ts'
import { INDEX_ABOVE_BYTES, type JsonIndex, UNIT_BYTES } from './json-index.ts'
import { FRAME_SIZE, groupRules, type NoteState, noteBytes, noteScalar } from './notes.ts'

/** Makes the index of one document while it is scanned, in constant memory. Single use. */
export interface Indexer {
  /** To be given to `createJsonScanner`: checks the bytes as any scan does, and takes notes. The bytes are neither changed nor kept. */
  readonly scan: Scan
  /** Once the scanner's own `end` did not throw. Null for a document of at most `INDEX_ABOVE_BYTES`, which needs none. */
  end(): JsonIndex | null
}

export interface IndexerOptions {
  /** `UNIT_BYTES` when left out; at least 64. */
  readonly unitBytes?: number
  /** `INDEX_ABOVE_BYTES` when left out. */
  readonly aboveBytes?: number
}

const DEEPEST = 1024

export function createIndexer(options: IndexerOptions = {}): Indexer {
  const { unitBytes = UNIT_BYTES, aboveBytes = INDEX_ABOVE_BYTES } = options
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
  let row = 0

  function scanPiece(scanned: ScanState, bytes: Uint8Array): void {
    const carries = carriesAt(scanned.row)
    scanBytes(scanned, bytes)
    builder.push(bytes)
    noteBytes(state, bytes, carries)
    builder.follow(state)
    row = scanned.row
  }

  return {
    scan(scanned, bytes) {
      for (let at = 0; at < bytes.length; at += unitBytes) scanPiece(scanned, bytes.subarray(at, at + unitBytes))
    },
    end() {
      if ((carriesAt(row) & IN_NUMBER) !== 0) noteScalar(state, state.offset)
      return state.offset > aboveBytes ? builder.end(state) : null
    },
  }
}
