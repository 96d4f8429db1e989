/** What is to become of the values below a place, by the key or index that leads to each. */
export interface Place {
  /** Whether the value here is masked, with all that is in it. */
  readonly isMasked: boolean
  /** Where a key leads; null where nothing below is masked. */
  below(key: string): Place | null
  /** The same for a key that stands, without an escape, in these bytes. */
  find(bytes: Uint8Array, from: number, to: number): Place | null
  /** The same for a key that begins there, has no escape, and ends with the first quote. */
  match(bytes: Uint8Array, from: number): Place | null
  /** Where every key leads that no pointer names. */
  readonly others: Place | null
  /** Longest text in JSON that one of the keys can have that a pointer names. */
  readonly keyMaxBytes: number
  /** Whether one of them is an index. */
  readonly hasIndexes: boolean
  /** Most keys that it takes from here to what is masked; 0 where nothing below is. */
  readonly depth: number
  /** A bit for each level from here on on which an index may lead there, the lowest for this one. */
  readonly elements: number
}

/** Any key or index. */
export const ANY = '*'

const QUOTE = 0x22
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

function elementsOf(keys: readonly string[]): number {
  if (keys.length > LEVELS) return -1
  return keys.reduce((bits, key, level) => (key === ANY || INDEX.test(key) ? bits | (1 << level) : bits), 0)
}

function createPlace(nodes: readonly Node[], placeOf: (nodes: readonly Node[]) => Place | null): Place {
  const names = new Set(nodes.flatMap(({ below }) => [...below.keys()]).filter((key) => key !== ANY))
  const follow = (key: string) =>
    nodes.flatMap(({ below }) => [below.get(key), below.get(ANY)].filter((node) => !!node))
  const others = placeOf(follow(ANY).filter((node, i, all) => all.indexOf(node) === i))
  const named: readonly Named[] = [...names].map((text) => ({ key: Buffer.from(text), text, place: undefined }))
  const places = new Map<string, Place | null>()
  const firstBytes = new Uint8Array(256)
  for (const { key } of named) firstBytes[key[0] ?? QUOTE] = 1

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
        if (name.key.length !== to - from || !equals(name.key, bytes, from)) continue
        if (name.place === undefined) name.place = below(name.text)
        return name.place
      }
      return others
    },
    match(bytes, from) {
      // Most keys are none of them by their first byte.
      if (firstBytes[bytes[from] as number] !== 1) return others
      for (let i = 0; i < named.length; i++) {
        const name = named[i] as Named
        if (bytes[from + name.key.length] !== QUOTE || !equals(name.key, bytes, from)) continue
        if (name.place === undefined) name.place = below(name.text)
        return name.place
      }
      return others
    },
    // Each of its UTF-16 units may be written as six characters.
    keyMaxBytes: 6 * Math.max(0, ...[...names].map((key) => key.length)),
    depth: Math.max(...nodes.map(({ depth }) => depth)),
    elements: nodes.reduce((bits, { elements }) => bits | elements, 0),
    hasIndexes: [...names].some((key) => INDEX.test(key)),
  }
}

interface Named {
  readonly key: Buffer
  readonly text: string
  /** Undefined until it is come to. */
  place: Place | null | undefined
}

function equals(key: Buffer, bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== bytes[from + i]) return false
  return true
}
