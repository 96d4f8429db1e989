import { randomUUID } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { ASTNode } from 'graphql'

/**
 * A JSON leaf whose text lies ready: it goes into the answer as it is, never parsed. Whoever makes one knows that it is
 * valid JSON.
 */
export interface RawJson {
  readonly source: RawSource
  /** Stands in for the leaf while the rest of an answer is turned into text. */
  toJSON(): unknown
}

/** Text or bytes at hand, or bytes that are opened when their turn comes. */
export type RawSource = string | Buffer | LazyJson

export interface LazyJson {
  /** Known length in bytes. */
  readonly sizeBytes: number | null
  /** Opens the bytes; rejects before the first one. A stream must be read to its end or destroyed, and what is held let go. */
  open(): Promise<OpenBytes>
  /** Where the leaf stands in the answer, for the error that takes its place when it cannot be opened. */
  readonly nodes: readonly ASTNode[]
  readonly path: readonly (string | number)[]
  /** Told of bytes that have gone out. */
  readonly onSent?: (bytes: number) => void
}

export interface OpenBytes {
  readonly sizeBytes: number
  readonly body: Buffer | Readable
  /** To be called when the last byte has left. */
  release(): void
}

export function rawJson(source: RawSource): RawJson {
  return { source, toJSON: hold }
}

/** The answer that is being turned into text at this moment; JSON.stringify is synchronous, so there is at most one. */
let held: RawSource[] | undefined

/** Of this process alone: it never leaves it, as each of its places is cut out of the text. */
const NONCE = randomUUID()
const MARK = `"${NONCE}`

function hold(this: RawJson): string {
  // Outside of an answer there is nobody to put the bytes in.
  if (held === undefined) throw new Error('a raw JSON leaf outside of toJsonSegments')
  return placeOf(held.push(this.source) - 1)
}

/** The names of the first places, which come in every answer that has any. */
const places: string[] = []
const PLACES_MAX = 2000

function placeOf(index: number): string {
  const place = places[index] ?? `${NONCE}${index}:`
  if (index < PLACES_MAX) places[index] = place
  return place
}

/**
 * Turns a value into the segments of its JSON text, in order: text around the raw leaves, and the leaves as they are. A leaf's
 * place is held by a random name of 122 bits, which no stored or user text can foresee.
 */
export function toJsonSegments(value: unknown): RawSource[] {
  const sources: RawSource[] = []
  held = sources
  try {
    const text = JSON.stringify(value)
    return sources.length === 0 ? [text] : splice(text, sources)
  } finally {
    held = undefined
  }
}

function splice(text: string, sources: readonly RawSource[]): RawSource[] {
  const segments: RawSource[] = []
  let from = 0
  for (let at = text.indexOf(MARK); at !== -1; at = text.indexOf(MARK, from)) {
    const colon = text.indexOf(':', at)
    const source = sources[Number(text.slice(at + MARK.length, colon))]
    segments.push(text.slice(from, at))
    if (source !== undefined) segments.push(source)
    from = colon + 2
  }
  segments.push(text.slice(from))
  return segments
}

export function isRawJson(leaf: unknown): leaf is RawJson {
  return typeof leaf === 'object' && leaf !== null && 'source' in leaf
}

export function isLazy(source: RawSource): source is LazyJson {
  return typeof source === 'object' && 'open' in source
}
