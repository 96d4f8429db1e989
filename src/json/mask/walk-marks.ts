import type { Checked } from './marks.ts'
import type { MaskedParts } from './masked-parts.ts'
import { elementAt, type Open } from './open-places.ts'
import type { Place } from './places.ts'
import { CLOSER, COMMA, OPENER, QUOTE, SPACE } from './skip-value.ts'

const OPEN_OBJECT = 0x7b
const COLON = 0x3a
const CLOSE_ARRAY = 0x5d

/** What a walk goes on with, and leaves behind. */
export interface Walked {
  readonly chunk: Buffer
  readonly out: MaskedParts
  readonly opened: Open[]
  /** Of the value that comes next. */
  place: Place | null
}

/**
 * Goes from mark to mark, and masks what begins and ends between them: nothing else that lies there is looked at. It
 * stops before the last mark, and before what takes more than marks: `checked.next` is where.
 */
export function walkMarks(state: Walked, checked: Checked): void {
  const { chunk, opened } = state
  const { places, from, hasEscapedKeys } = checked
  // What ends a value is behind it.
  const last = checked.count - 1
  let { next } = checked
  let around = opened[opened.length - 1]
  for (; next < last; next++) {
    const at = from + (places[next] as number)
    const byte = chunk[at] as number
    let place: Place | null
    let behind = at + 1
    if (byte === QUOTE) {
      if (hasEscapedKeys || around === undefined) break
      place = around.place.match(chunk, behind)
      state.place = place
      if (place?.isMasked !== true) continue
      behind = chunk.indexOf(QUOTE, behind) + 1
    } else if (byte === COMMA) {
      if (around === undefined) break
      place = elementAt(around.place, ++around.index)
      state.place = place
      if (place?.isMasked !== true) continue
    } else if ((byte | SPACE) === CLOSER) {
      opened.pop()
      around = opened[opened.length - 1]
      continue
    } else if (state.place === null) {
      const end = closerOf(chunk, checked, next)
      if (end === last) break
      next = end
      continue
    } else if (state.place.isMasked) break
    else {
      around = { place: state.place, index: byte === OPEN_OBJECT ? -1 : 0 }
      opened.push(around)
      if (byte === OPEN_OBJECT) continue
      place = elementAt(around.place, 0)
      state.place = place
      if (place?.isMasked !== true) continue
    }
    const end = maskValue(state, checked, { next, behind })
    if (end === -1) {
      // Looked at once more, byte by byte.
      if (byte === COMMA && around) around.index--
      else if (byte !== QUOTE) state.place = (opened.pop() as Open).place
      break
    }
    next = end
  }
  checked.next = next
}

interface Before {
  /** The mark before the value, and the byte behind what leads to it. */
  readonly next: number
  readonly behind: number
}

/** @returns the last mark in the value, or the one before it; -1 where its end is not among the marks. */
function maskValue({ chunk, out }: Walked, checked: Checked, { next, behind }: Before): number {
  const { places, from, count } = checked
  const mark = from + (places[next + 1] as number)
  let begin = behind
  while (isBetween(chunk[begin] as number)) begin++
  let end: number
  let last = next
  if (begin === mark && ((chunk[mark] as number) | SPACE) === OPENER) {
    last = closerOf(chunk, checked, next + 1)
    if (last === count - 1) return -1
    end = from + (places[last] as number) + 1
  } else {
    // An array without an element.
    if (chunk[begin] === CLOSE_ARRAY) return next
    end = mark
    while (end > begin && isBehind(chunk[end - 1] as number)) end--
  }
  out.hide(begin)
  out.show(end)
  return last
}

/** Between a key and its value. */
function isBetween(byte: number): boolean {
  return byte <= SPACE || byte === COLON
}

/** Between a value and the next mark: nothing that it may end with. */
function isBehind(byte: number): boolean {
  return byte <= SPACE || byte === COMMA
}

/** The mark that closes what opens at this one; the last one where none of those before it does. */
function closerOf(chunk: Buffer, { places, from, count }: Checked, opener: number): number {
  const last = count - 1
  let depth = 1
  for (let next = opener + 1; next < last; next++) {
    const byte = (chunk[from + (places[next] as number)] as number) | SPACE
    if (byte === OPENER) depth++
    else if (byte === CLOSER && --depth === 0) return next
  }
  return last
}
