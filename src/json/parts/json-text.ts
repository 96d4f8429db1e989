import { corrupt } from './checked-bytes.ts'
import type { IndexNode } from './json-index.ts'
import type { JsonType } from './place.ts'

/** A value that is jumped over: its bytes but the first are not there. */
export interface Hole {
  readonly start: number
  readonly end: number
  /** Null for a string, a key or a number. */
  readonly node: IndexNode | null
}

/** A part of a document, with holes. */
export interface JsonText {
  readonly from: number
  readonly to: number
  /** In order. */
  readonly segments: readonly { readonly start: number; readonly bytes: Buffer }[]
  readonly holes: readonly Hole[]
}

/** A child where it stands. */
export interface TextValue {
  readonly ordinal: number
  /** Quotes included; -1 in an array. */
  readonly keyStart: number
  readonly keyEnd: number
  readonly start: number
  readonly end: number
  readonly type: JsonType
  readonly childCount: number | null
  readonly node: IndexNode | null
}

/** Whose children are walked: from a place behind its bracket, or behind one of its commas. */
export interface TextStart {
  readonly at: number
  readonly isObject: boolean
  readonly ordinal: number
}

/** Walks over a text, which is JSON. @throws AppError `OBJECT_CORRUPT` where it is not. */
export interface TextWalker {
  children(start: TextStart): Generator<TextValue>
  /** Its one value. */
  value(): TextValue
  /** Source text. Where it lies in a hole: undefined. */
  bytes(start: number, end: number): Buffer | undefined
}

/** Smaller containers are passed again. */
const KEPT_FROM_BYTES = 256

interface Passed {
  readonly end: number
  readonly childCount: number
}

const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
const TYPES: Readonly<Record<number, JsonType>> = {
  [QUOTE]: 'STRING',
  91: 'ARRAY',
  123: 'OBJECT',
  116: 'BOOLEAN',
  102: 'BOOLEAN',
  110: 'NULL',
}

export function createTextWalker({ from, to, segments, holes }: JsonText): TextWalker {
  let bytes = segments[0]?.bytes ?? Buffer.alloc(0)
  let base = segments[0]?.start ?? from
  /** Containers by their starts. */
  const passed = new Map<number, Passed>()

  function byteAt(at: number): number {
    const byte = bytes[at - base]
    if (byte !== undefined) return byte
    const segment = segments.findLast(({ start }) => start <= at)
    const found = segment?.bytes[at - segment.start]
    if (!segment || found === undefined) throw corrupt()
    bytes = segment.bytes
    base = segment.start
    return found
  }

  function pastSpace(start: number): number {
    let at = start
    while (at < to && byteAt(at) <= SPACE) at++
    return at
  }

  function holeAt(at: number): Hole | undefined {
    return holes.length === 0 ? undefined : holes.find(({ start }) => start === at)
  }

  function pastString(start: number): number {
    const hole = holeAt(start)
    if (hole) return hole.end
    for (let at = start + 1; ; at++) {
      const byte = byteAt(at)
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) return at + 1
    }
  }

  function pastScalar(start: number): number {
    const hole = holeAt(start)
    if (hole) return hole.end
    let at = start
    for (; at < to; at++) {
      const byte = byteAt(at)
      if (byte <= SPACE || byte === COMMA || byte === COLON || isClosing(byte)) break
    }
    if (at === start) throw corrupt()
    return at
  }

  /** Passes each byte once, however often and however deep it is asked: what it passed on the way is kept. */
  function pastContainer(begin: number): Passed {
    const open: { readonly start: number; commas: number; isEmpty: boolean }[] = []
    let next = firstHole(begin)
    for (let at = begin; ; ) {
      const around = open[open.length - 1]
      while ((holes[next]?.start ?? at) < at) next++
      const hole = holes[next]
      const byte = byteAt(at)
      const jump = hole?.start === at ? hole.end : isOpening(byte) ? passed.get(at)?.end : undefined
      if (around && byte > SPACE && byte !== COMMA && !isClosing(byte)) around.isEmpty = false
      if (jump !== undefined) at = jump
      else if (byte === QUOTE) at = pastString(at)
      else {
        if (isOpening(byte)) open.push({ start: at, commas: 0, isEmpty: true })
        else if (byte === COMMA && around) around.commas++
        at++
        if (!isClosing(byte)) continue
        if (!around) throw corrupt()
        open.pop()
        const found = { end: at, childCount: around.isEmpty ? 0 : around.commas + 1 }
        if (at - around.start >= KEPT_FROM_BYTES) passed.set(around.start, found)
        if (open.length === 0) return found
      }
    }
  }

  function container(start: number): Passed {
    const node = holeAt(start)?.node
    return node ? { end: node.end, childCount: node.childCount } : (passed.get(start) ?? pastContainer(start))
  }

  function firstHole(at: number): number {
    const found = holes.findIndex(({ start }) => start >= at)
    return found === -1 ? holes.length : found
  }

  function valueAt(start: number, ordinal: number, key: { readonly start: number; readonly end: number }): TextValue {
    const byte = byteAt(start)
    const inside = isOpening(byte) ? container(start) : null
    const end = inside?.end ?? (byte === QUOTE ? pastString(start) : pastScalar(start))
    const childCount = inside?.childCount ?? null
    const type = TYPES[byte] ?? 'NUMBER'
    return {
      ordinal,
      keyStart: key.start,
      keyEnd: key.end,
      start,
      end,
      type,
      childCount,
      node: holeAt(start)?.node ?? null,
    }
  }

  function expect(at: number, byte: number): void {
    if (at >= to || byteAt(at) !== byte) throw corrupt()
  }

  return {
    *children({ at: begin, isObject, ordinal: first }) {
      let at = pastSpace(begin)
      for (let ordinal = first; at < to && !isClosing(byteAt(at)); ordinal++) {
        let key = NO_KEY
        if (isObject) {
          expect(at, QUOTE)
          key = { start: at, end: pastString(at) }
          const colon = pastSpace(key.end)
          expect(colon, COLON)
          at = pastSpace(colon + 1)
        }
        const value = valueAt(at, ordinal, key)
        yield value
        at = pastSpace(value.end)
        if (at >= to || isClosing(byteAt(at))) return
        expect(at, COMMA)
        at = pastSpace(at + 1)
      }
    },

    value: () => valueAt(pastSpace(from), 0, NO_KEY),

    bytes(start, end) {
      const segment = segments.findLast((candidate) => candidate.start <= start)
      if (!segment || end > segment.start + segment.bytes.length) return undefined
      return segment.bytes.subarray(start - segment.start, end - segment.start)
    },
  }
}

const NO_KEY = { start: -1, end: -1 }

/** Both kinds of brackets differ in the bit in which the two cases of a letter do. */
function isOpening(byte: number): boolean {
  return (byte | 0x20) === 0x7b
}

function isClosing(byte: number): boolean {
  return (byte | 0x20) === 0x7d
}
