import { AppError, isAppError } from '../../errors.ts'
import { carriesAt, findRow, isInLiteral } from '../grammar.ts'
import { putStack, sharedBlockScanner, takeStack } from '../scan-blocks.ts'
import { createScanState, type ScanState, scanBytes } from '../scan-bytes.ts'
import type { BlockScanner } from '../wasm/block-scanner.ts'
import { AFTER_BACKSLASH, IN_STRING } from '../wasm/carries.ts'
import { tableOf } from './place-table.ts'
import type { Place } from './places.ts'
import { type Walked, walkMarks } from './walk-marks.ts'

/** Bytes in a row whose tokens come in the order that the grammar wants, and what is known of them. */
export interface Checked {
  /** In the chunk. */
  from: number
  to: number
  /** Whether there are marks; where there are none, every byte was held to the grammar. */
  isMarked: boolean
  /** Where the tokens are that divide the upper levels, as places behind `from`; what lies behind `count` is of others. */
  places: Uint16Array
  count: number
  /** Whether one of the keys may have an escape in it. */
  hasEscapedKeys: boolean
  /** The next mark to be looked at, for whoever goes by them. */
  next: number
  /** Containers open at `from`, and at `to`. */
  depthBefore: number
  depth: number
  /** At `to`. */
  isInString: boolean
  isEscaped: boolean
}

/**
 * Marks the tokens of the upper levels of a document, which is known to be JSON, and sees where it is none after all: what rotted in its
 * store must not turn strings inside out. Single use.
 */
export interface Marker {
  readonly depth: number
  /**
   * Takes the next bytes of a chunk. The answer is of the one object that each call changes, and its marks are good until anything else is scanned.
   * @throws AppError `INVALID_PAYLOAD`, which tells nothing of the document.
   */
  check(chunk: Buffer, from: number): Checked
  /**
   * Masks what lies between the marks of the last check, up to the last of them or to what takes more than marks: `next` is where.
   * @returns false where the pointers are too many for that.
   */
  walk(state: Walked): boolean
}

const BLOCK_BYTES = 64
/** Below that, going over to the blocks and back costs more than it saves. */
const MIN_BYTES = 512

/** For what the pointers of a place lead to; null where they lead nowhere. */
export function createMarker(start: Place | null): Marker {
  const blocks = sharedBlockScanner()
  const table = start && blocks ? tableOf(start, blocks.table) : null
  const { depth, elements } = start ?? { depth: 0, elements: 0 }
  const state = createScanState(Number.POSITIVE_INFINITY)
  const checked: Checked = {
    from: 0,
    to: 0,
    isMarked: false,
    places: new Uint16Array(0),
    count: 0,
    hasEscapedKeys: false,
    next: 0,
    depthBefore: 0,
    depth: 0,
    isInString: false,
    isEscaped: false,
  }
  return {
    depth,
    check(chunk, from) {
      checked.from = from
      checked.depthBefore = state.depth
      checked.next = 0
      checked.count = 0
      checked.isMarked =
        chunk.length - from >= MIN_BYTES &&
        !isInLiteral(state.row) &&
        blocks !== null &&
        markSome(state, checked, { blocks, chunk, depth, elements })
      if (!checked.isMarked) checked.to = checkSome(state, chunk, from)
      const carries = carriesAt(state.row)
      checked.depth = state.depth
      checked.isInString = (carries & IN_STRING) !== 0
      checked.isEscaped = (carries & AFTER_BACKSLASH) !== 0
      return checked
    },
    walk(walked) {
      if (!blocks || !table) return false
      walkMarks(walked, checked, { blocks, table })
      return true
    },
  }
}

interface Asked {
  readonly blocks: BlockScanner
  readonly chunk: Buffer
  readonly depth: number
  readonly elements: number
}

/** @returns whether it was done. */
function markSome(state: ScanState, checked: Checked, { blocks, chunk, depth, elements }: Asked): boolean {
  if (state.depth > blocks.maxDepth) return false
  const { from } = checked
  const sizeBytes = Math.min(chunk.length - from, blocks.marksMaxBytes)
  const count = Math.floor((sizeBytes - blocks.lookAhead) / BLOCK_BYTES)
  blocks.input.set(chunk.subarray(from, from + sizeBytes))
  putStack(blocks.stack, state)
  const carries = blocks.scanMarking(count, carriesAt(state.row), state.depth, blocks.maxDepth, depth, elements)
  const row = carries < 0 ? undefined : findRow(carries)
  if (row === undefined) return false
  state.row = row
  state.depth = blocks.depth()
  state.offset += count * BLOCK_BYTES
  takeStack(blocks.stack, state)
  checked.to = from + count * BLOCK_BYTES
  checked.places = blocks.marks
  checked.count = blocks.marked()
  checked.hasEscapedKeys = blocks.hasEscapedKeys() !== 0
  return true
}

/** Byte by byte: what is little, what is inside of a literal, and what the blocks have refused. @returns where it stopped. */
function checkSome(state: ScanState, chunk: Buffer, from: number): number {
  const isLittle = chunk.length - from < MIN_BYTES
  const to = isLittle ? chunk.length : Math.min(chunk.length, from + (isInLiteral(state.row) ? 1 : 2 ** 16))
  try {
    scanBytes(state, chunk.subarray(from, to))
  } catch (error) {
    // Where and what it was is for those alone who may read all of it.
    throw isAppError(error, 'INVALID_PAYLOAD') ? notJson() : error
  }
  return to
}

export function notJson(): AppError {
  return new AppError('INVALID_PAYLOAD', 'What is to be masked is not JSON')
}
