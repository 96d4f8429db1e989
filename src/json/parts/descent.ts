import { setImmediate } from 'node:timers/promises'
import type { IndexEntry, IndexNode } from './json-index.ts'
import type { TextStart, TextValue, TextWalker } from './json-text.ts'
import { createKeyMatcher, type KeyMatcher } from './key-text.ts'
import { parseIndex } from './pointer.ts'
import type { Spot, Spots } from './spots.ts'

const SEARCH_BYTES = 1024 * 1024

/** From a spot to what is in it. */
export interface Descent {
  /** The child that a token of a pointer names; of equal keys the last. Null where there is none. */
  child(parent: Spot, token: string): Promise<Spot | null>
  /** The child that holds a byte of a value or of its key; null where that is between two. */
  childAround(parent: Spot, offset: number): Promise<Spot | null>
}

/**
 * Knows where keys of large objects are that the index does not keep. What it gives are numbers of entries of the node: all that hold
 * the key, in any order, and few others.
 */
export interface KeyFinder {
  /** Null where nothing is known of this object. */
  find(node: IndexNode, key: string): Promise<readonly number[] | null>
  /** Reads the object first, to its end. Null where nothing can be kept. */
  learn(node: IndexNode, key: string): Promise<readonly number[] | null>
}

export interface DescentOptions {
  /** Without one, large objects are searched. */
  readonly keys?: KeyFinder | undefined
  /** 1 MiB when left out: so much of an object is read at once to find a key, and no more than that where it can be known. */
  readonly searchBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export function createDescent(spots: Spots, options: DescentOptions = {}): Descent {
  const { keys, searchBytes = SEARCH_BYTES, signal } = options

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
  async function searchEntries(parent: Spot, isKey: KeyMatcher, entries: readonly IndexEntry[]): Promise<Spot | null> {
    for (let left = entries.length; left > 0; ) {
      signal?.throwIfAborted()
      const batch: IndexEntry[] = []
      let named: Spot | null = null
      for (let bytes = 0; left > 0 && bytes < searchBytes && !named; ) {
        const entry = entries[--left]
        if (!entry) break
        named = spots.known(parent, entry)
        if (named) break
        batch.push(entry)
        bytes += spots.texts.sizeOf(entry)
      }
      for (const [index, text] of (await spots.texts.load(batch)).entries()) {
        // Others have their turn between two texts, which may each have thousands of keys.
        if (index > 0) await setImmediate()
        const entry = batch[index]
        const found = entry && (await lastOfKey(parent, text, startOf(parent, entry), isKey))
        if (found) return found
      }
      if (named) return named
    }
    return null
  }

  /** How many entries at the end are read at once. */
  function countLast(entries: readonly IndexEntry[]): number {
    let left = entries.length
    for (let bytes = 0; left > 0 && bytes < searchBytes; ) bytes += spots.texts.sizeOf(entries[--left] as IndexEntry)
    return entries.length - left
  }

  async function byKeyInNode(parent: Spot, node: IndexNode, key: string): Promise<Spot | null> {
    const isKey = createKeyMatcher(key)
    const entries = node.entries.filter((entry) => !entry.key || isKey(entry.key))
    const last = countLast(entries)
    if (!keys || last === entries.length) return searchEntries(parent, isKey, entries)
    let known = await keys.find(node, key)
    if (!known) {
      const found = await searchEntries(parent, isKey, entries.slice(-last))
      if (found) return found
      known = await keys.learn(node, key)
      if (!known) return searchEntries(parent, isKey, entries.slice(0, -last))
    }
    const numbers = new Set(known)
    const likely = node.entries.filter((entry, number) => (entry.key ? isKey(entry.key) : numbers.has(number)))
    // Mostly it is in the first that is looked into.
    for (const entry of likely.toReversed()) {
      const found = await searchEntries(parent, isKey, [entry])
      if (found) return found
    }
    return null
  }

  async function byKey(parent: Spot, key: string): Promise<Spot | null> {
    if (parent.node) return byKeyInNode(parent, parent.node, key)
    return parent.text && lastOfKey(parent, parent.text, insideOf(parent), createKeyMatcher(key))
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
