import { createKeyReader, followKey, type KeyReader } from './key-reader.ts'
import { type Checked, createMarker, type Marker, notJson } from './marks.ts'
import { createMaskedParts, type MaskedParts } from './masked-parts.ts'
import { elementAt, type Open } from './open-places.ts'
import type { Place } from './places.ts'
import {
  CLOSER,
  COMMA,
  OPENER,
  type Passed,
  QUOTE,
  SPACE,
  skipContainer,
  skipScalar,
  skipString,
} from './skip-value.ts'

const NOTHING = Buffer.alloc(0)
const COLON = 0x3a
const MINUS = 0x2d
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b

/** What the next byte is part of. */
const BEFORE_VALUE = 0
const BEFORE_KEY = 1
const BEFORE_COLON = 2
const AFTER_VALUE = 3
const IN_KEY = 4
/** A value that nothing in it is looked for in: it passes, or is masked. */
const IN_STRING = 5
const IN_SCALAR = 6
const IN_CONTAINER = 7

/** What the parts of a masker share. */
export interface State extends Passed {
  phase: number
  /** Of the value that comes next. */
  place: Place | null
  isMasking: boolean
  readonly out: MaskedParts
  readonly opened: Open[]
  readonly key: KeyReader
}

/**
 * Masks a JSON document on its way: what the pointers lead to is replaced, and every other byte handed on as it is. Keys are compared as
 * they read, whatever escapes they are written with; of equal keys each is meant. Nothing is held but a key of the pointers' length,
 * and a place for each open container on the way to one. Single use.
 */
export interface Masker {
  /**
   * Takes the next bytes of a document that is known to be JSON, cut anywhere.
   * @returns what is to be handed on of it.
   * @throws AppError `INVALID_PAYLOAD` where it sees that the document is none.
   */
  write(chunk: Buffer): Buffer
  /** @throws AppError `INVALID_PAYLOAD` when the document is not complete. */
  end(): void
  /** How often something was replaced by now. */
  count(): number
  /** Bytes handed on up to what was replaced first, and with it; null before. */
  firstEnd(): number | null
}

/** @param start null where nothing is to be masked. */
export function createMasker(start: Place | null): Masker {
  const state: State = {
    chunk: NOTHING,
    view: new DataView(NOTHING.buffer, 0, 0),
    end: 0,
    phase: BEFORE_VALUE,
    place: start,
    isMasking: false,
    out: createMaskedParts(),
    depth: 0,
    isInString: false,
    isEscaped: false,
    hasEscapes: false,
    opened: [],
    key: createKeyReader(),
  }
  const marker = createMarker(start)
  return {
    write: (chunk) => mask(state, marker, chunk),
    end() {
      const { opened, phase } = state
      if (opened.length > 0 || (phase !== AFTER_VALUE && phase !== IN_SCALAR)) throw notJson()
    },
    count: state.out.hidden,
    firstEnd: state.out.firstEnd,
  }
}

function mask(state: State, marker: Marker, chunk: Buffer): Buffer {
  state.chunk = chunk
  state.view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length)
  state.out.begin(chunk, state.isMasking)
  for (let at = 0; at < chunk.length; ) {
    const checked = marker.check(chunk, at)
    state.end = checked.to
    if (state.phase === IN_CONTAINER && checked.isMarked) {
      // What is deeper has no marks.
      state.depth = Math.min(checked.depthBefore, marker.depth + 1) - state.opened.length
    }
    maskChecked(state, marker, checked)
    at = checked.to
  }
  // It is its owner's again.
  state.chunk = NOTHING
  return state.out.end()
}

function maskChecked(state: State, marker: Marker, checked: Checked): void {
  const { chunk, end } = state
  let at = checked.from
  while (at < end) {
    if (checked.isMarked) at = jump(state, marker, checked, at)
    if (state.phase >= IN_KEY) {
      const wasMasking = state.isMasking
      at = passOver(state, checked, at)
      if (wasMasking && !state.isMasking) state.out.show(at)
      continue
    }
    const byte = chunk[at] as number
    if (byte <= SPACE) {
      at++
      continue
    }
    if (state.phase === BEFORE_VALUE && byte !== CLOSE_ARRAY) {
      if (beginValue(state, byte)) state.out.hide(at)
    } else takeToken(state, byte)
    at++
  }
}

