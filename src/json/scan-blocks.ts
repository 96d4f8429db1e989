import { AFTER_DOCUMENT, AFTER_ELEMENT, AFTER_MEMBER, carriesAt, isInLiteral, rowAt } from './grammar.ts'
import { type Scan, type ScanState, scanBytes } from './scan-bytes.ts'
import { type BlockScanner, openBlockScanner } from './wasm/block-scanner.ts'

const BLOCK_BYTES = 64
/** Below that, going over to the blocks and back costs more than it saves. */
const MIN_BYTES = 1024

let chosen: Scan | undefined

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
  const blocks = openBlockScanner()
  return blocks ? createBlockScan(blocks, MIN_BYTES) : scanBytes
}

/**
 * Scans by blocks of 64 bytes. The last bytes are left to `scanBytes`, and so are those that the blocks refuse: a fault is told in
 * the same words, at the same byte and in the same call.
 * @param minBytes how many must be left to go by blocks; at least a block and the look-ahead
 */
export function createBlockScan(blocks: BlockScanner, minBytes: number): Scan {
  return (state, bytes) => {
    let at = 0
    const end = state.maxDepth > blocks.maxDepth ? 0 : bytes.length
    while (end - at >= minBytes) {
      if (isInLiteral(state.row)) scanBytes(state, bytes.subarray(at, ++at))
      else at += scanSome(blocks, state, bytes.subarray(at, at + blocks.input.length))
    }
    scanBytes(state, at === 0 ? bytes : bytes.subarray(at))
  }
}

/** @returns how many of the bytes were scanned */
function scanSome(blocks: BlockScanner, state: ScanState, bytes: Uint8Array): number {
  const count = Math.floor((bytes.length - blocks.lookAhead) / BLOCK_BYTES)
  const scanned = count * BLOCK_BYTES
  blocks.input.set(bytes)
  putStack(blocks.stack, state)
  const carries = blocks.scan(count, carriesAt(state.row), state.depth, state.maxDepth)
  if (carries < 0) {
    scanBytes(state, bytes.subarray(0, scanned))
    return scanned
  }
  state.row = rowAt(carries)
  state.depth = blocks.depth()
  state.deepest = Math.max(state.deepest, blocks.deepest())
  state.offset += scanned
  takeStack(blocks.stack, state)
  return scanned
}

function putStack(stack: Uint8Array, { returnRows, depth }: ScanState): void {
  for (let level = 0; level < depth; level++) stack[level] = returnRows[level] === AFTER_MEMBER ? 1 : 0
}

function takeStack(stack: Uint8Array, { returnRows, depth }: ScanState): void {
  for (let level = 0; level < depth; level++) returnRows[level] = stack[level] === 1 ? AFTER_MEMBER : AFTER_ELEMENT
  if (depth > 0) returnRows[0] = AFTER_DOCUMENT
}
