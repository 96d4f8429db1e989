/** What is to become of the values below a place, by the key or index that leads to each. */
export interface Place {
  /** Whether the value here is masked, with all that is in it. */
  readonly isMasked: boolean
  /** Where a key leads; null where nothing below is masked. */
  below(key: string): Place | null
  /** The same for a key that stands, without an escape, in these bytes. */
  find(bytes: Uint8Array, from: number, to: number): Place | null
  /** Where every key leads that no pointer names. */
  readonly others: Place | null
  /** Longest text in JSON that one of the keys can have that a pointer names. */
  readonly keyMaxBytes: number
  /** Whether one of them is an index. */
  readonly hasIndexes: boolean
  /** The keys that a pointer names, and where each leads. */
  named(): readonly NamedKey[]
  /** Most keys that it takes from here to what is masked; 0 where nothing below is. */
  readonly depth: number
  /** A bit for each level from here on on which an index may lead there, the lowest for this one. */
  readonly elements: number
}

export interface NamedKey {
  /** As it stands in a document without an escape; null where it cannot. */
  readonly key: Buffer | null
  /** The index that it is in an array; -1 where it is none. */
  readonly index: number
  readonly place: Place | null
}

/** Any key or index. */
export const ANY = '*'

const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/

/** The keys of a JSON pointer; null for what is none. @see RFC 6901 */
export function keysOfPointer(pointer: string): readonly string[] | null {
  if (!POINTER.test(pointer)) return null
  return pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
}

interface Node {
  readonly id: number
  isMasked: boolean
  depth: number
  elements: number
  readonly below: Map<string, Node>
}

/**
 * The place that a document begins at, for pointers given by their keys. A place is made of all nodes of the pointers' tree that lead
 * there, when it is first come to: there are as many as the pointers differ, however large the document is.
 */
export function createPlaces(pointers: readonly (readonly string[])[]): Place | null {
  let count = 0
  const createNode = (): Node => ({ id: count++, isMasked: false, depth: 0, elements: 0, below: new Map() })
  const root = createNode()
  for (const keys of pointers) {
    let node = root
    for (const [passed, key] of keys.entries()) {
      node.depth = Math.max(node.depth, keys.length - passed)
      node.elements |= elementsOf(keys.slice(passed))
      const next = node.below.get(key) ?? createNode()
      node.below.set(key, next)
      node = next
    }
    node.isMasked = true
  }
  const known = new Map<string, Place>()

  function placeOf(nodes: readonly Node[]): Place | null {
    if (nodes.length === 0) return null
    const name = nodes.map(({ id }) => id).join()
    const place = known.get(name) ?? createPlace(nodes, placeOf)
    known.set(name, place)
    return place
  }
  return pointers.length === 0 ? null : placeOf([root])
}

const INDEX = /^(?:0|[1-9]\d*)$/
const LEVELS = 31
/** No array has more. */
const LAST_INDEX = 2 ** 31 - 1
const ALWAYS_ESCAPED = /["\\]/

function keyOf(text: string): Buffer | null {
  return text.isWellFormed() && !ALWAYS_ESCAPED.test(text) ? Buffer.from(text) : null
}

function indexOf(key: string): number {
  const index = INDEX.test(key) ? Number(key) : -1
  return index <= LAST_INDEX ? index : -1
}

function elementsOf(keys: readonly string[]): number {
  if (keys.length > LEVELS) return -1
  return keys.reduce((bits, key, level) => (key === ANY || INDEX.test(key) ? bits | (1 << level) : bits), 0)
}

function createPlace(nodes: readonly Node[], placeOf: (nodes: readonly Node[]) => Place | null): Place {
  const names = new Set(nodes.flatMap(({ below }) => [...below.keys()]).filter((key) => key !== ANY))
  const follow = (key: string) =>
    nodes.flatMap(({ below }) => [below.get(key), below.get(ANY)].filter((node) => !!node))
  const others = placeOf(follow(ANY).filter((node, i, all) => all.indexOf(node) === i))
  const named: readonly Named[] = [...names].map((text) => ({ key: keyOf(text), text, place: undefined }))
  const places = new Map<string, Place | null>()

  function below(key: string): Place | null {
    if (!names.has(key)) return others
    const place = places.get(key) ?? placeOf(follow(key))
    places.set(key, place)
    return place
  }

  return {
    isMasked: nodes.some(({ isMasked }) => isMasked),
    others,
    below,
    find(bytes, from, to) {
      for (const name of named) {
        if (name.key?.length !== to - from || !equals(name.key, bytes, from)) continue
        if (name.place === undefined) name.place = below(name.text)
        return name.place
      }
      return others
    },
    named: () => named.map(({ key, text }) => ({ key, index: indexOf(text), place: below(text) })),
    // Each of its UTF-16 units may be written as six characters.
    keyMaxBytes: 6 * Math.max(0, ...[...names].map((key) => key.length)),
    depth: Math.max(...nodes.map(({ depth }) => depth)),
    elements: nodes.reduce((bits, { elements }) => bits | elements, 0),
    hasIndexes: [...names].some((key) => INDEX.test(key)),
  }
}

interface Named {
  readonly key: Buffer | null
  readonly text: string
  /** Undefined until it is come to. */
  place: Place | null | undefined
}

function equals(key: Buffer, bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== bytes[from + i]) return false
  return true
}
