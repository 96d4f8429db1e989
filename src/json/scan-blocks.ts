import { AFTER_DOCUMENT, AFTER_ELEMENT, AFTER_MEMBER, carriesAt, isInLiteral, rowAt } from './grammar.ts'
import { type Scan, type ScanState, scanBytes } from './scan-bytes.ts'
import { type BlockScanner, openBlockScanner } from './wasm/block-scanner.ts'

const BLOCK_BYTES = 64
/** Below that, going over to the blocks and back costs more than it saves. */
const MIN_BYTES = 1024

let chosen: Scan | undefined
let shared: BlockScanner | null | undefined

/** The fastest that there is; what is small goes byte by byte. */
export function scanBlocks(state: ScanState, bytes: Uint8Array): void {
  if (bytes.length < MIN_BYTES) {
    scanBytes(state, bytes)
    return
  }
  chosen ??= choose()
  chosen(state, bytes)
}

function choose(): Scan {
  const blocks = sharedBlockScanner()
  return blocks ? createBlockScan(blocks, MIN_BYTES) : scanBytes
}

/** The one instance for all scans; null where there is none. */
export function sharedBlockScanner(): BlockScanner | null {
  if (shared === undefined) shared = openBlockScanner()
  return shared
}

/** What goes with a scan by blocks that takes notes. */
export interface BlockNotes {
  /** The same, byte by byte. */
  readonly scan: Scan
  /** Of one call. */
  readonly maxBytes: number
  /** Hands over to the blocks, and takes over from them what was scanned. */
  begin(blocks: BlockScanner): void
  end(blocks: BlockScanner, scanned: Uint8Array): void
}

/**
 * Scans by blocks of 64 bytes. The last bytes are left to `scanBytes`, and so are those that the blocks refuse: a fault is told in
 * the same words, at the same byte and in the same call.
 * @param minBytes how many must be left to go by blocks; at least a block and the look-ahead
 * @param notes where they are taken
 */
export function createBlockScan(blocks: BlockScanner, minBytes: number, notes?: BlockNotes): Scan {
  const bytewise = notes?.scan ?? scanBytes
  const maxBytes = notes ? notes.maxBytes + blocks.lookAhead : blocks.input.length

  /** @returns how many of the bytes were scanned */
  function scanSome(state: ScanState, bytes: Uint8Array): number {
    const count = Math.floor((bytes.length - blocks.lookAhead) / BLOCK_BYTES)
    const scanned = bytes.subarray(0, count * BLOCK_BYTES)
    blocks.input.set(bytes)
    putStack(blocks.stack, state)
    notes?.begin(blocks)
    const scan = notes ? blocks.scanNoting : blocks.scan
    const carries = scan(count, carriesAt(state.row), state.depth, state.maxDepth)
    if (carries < 0) {
      bytewise(state, scanned)
      return scanned.length
    }
    state.row = rowAt(carries)
    state.depth = blocks.depth()
    state.deepest = Math.max(state.deepest, blocks.deepest())
    state.offset += scanned.length
    takeStack(blocks.stack, state)
    notes?.end(blocks, scanned)
    return scanned.length
  }

  return (state, bytes) => {
    let at = 0
    const end = state.maxDepth > blocks.maxDepth ? 0 : bytes.length
    while (end - at >= minBytes) {
      if (isInLiteral(state.row)) bytewise(state, bytes.subarray(at, ++at))
      else at += scanSome(state, bytes.subarray(at, at + maxBytes))
    }
    bytewise(state, at === 0 ? bytes : bytes.subarray(at))
  }
}

/** Hands over to the blocks which containers are open. */
export function putStack(stack: Uint8Array, { returnRows, depth }: ScanState): void {
  for (let level = 0; level < depth; level++) stack[level] = returnRows[level] === AFTER_MEMBER ? 1 : 0
}

/** Takes that over from them. */
export function takeStack(stack: Uint8Array, { returnRows, depth }: ScanState): void {
  for (let level = 0; level < depth; level++) returnRows[level] = stack[level] === 1 ? AFTER_MEMBER : AFTER_ELEMENT
  if (depth > 0) returnRows[0] = AFTER_DOCUMENT
}
