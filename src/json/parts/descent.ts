import type { IndexEntry } from './json-index.ts'
import type { TextStart, TextValue, TextWalker } from './json-text.ts'
import { createKeyMatcher, type KeyMatcher } from './key-text.ts'
import { parseIndex } from './pointer.ts'
import type { Spot, Spots } from './spots.ts'

/** So much of an object is read at once to find a key. */
const BATCH_BYTES = 1024 * 1024

/** From a spot to what is in it. */
export interface Descent {
  /** The child that a token of a pointer names; of equal keys the last. Null where there is none. */
  child(parent: Spot, token: string): Promise<Spot | null>
  /** The child that holds a byte of a value or of its key; null where that is between two. */
  childAround(parent: Spot, offset: number): Promise<Spot | null>
}

export function createDescent(spots: Spots, signal?: AbortSignal): Descent {
  async function inText(parent: Spot, text: TextWalker, within: Within): Promise<Spot | null> {
    for (const value of text.children(within.start)) {
      if (within.isIt(value)) return spots.inText(parent, text, value)
    }
    return null
  }

  /** The child for which it is so; the entry that holds it is the last of those that begin before. */
  async function find(parent: Spot, { isBefore, isIt }: Wanted): Promise<Spot | null> {
    const { node, text } = parent
    if (!node) return text && inText(parent, text, { start: insideOf(parent), isIt })
    const entry = lastBefore(node.entries, isBefore)
    const known = spots.known(parent, entry)
    if (known) return isIt({ ...known, keyStart: entry.from }) ? known : null
    const [loaded] = await spots.texts.load([entry])
    return loaded ? inText(parent, loaded, { start: startOf(parent, entry), isIt }) : null
  }

  async function lastOfKey(parent: Spot, text: TextWalker, start: TextStart, isKey: KeyMatcher): Promise<Spot | null> {
    let found: TextValue | null = null
    for (const value of text.children(start)) {
      const source = spots.keySource(text, value)
      if (isKey(source instanceof Buffer ? source : await source)) found = value
    }
    return found && spots.inText(parent, text, found)
  }

  /** From the end: of equal keys the last counts. */
  async function byKeyInNode(parent: Spot, entries: readonly IndexEntry[], isKey: KeyMatcher): Promise<Spot | null> {
    for (let left = entries.length; left > 0; ) {
      signal?.throwIfAborted()
      const batch: IndexEntry[] = []
      let named: Spot | null = null
      for (let bytes = 0; left > 0 && bytes < BATCH_BYTES && !named; ) {
        const entry = entries[--left]
        if (!entry) break
        if (entry.key && !isKey(entry.key)) continue
        named = spots.known(parent, entry)
        if (named) break
        batch.push(entry)
        bytes += spots.texts.sizeOf(entry)
      }
      for (const [index, text] of (await spots.texts.load(batch)).entries()) {
        const entry = batch[index]
        const found = entry && (await lastOfKey(parent, text, startOf(parent, entry), isKey))
        if (found) return found
      }
      if (named) return named
    }
    return null
  }

  async function byKey(parent: Spot, key: string): Promise<Spot | null> {
    const isKey = createKeyMatcher(key)
    if (parent.node) return byKeyInNode(parent, parent.node.entries, isKey)
    return parent.text && lastOfKey(parent, parent.text, insideOf(parent), isKey)
  }

  return {
    async child(parent, token) {
      if (parent.type === 'OBJECT') return byKey(parent, token)
      const ordinal = parent.type === 'ARRAY' ? parseIndex(token) : null
      if (ordinal === null || ordinal >= (parent.childCount ?? 0)) return null
      return find(parent, {
        isBefore: (entry) => entry.ordinal <= ordinal,
        isIt: (value) => value.ordinal === ordinal,
      })
    },

    async childAround(parent, offset) {
      return find(parent, {
        isBefore: (entry) => entry.from <= offset,
        isIt: ({ keyStart, start, end }) => (keyStart === -1 ? start : keyStart) <= offset && offset < end,
      })
    },
  }
}

type Placed = Pick<TextValue, 'ordinal' | 'keyStart' | 'start' | 'end'>

interface Within {
  readonly start: TextStart
  readonly isIt: (value: Placed) => boolean
}

interface Wanted {
  readonly isBefore: (entry: IndexEntry) => boolean
  readonly isIt: (value: Placed) => boolean
}

/** Behind the bracket of a container that has no node. */
export function insideOf({ start, type }: Spot): TextStart {
  return { at: start + 1, isObject: type === 'OBJECT', ordinal: 0 }
}

export function startOf({ type }: Spot, { from, ordinal }: IndexEntry): TextStart {
  return { at: from, isObject: type === 'OBJECT', ordinal }
}

/** The last entry for which it is so; it is so for all before that. */
export function lastBefore(entries: readonly IndexEntry[], isBefore: (entry: IndexEntry) => boolean): IndexEntry {
  let [low, high] = [0, entries.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (isBefore(entries[middle] as IndexEntry)) low = middle
    else high = middle - 1
  }
  return entries[low] as IndexEntry
}
