import {
  AFTER_BACKSLASH,
  AFTER_COMMA,
  AFTER_OPENER_OR_COMMA,
  IN_NUMBER,
  IN_STRING,
  LETTERS_SHIFT,
} from '../wasm/carries.ts'

/*
 * What a scan notes for the index, in the same words by blocks (`wasm/scanner.as.ts`) and byte by byte: where the containers that are
 * open stand, and what of at least a unit was passed.
 */

/** Numbers of a frame, which is kept for each open container: where it starts, its child and its group begin, and which child that is. */
export const FRAME_START = 0
export const FRAME_CHILD = 1
export const FRAME_GROUP = 2
export const FRAME_ORDINAL = 3
export const FRAME_SIZE = 4

/** Its kind, the depth of the container that it is about, where that starts, and what the kind says. */
export type Note = readonly [kind: number, depth: number, start: number, number, number, number]
export const NOTE_SIZE = 6
/** A group may end at a comma: its offset, and the ordinal of the child behind it. */
export const NOTE_GROUP = 1
/** A child of at least a unit ended: where it began, the comma behind it or 0 where there is none, its ordinal. */
export const NOTE_CHILD = 2
/** A container of at least a unit ended: its end, and the number of its children. */
export const NOTE_CONTAINER = 3
/** A string, key or number of at least a unit ended: its start in place of the container's, and its end. */
export const NOTE_SCALAR = 4

/** Lengths that follow from the unit. A group ends where its last bytes say so, or when it is as large as that. */
export interface GroupRules {
  readonly unit: number
  readonly smallest: number
  readonly largest: number
  /** So much of 2^32 for each byte of a child is the chance that the group ends with it. */
  readonly chance: number
}

export function groupRules(unit: number): GroupRules {
  const smallest = Math.floor((unit * 5) / 8)
  return { unit, smallest, largest: 4 * unit, chance: Math.floor(2 ** 32 / (unit - smallest)) }
}

/** Where the notes of a document stand between two bytes. */
export interface NoteState {
  readonly rules: GroupRules
  /** A frame for each open container, the outermost first. */
  readonly frames: Float64Array
  depth: number
  offset: number
  /** Where the newest string, key, number or literal starts. */
  token: number
  /** The last eight bytes. */
  readonly last: Buffer
  take(note: Note): void
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a

/**
 * Byte by byte.
 * @param bytes that the grammar has taken
 * @param carries where they begin, in the bits of `carries.ts`
 */
export function noteBytes(state: NoteState, bytes: Uint8Array, carries: number): void {
  const base = state.offset
  const around = Buffer.concat([state.last, bytes])
  let inString = (carries & IN_STRING) !== 0
  let inScalar = (carries & IN_NUMBER) !== 0 || carries >>> LETTERS_SHIFT !== 0
  let isEscaped = (carries & AFTER_BACKSLASH) !== 0
  let isEmpty = (carries & AFTER_OPENER_OR_COMMA) !== 0 && (carries & AFTER_COMMA) === 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number
    if (inString) {
      if (isEscaped) isEscaped = false
      else if (byte === BACKSLASH) isEscaped = true
      else if (byte === QUOTE) {
        inString = false
        noteScalar(state, base + at + 1)
      }
      continue
    }
    const lowered = byte | 0x20
    const isScalar =
      byte > 0x20 && byte !== QUOTE && byte !== COMMA && byte !== COLON && lowered !== 0x7b && lowered !== 0x7d
    if (inScalar && !isScalar) noteScalar(state, base + at)
    if ((isScalar && !inScalar) || byte === QUOTE) state.token = base + at
    inScalar = isScalar
    inString = byte === QUOTE
    if (byte === COMMA) noteComma(state, base + at, around.readUInt32LE(at), around.readUInt32LE(at + 4))
    else if (lowered === 0x7b) openFrame(state, base + at)
    else if (lowered === 0x7d) closeFrame(state, base + at, isEmpty)
    if (byte > 0x20) isEmpty = lowered === 0x7b
  }
  around.copy(state.last, 0, bytes.length)
  state.offset += bytes.length
}

/** The last one ended before `end`. */
export function noteScalar(state: NoteState, end: number): void {
  if (end - state.token >= state.rules.unit) state.take([NOTE_SCALAR, 0, state.token, end, 0, 0])
}

function openFrame(state: NoteState, at: number): void {
  const { unit, smallest } = state.rules
  // The first group of a container is no smaller than what makes a container worth a look.
  state.frames.set([at, at + 1, at + 1 + unit - smallest, 0], state.depth * FRAME_SIZE)
  state.depth++
}

function noteComma(state: NoteState, at: number, low: number, high: number): void {
  const { frames, rules } = state
  const frame = (state.depth - 1) * FRAME_SIZE
  const start = frames[frame + FRAME_START] as number
  const child = frames[frame + FRAME_CHILD] as number
  const group = frames[frame + FRAME_GROUP] as number
  const ordinal = frames[frame + FRAME_ORDINAL] as number
  frames[frame + FRAME_CHILD] = at + 1
  frames[frame + FRAME_ORDINAL] = ordinal + 1
  if (at - group < rules.smallest) return
  const length = at - child
  if (length >= rules.unit) state.take([NOTE_CHILD, state.depth, start, child, at, ordinal])
  else if (at - group >= rules.largest || sampleOf(low, high, length) < length * rules.chance) {
    state.take([NOTE_GROUP, state.depth, start, at, ordinal + 1, 0])
  } else return
  frames[frame + FRAME_GROUP] = at + 1
}

function closeFrame(state: NoteState, at: number, isEmpty: boolean): void {
  const { frames, rules } = state
  const depth = state.depth
  const frame = (depth - 1) * FRAME_SIZE
  const start = frames[frame + FRAME_START] as number
  const child = frames[frame + FRAME_CHILD] as number
  const ordinal = frames[frame + FRAME_ORDINAL] as number
  state.depth--
  if (at + 1 - start < rules.unit) return
  if (at - child >= rules.unit) state.take([NOTE_CHILD, depth, start, child, 0, ordinal])
  state.take([NOTE_CONTAINER, depth, start, at + 1, isEmpty ? 0 : ordinal + 1, 0])
}

/** Of the eight bytes before a comma and of the length of the child that ends there: as good as chance, and the same for the same. */
function sampleOf(low: number, high: number, length: number): number {
  let mixed = Math.imul(low ^ Math.imul(high, 0x85ebca6b) ^ Math.imul(length, 0x9e3779b1), 0xc2b2ae35)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
  return (mixed ^ (mixed >>> 13)) >>> 0
}
