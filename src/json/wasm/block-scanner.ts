import { FRAME_SIZE, RULES_SIZE } from './noted.ts'
import { SCANNER_WASM } from './scanner-wasm.ts'

/** An instance of `scanner.as.ts`. It keeps nothing between two calls, so that one is enough for all scans. */
export interface BlockScanner {
  /** Where the bytes are put. */
  readonly input: Uint8Array
  /** So many bytes must lie behind the last block. */
  readonly lookAhead: number
  /** A byte for each open container, the outermost first: 1 where it stands in an object. */
  readonly stack: Uint8Array
  readonly maxDepth: number
  /** The eight bytes before `input`, and what else notes are taken by: the numbers of `noted.ts`. */
  readonly before: Uint8Array
  readonly frames: Float64Array
  readonly rules: Float64Array
  readonly notes: Float64Array
  /**
   * Scans so many blocks of 64 bytes.
   * @param carries where the document stands, in the bits of `carries.ts`; not inside of a literal
   * @returns where it stands then; -1 where the bytes may be no JSON, or nest deeper than `maxDepth`
   */
  scan(blocks: number, carries: number, depth: number, maxDepth: number): number
  /** The same, with notes; of less than a unit at once. */
  scanNoting(blocks: number, carries: number, depth: number, maxDepth: number): number
  /**
   * Marks where the tokens of the upper levels are, and refuses those in a wrong order; what they are made of counts for nothing. Of at most `marksMaxBytes` at once.
   * @param markedDepth of objects whose keys are marked; braces and brackets are up to one level below
   * @param elements has a bit for each level whose arrays have their commas marked, the lowest for the first
   */
  scanMarking(
    blocks: number,
    carries: number,
    depth: number,
    maxDepth: number,
    markedDepth: number,
    elements: number,
  ): number
  /** Places in the input, of the last call; until the next one. */
  readonly marks: Uint16Array
  readonly marksMaxBytes: number
  marked(): number
  /** Not 0 where a key may have an escape in it. */
  hasEscapedKeys(): number
  /** What stands in the place of masked values, and where they are: the bytes that `../mask/place-table.ts` makes. */
  readonly table: Uint8Array
  /** Two numbers for each open container: its place, and the index of its next element or -1. */
  readonly opened: Int32Array
  /**
   * Goes by the marks of the last call, and masks.
   * @param mark the first of them
   * @param place of the value that comes next; -1 for none
   * @param opened how many containers are open
   * @returns the mark where it has stopped
   */
  walk(mark: number, place: number, opened: number): number
  /** Of the last walk: what stands in the place of the input, from the first byte that was replaced to the last one. */
  readonly output: Uint8Array
  outputSize(): number
  outputFrom(): number
  outputTo(): number
  /** How many values were replaced. */
  hidden(): number
  placeAfter(): number
  openedAfter(): number
  /** How many notes the last call took. */
  noted(): number
  /** After the last call. */
  depth(): number
  /** In the last call. */
  deepest(): number
}

type Views = 'input' | 'stack' | 'before' | 'frames' | 'rules' | 'notes' | 'marks' | 'table' | 'opened' | 'output'
type Numbers = 'lookAhead' | 'maxDepth' | 'marksMaxBytes'
type Functions = Exclude<keyof BlockScanner, Views | Numbers>

interface Exports extends Pick<BlockScanner, Functions> {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly STACK: { readonly value: number }
  readonly STACK_SIZE: { readonly value: number }
  readonly FRAMES: { readonly value: number }
  readonly RULES: { readonly value: number }
  readonly NOTES: { readonly value: number }
  readonly NOTES_SIZE: { readonly value: number }
  readonly INPUT: { readonly value: number }
  readonly INPUT_SIZE: { readonly value: number }
  readonly TABLE: { readonly value: number }
  readonly TABLE_SIZE: { readonly value: number }
  readonly OPENED: { readonly value: number }
  readonly OPENED_SIZE: { readonly value: number }
  readonly OUTPUT: { readonly value: number }
  readonly OUTPUT_SIZE: { readonly value: number }
  readonly LOOK_AHEAD: { readonly value: number }
}

/** The part of it that is used: its types belong to the DOM's. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** Null where there is no WebAssembly (`--jitless`), none with SIMD, or no room for its memory in the address space. */
export function openBlockScanner(): BlockScanner | null {
  const { WebAssembly } = globalThis as { readonly WebAssembly?: WebAssemblyApi }
  if (!WebAssembly) return null
  try {
    const module = new WebAssembly.Module(Buffer.from(SCANNER_WASM, 'base64'))
    const exports = new WebAssembly.Instance(module).exports as Exports
    const { memory, STACK, STACK_SIZE, INPUT, INPUT_SIZE, LOOK_AHEAD, FRAMES, RULES, NOTES, NOTES_SIZE } = exports
    const { TABLE, TABLE_SIZE, OPENED, OPENED_SIZE, OUTPUT, OUTPUT_SIZE } = exports
    const bytesOf = (at: { readonly value: number }, size: { readonly value: number }) =>
      new Uint8Array(memory.buffer, at.value, size.value)
    return {
      ...(exports as Pick<Exports, Functions>),
      before: new Uint8Array(memory.buffer, INPUT.value - 8, 8),
      frames: new Float64Array(memory.buffer, FRAMES.value, STACK_SIZE.value * FRAME_SIZE),
      rules: new Float64Array(memory.buffer, RULES.value, RULES_SIZE),
      notes: new Float64Array(memory.buffer, NOTES.value, NOTES_SIZE.value / Float64Array.BYTES_PER_ELEMENT),
      marks: new Uint16Array(memory.buffer, NOTES.value, NOTES_SIZE.value / Uint16Array.BYTES_PER_ELEMENT),
      marksMaxBytes: 2 ** 16,
      input: bytesOf(INPUT, INPUT_SIZE),
      table: bytesOf(TABLE, TABLE_SIZE),
      opened: new Int32Array(memory.buffer, OPENED.value, OPENED_SIZE.value / Int32Array.BYTES_PER_ELEMENT),
      output: bytesOf(OUTPUT, OUTPUT_SIZE),
      lookAhead: LOOK_AHEAD.value,
      stack: bytesOf(STACK, STACK_SIZE),
      maxDepth: STACK_SIZE.value,
    }
  } catch {
    return null
  }
}
