import { unescapeText } from './key-text.ts'
import type { FindIn } from './place.ts'
import { createTextSearch, type Excerpt, wholeSource } from './text-search.ts'

/** A string, key or number in which the text is. */
export interface Found extends Excerpt {
  readonly in: 'KEYS' | 'VALUES'
  /** Where it starts and ends in the document. */
  readonly at: number
  readonly behind: number
}

/** Goes through JSON that comes in pieces, from between two tokens on. */
export interface StringScan {
  push(bytes: Buffer): readonly Found[]
  /** What is told is complete, and the rest can be gone through from here. */
  isBetween(): boolean
}

const QUOTE = 0x22
const COLON = 0x3a
const BACKSLASH = 0x5c
const SPACE = 0x20

interface Wanted {
  readonly text: string
  readonly in: FindIn
  readonly matchCase: boolean
}

export function createStringScan(wanted: Wanted, begin: number): StringScan {
  const search = createTextSearch(wanted.text, wanted.matchCase)
  let offset = begin
  let inside: 'STRING' | 'NUMBER' | null = null
  let isEscaped = false
  let start = 0
  let match: Excerpt | null = null
  /** What came of a string and is not searched yet. */
  let held: Buffer = Buffer.alloc(0)
  /** A string of which it is not known yet whether it is a key. */
  let undecided: Found | null = null
  let found: Found[] = []

  function open(kind: 'STRING' | 'NUMBER', at: number): void {
    inside = kind
    start = at
    match = null
    held = Buffer.alloc(0)
    search.reset()
  }

  function searchMore(source: Buffer, isWhole: boolean): void {
    // Each unit of the text takes a byte or more.
    if (match || (isWhole && held.length === 0 && start >= offset && source.length < wanted.text.length)) return
    const all = held.length > 0 ? Buffer.concat([held, source]) : source
    const length = isWhole ? all.length : wholeSource(all)
    match = search.push(unescapeText(all.subarray(0, length)))
    held = Buffer.from(all.subarray(length))
  }

  function close(behind: number): void {
    const ended = match && { ...match, at: start, behind }
    if (inside === 'STRING') undecided = ended && { ...ended, in: 'VALUES' }
    else if (ended && wanted.in !== 'KEYS') found.push({ ...ended, in: 'VALUES' })
    inside = null
  }

  function decide(isKey: boolean): void {
    const kind = isKey ? 'KEYS' : 'VALUES'
    if (undecided && (wanted.in === 'ANYWHERE' || wanted.in === kind)) found.push({ ...undecided, in: kind })
    undecided = null
  }

  /** @returns where the string ends, its quote not included; the length where it does not */
  function endOfString(bytes: Buffer, from: number): number {
    let at = from
    for (; at < bytes.length; at++) {
      if (isEscaped) isEscaped = false
      else if (bytes[at] === BACKSLASH) isEscaped = true
      else if (bytes[at] === QUOTE) break
    }
    return at
  }

  function endOfNumber(bytes: Buffer, from: number): number {
    let at = from
    while (at < bytes.length && isOfNumber(bytes[at] ?? 0)) at++
    return at
  }

  /** @returns where to go on */
  function goOn(bytes: Buffer, at: number): number {
    const end = inside === 'STRING' ? endOfString(bytes, at) : endOfNumber(bytes, at)
    searchMore(bytes.subarray(at, end), end < bytes.length)
    if (end === bytes.length) return end
    const behind = inside === 'STRING' ? end + 1 : end
    close(offset + behind)
    return behind
  }

  return {
    push(bytes) {
      found = []
      for (let at = 0; at < bytes.length; ) {
        if (inside) {
          at = goOn(bytes, at)
          continue
        }
        const byte = bytes[at] ?? 0
        if (undecided && byte > SPACE) decide(byte === COLON)
        if (byte === QUOTE) open('STRING', offset + at++)
        else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) open('NUMBER', offset + at)
        else at++
      }
      offset += bytes.length
      return found
    },
    isBetween: () => !inside && !undecided,
  }
}

/** Digits, signs, the point and the e. */
function isOfNumber(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2b || byte === 0x2d || byte === 0x2e || (byte | 0x20) === 0x65
}
