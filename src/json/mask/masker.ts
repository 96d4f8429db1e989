import { AppError } from '../../errors.ts'
import { createKeyReader, followKey, type KeyReader } from './key-reader.ts'
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

/** What stands where something was. */
export const REDACTED = Buffer.from('"[redacted]"')

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

/** An open container that something may be masked in. */
interface Open {
  readonly place: Place
  /** Of the element that comes next; -1 in an object. */
  index: number
}

interface State extends Passed {
  phase: number
  /** Of the value that comes next. */
  place: Place | null
  isMasking: boolean
  count: number
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
   * @returns what is to be handed on of it, in order.
   * @throws AppError `INVALID_PAYLOAD` where it sees that the document is none.
   */
  write(chunk: Buffer): Buffer[]
  /** @throws AppError `INVALID_PAYLOAD` when the document is not complete. */
  end(): void
  /** How often something was replaced by now. */
  count(): number
}

/** @param start null where nothing is to be masked. */
export function createMasker(start: Place | null): Masker {
  const state: State = {
    chunk: NOTHING,
    view: new DataView(NOTHING.buffer, 0, 0),
    phase: BEFORE_VALUE,
    place: start,
    isMasking: false,
    count: 0,
    depth: 0,
    isInString: false,
    isEscaped: false,
    hasEscapes: false,
    opened: [],
    key: createKeyReader(),
  }
  return {
    write: (chunk) => mask(state, chunk),
    end() {
      const { opened, phase } = state
      if (opened.length > 0 || (phase !== AFTER_VALUE && phase !== IN_SCALAR)) throw notJson()
    },
    count: () => state.count,
  }
}

function mask(state: State, chunk: Buffer): Buffer[] {
  state.chunk = chunk
  state.view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length)
  const end = chunk.length
  const out: Buffer[] = []
  let from = state.isMasking ? end : 0
  let at = 0
  while (at < end) {
    if (state.phase >= IN_KEY) {
      const wasMasking = state.isMasking
      at = passOver(state, at)
      if (wasMasking && !state.isMasking) from = at
      continue
    }
    const byte = chunk[at] as number
    if (byte <= SPACE) {
      at++
      continue
    }
    if (state.phase === BEFORE_VALUE && byte !== CLOSE_ARRAY) {
      if (beginValue(state, byte)) {
        if (at > from) out.push(chunk.subarray(from, at))
        out.push(REDACTED)
        from = end
      }
    } else takeToken(state, byte)
    at++
  }
  if (from < end) out.push(chunk.subarray(from))
  // It is its owner's again.
  state.chunk = NOTHING
  return out
}

/** What is looked at for its end alone, and keys. @returns where it stopped. */
function passOver(state: State, from: number): number {
  let at: number
  if (state.phase === IN_CONTAINER) {
    at = skipContainer(state, from)
    if (state.depth > 0) return at
  } else if (state.phase === IN_SCALAR) {
    at = skipScalar(state, from)
    if (at === state.chunk.length) return at
  } else {
    at = skipString(state, from)
    if (state.phase === IN_KEY) readKey(state, from, at)
    if (state.isInString || state.phase === BEFORE_COLON) return at
  }
  state.isMasking = false
  state.phase = AFTER_VALUE
  return at
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
  if (isMasked) {
    state.isMasking = true
    state.count++
  }
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

function elementAt(place: Place, index: number): Place | null {
  return place.hasIndexes ? place.below(String(index)) : place.others
}

/** A quote, a digit, a minus, or the first letter of a word. */
function beginsScalar(byte: number): boolean {
  if (byte === QUOTE || byte === MINUS) return true
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x74 || byte === 0x66 || byte === 0x6e
}

function notJson(): AppError {
  return new AppError('INVALID_PAYLOAD', 'What is to be masked is not JSON')
}
