import { carriesAt } from '../grammar.ts'
import { type BlockNotes, createBlockScan, sharedBlockScanner } from '../scan-blocks.ts'
import { type Scan, scanBytes } from '../scan-bytes.ts'
import type { BlockScanner } from '../wasm/block-scanner.ts'
import {
  FRAME_SIZE,
  NOTE_SIZE,
  RULE_CHANCE,
  RULE_FIRST,
  RULE_LARGEST,
  RULE_OFFSET,
  RULE_SMALLEST,
  RULE_TOKEN,
  RULE_UNIT,
} from '../wasm/noted.ts'
import { type Note, type NoteState, noteBytes } from './notes.ts'

/** As soon as there is a block: taking notes byte by byte is slow. */
const MIN_BYTES = 72
const BLOCK_BYTES = 64

/** How bytes are scanned while notes are taken. */
export type CreateNotingScan = (state: NoteState) => Scan

/** Byte by byte, in two passes. */
export const createByteNotes: CreateNotingScan = (state) => (scanned, bytes) => {
  const carries = carriesAt(scanned.row)
  scanBytes(scanned, bytes)
  noteBytes(state, bytes, carries)
}

/** By blocks, in one pass; byte by byte where there is no WebAssembly. */
export const createBlockNotes: CreateNotingScan = (state) => {
  const blocks = sharedBlockScanner()
  return blocks ? createBlockScan(blocks, MIN_BYTES, notesByBlocks(state)) : createByteNotes(state)
}

function notesByBlocks(state: NoteState): BlockNotes {
  const { rules } = state
  return {
    scan: createByteNotes(state),
    // What opens in a call does not become as large as a unit in it, so that its notes have room.
    maxBytes: rules.unit - BLOCK_BYTES,

    begin({ frames, rules: numbers, before }) {
      frames.set(state.frames.subarray(0, state.depth * FRAME_SIZE))
      before.set(state.last)
      numbers[RULE_UNIT] = rules.unit
      numbers[RULE_SMALLEST] = rules.smallest
      numbers[RULE_LARGEST] = rules.largest
      numbers[RULE_CHANCE] = rules.chance
      numbers[RULE_FIRST] = rules.first
      numbers[RULE_OFFSET] = state.offset
      numbers[RULE_TOKEN] = state.token
    },

    end(blocks, scanned) {
      state.depth = blocks.depth()
      state.offset += scanned.length
      state.token = blocks.rules[RULE_TOKEN] ?? 0
      state.last.set(scanned.subarray(-state.last.length))
      state.frames.set(blocks.frames.subarray(0, state.depth * FRAME_SIZE))
      for (let note = 0; note < blocks.noted(); note++) state.take(noteAt(blocks, note * NOTE_SIZE))
    },
  }
}

function noteAt({ notes }: BlockScanner, at: number): Note {
  const number = (index: number) => notes[at + index] ?? 0
  return [number(0), number(1), number(2), number(3), number(4), number(5)]
}
