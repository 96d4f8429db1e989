import {
  AFTER_BACKSLASH,
  AFTER_COMMA,
  AFTER_OPENER_OR_COMMA,
  IN_NUMBER,
  IN_STRING,
  LETTERS_SHIFT,
} from '../wasm/carries.ts'
import {
  FRAME_CHILD,
  FRAME_GROUP,
  FRAME_ORDINAL,
  FRAME_SIZE,
  FRAME_START,
  NOTE_CHILD,
  NOTE_CONTAINER,
  NOTE_GROUP,
  NOTE_SCALAR,
} from '../wasm/noted.ts'

/*
 * What a scan notes for the index, in the same words by blocks (`wasm/scanner.as.ts`) and byte by byte: where the containers that are
 * open stand, and what of at least a unit was passed.
 */

/** The numbers of a note, in the words of `noted.ts`. */
export type Note = readonly [kind: number, depth: number, start: number, number, number, number]

/** Lengths that follow from the unit. A group ends where its last bytes say so, or when it is as large as that. */
export interface GroupRules {
  readonly unit: number
  readonly smallest: number
  readonly largest: number
  /** Between a bracket and where its first group is taken to begin: a container that is smaller than a unit has no group. */
  readonly first: number
  /** So much of 2^32 for each byte of a child is the chance that the group ends with it. */
  readonly chance: number
}

export function groupRules(unit: number): GroupRules {
  const smallest = Math.floor((unit * 5) / 8)
  return {
    unit,
    smallest,
    largest: 4 * unit,
    first: 1 + unit - smallest,
    chance: Math.floor(2 ** 32 / (unit - smallest)),
  }
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
    if (byte === COMMA) noteComma(state, bytes, at)
    else if (lowered === 0x7b) openFrame(state, base + at)
    else if (lowered === 0x7d) closeFrame(state, base + at, isEmpty)
    if (byte > 0x20) isEmpty = lowered === 0x7b
  }
  keepLast(state, bytes)
  state.offset += bytes.length
}

/** The last one ended before `end`. */
export function noteScalar(state: NoteState, end: number): void {
  if (end - state.token >= state.rules.unit) state.take([NOTE_SCALAR, 0, state.token, end, 0, 0])
}

function openFrame(state: NoteState, at: number): void {
  state.frames.set([at, at + 1, at + state.rules.first, 0], state.depth * FRAME_SIZE)
  state.depth++
}

function noteComma(state: NoteState, bytes: Uint8Array, place: number): void {
  const at = state.offset + place
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
  else if (
    at - group >= rules.largest ||
    sampleOf(lastOf(state, bytes.subarray(0, place)), length) < length * rules.chance
  ) {
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

/** The last eight of what was before and of these. */
function lastOf({ last }: NoteState, bytes: Uint8Array): Buffer {
  return Buffer.concat([last, bytes.subarray(-last.length)]).subarray(-last.length)
}

function keepLast(state: NoteState, bytes: Uint8Array): void {
  state.last.set(lastOf(state, bytes))
}

/** Of the eight bytes before a comma and of the length of the child that ends there: as good as chance, and the same for the same. */
function sampleOf(last: Buffer, length: number): number {
  const [low, high] = [last.readUInt32LE(0), last.readUInt32LE(4)]
  let mixed = Math.imul(low ^ Math.imul(high, 0x85ebca6b) ^ Math.imul(length, 0x9e3779b1), 0xc2b2ae35)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
  return (mixed ^ (mixed >>> 13)) >>> 0
}