/** To a later mark, where all before it is done by marks. @returns where. */
function jump(state: State, marker: Marker, checked: Checked, at: number): number {
  const { phase, chunk } = state
  if (state.isMasking || phase === IN_KEY || phase === IN_CONTAINER) return at
  if ((phase === BEFORE_COLON || phase === BEFORE_VALUE) && state.place?.isMasked === true) return at
  const { places, count, from } = checked
  while (checked.next < count && from + (places[checked.next] as number) < at) checked.next++
  if (checked.next === count || !marker.walk(state)) return at
  // Of a string that was passed over.
  state.isInString = false
  state.isEscaped = false
  const to = from + (places[checked.next] as number)
  const byte = chunk[to] as number
  if (byte === QUOTE) state.phase = BEFORE_KEY
  else state.phase = (byte | SPACE) === OPENER ? BEFORE_VALUE : AFTER_VALUE
  return to
}

/** What is looked at for its end alone, and keys. @returns where it stopped. */
function passOver(state: State, checked: Checked, from: number): number {
  let at: number
  if (state.phase === IN_CONTAINER) {
    at = checked.isMarked ? skipByMarks(state, checked, from) : skipContainer(state, from)
    if (state.depth > 0) return at
  } else if (state.phase === IN_SCALAR) {
    at = skipScalar(state, from)
    if (at === state.end) return at
  } else {
    at = skipString(state, from)
    if (state.phase === IN_KEY) readKey(state, from, at)
    if (state.isInString || state.phase === BEFORE_COLON) return at
  }
  state.isMasking = false
  state.phase = AFTER_VALUE
  return at
}

/** `skipContainer` where there are marks. */
function skipByMarks(state: State, checked: Checked, at: number): number {
  const { chunk } = state
  const { places, count, from } = checked
  for (let { next } = checked; next < count; next++) {
    const place = from + (places[next] as number)
    if (place < at) continue
    const byte = (chunk[place] as number) | SPACE
    if (byte === OPENER) state.depth++
    else if (byte === CLOSER && --state.depth === 0) {
      checked.next = next + 1
      state.isInString = false
      state.isEscaped = false
      return place + 1
    }
  }
  state.depth = checked.depth - state.opened.length
  state.isInString = checked.isInString
  state.isEscaped = checked.isEscaped
  return checked.to
}

function readKey(state: State, from: number, to: number): void {
  const { place } = state.opened[state.opened.length - 1] as Open
  if (state.isInString) {
    state.key.take(place, state.chunk.subarray(from, to))
    return
  }
  state.place = followKey(state, place, { from, to: to - 1 })
  state.phase = BEFORE_COLON
}

/** @returns whether it is masked. @throws AppError `INVALID_PAYLOAD` where no value begins so. */
function beginValue(state: State, byte: number): boolean {
  const { place } = state
  const isOpener = (byte | SPACE) === OPENER
  if (!isOpener && !beginsScalar(byte)) throw notJson()
  const isMasked = place?.isMasked === true
  if (isMasked) state.isMasking = true
  if (!isOpener) {
    state.phase = byte === QUOTE ? IN_STRING : IN_SCALAR
    state.isInString = byte === QUOTE
  } else if (place === null || isMasked) {
    state.phase = IN_CONTAINER
    state.depth = 1
  } else if (byte === OPEN_OBJECT) {
    state.opened.push({ place, index: -1 })
    state.phase = BEFORE_KEY
  } else {
    state.opened.push({ place, index: 0 })
    state.place = elementAt(place, 0)
  }
  return isMasked
}

/** A byte between two values, which is no space. */
function takeToken(state: State, byte: number): void {
  const { phase } = state
  const around = state.opened[state.opened.length - 1]
  const isCloser = (byte | SPACE) === CLOSER
  if (phase === BEFORE_COLON && byte === COLON) state.phase = BEFORE_VALUE
  else if (around === undefined) throw notJson()
  else if (phase === BEFORE_KEY && byte === QUOTE) {
    state.phase = IN_KEY
    state.isInString = true
    state.hasEscapes = false
  } else if (phase === AFTER_VALUE && byte === COMMA) {
    state.phase = around.index === -1 ? BEFORE_KEY : BEFORE_VALUE
    if (around.index !== -1) state.place = elementAt(around.place, ++around.index)
  } else if (isCloser && (phase !== BEFORE_VALUE || around.index === 0)) {
    state.opened.pop()
    state.phase = AFTER_VALUE
  } else throw notJson()
}

/** A quote, a digit, a minus, or the first letter of a word. */
function beginsScalar(byte: number): boolean {
  if (byte === QUOTE || byte === MINUS) return true
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x74 || byte === 0x66 || byte === 0x6e
}
