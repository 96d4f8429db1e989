import { Fault } from '../api/fault.ts'
import { pointerOf, tokensOf } from '../pointer.ts'
import type { Place, TreeSource } from './source.ts'

const PREVIEW_UNITS = 240
const TYPES: Readonly<Record<string, Place['type']>> = {
  '{': 'OBJECT',
  '[': 'ARRAY',
  '"': 'STRING',
  t: 'BOOLEAN',
  f: 'BOOLEAN',
  n: 'NULL',
}

interface Member {
  readonly key: string | null
  readonly index: number | null
  readonly start: number
  readonly end: number
}

/**
 * The tree of a JSON text that is at hand: its values are found in the text and never made again, so that each number keeps its digits.
 * @throws Fault `INVALID_PAYLOAD`.
 */
export function createLocalSource(text: string): TreeSource {
  try {
    JSON.parse(text)
  } catch {
    throw new Fault('INVALID_PAYLOAD', 'The text is not JSON')
  }
  const members = new Map<string, readonly Member[]>()

  function membersOf(pointer: string, start: number): readonly Member[] {
    const known = members.get(pointer) ?? scanMembers(text, start)
    members.set(pointer, known)
    return known
  }

  function find(pointer: string): Member {
    let at: Member = { key: null, index: null, start: skipSpace(text, 0), end: text.trimEnd().length }
    const tokens = tokensOf(pointer)
    for (const [depth, token] of tokens.entries()) {
      const here = pointerOf(tokens.slice(0, depth))
      const next = membersOf(here, at.start).findLast(({ key, index }) => (key ?? String(index)) === token)
      if (!next) throw new Fault('POINTER_NOT_FOUND', 'There is nothing at that pointer', { nearest: here })
      at = next
    }
    return at
  }

  const placeOf = (pointer: string, { key, index, start, end }: Member): Place => {
    const type = TYPES[text.charAt(start)] ?? 'NUMBER'
    const childCount = type === 'OBJECT' || type === 'ARRAY' ? membersOf(pointer, start).length : null
    const preview = text.slice(start, Math.min(end, start + PREVIEW_UNITS)).toWellFormed()
    return { pointer, key, index, type, sizeBytes: end - start, childCount, preview }
  }

  return {
    placeAt: async (pointer) => placeOf(pointer, find(pointer)),
    async children(pointer, skip) {
      const all = membersOf(pointer, find(pointer).start)
      const page = all.slice(skip, skip + 100)
      const base = tokensOf(pointer)
      const places = page.map((member) => placeOf(pointerOf([...base, member.key ?? String(member.index)]), member))
      return { places, total: all.length, hasMore: skip + page.length < all.length }
    },
  }
}

/** The members of a container that begins there; none of anything else. The text is known to be valid. */
function scanMembers(text: string, start: number): Member[] {
  const isObject = text.charAt(start) === '{'
  if (!isObject && text.charAt(start) !== '[') return []
  const found: Member[] = []
  let at = skipSpace(text, start + 1)
  while (text.charAt(at) !== '}' && text.charAt(at) !== ']') {
    let key: string | null = null
    if (isObject) {
      const end = endOfString(text, at)
      key = JSON.parse(text.slice(at, end))
      at = skipSpace(text, skipSpace(text, end) + 1)
    }
    const end = endOfValue(text, at)
    found.push({ key, index: isObject ? null : found.length, start: at, end })
    at = skipSpace(text, end)
    if (text.charAt(at) === ',') at = skipSpace(text, at + 1)
  }
  return found
}

/** A number, or a word. */
const BARE = /[^\s,\]}]+/y

function endOfValue(text: string, start: number): number {
  const first = text.charAt(start)
  if (first === '"') return endOfString(text, start)
  if (first !== '{' && first !== '[') {
    BARE.lastIndex = start
    return start + (BARE.exec(text)?.[0].length ?? 1)
  }
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const character = text.charAt(at)
    if (character === '"') at = endOfString(text, at) - 1
    else if (character === '{' || character === '[') depth++
    else if ((character === '}' || character === ']') && --depth === 0) return at + 1
  }
  return text.length
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text.charAt(at) === '\\') at++
    else if (text.charAt(at) === '"') return at + 1
  }
  return text.length
}

function skipSpace(text: string, start: number): number {
  let at = start
  while (/\s/.test(text.charAt(at))) at++
  return at
}
