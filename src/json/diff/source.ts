import type { IndexNode } from '../parts/json-index.ts'
import { childrenIn, type Kind, kindOf } from './text.ts'

/** What begins a hole: no JSON has it in a string. */
const MARK = '\0'

/** A value that stands in a text by its name alone: what is in it is read only if that is needed. */
export interface Hole {
  /** Of the quotes around its name, in the text. */
  readonly at: number
  readonly length: number
  /** In the document. */
  readonly start: number
  readonly end: number
  /** Null for a scalar. */
  readonly node: IndexNode | null
}

/** Bytes of one document as text of one character a byte, with holes where large values lie. */
export interface Source {
  readonly text: string
  /** Place of the first character in the document. */
  readonly start: number
  /** In their order. */
  readonly holes: readonly Hole[]
}

/** A value, and what it is called by its container. */
export interface Item {
  /** Canonical text of its key; null in an array. */
  readonly key: string | null
  /** Place among its siblings, duplicates included. */
  readonly ordinal: number
  /** In the document, half-open. */
  readonly start: number
  readonly end: number
  /** Its source text, one character a byte, with holes; of a hole its name. Equal texts are equal values. */
  readonly text: string
  readonly source: Source
  /** Where the text begins in that of the source. */
  readonly at: number
  /** What it is a hole for; null where its text is at hand. */
  readonly hole: Hole | null
}

/**
 * @param name the same for two holes only if they are the same bytes
 */
export function holeText(name: string): string {
  return `"${MARK}${name}"`
}

/** The children between two places of a source's text, in order. */
export function itemsOf(
  source: Source,
  { from, to, ordinal }: { readonly from: number; readonly to: number; readonly ordinal: number },
): Item[] {
  return childrenIn(source.text, from, to).map(({ key, start, end }, i) => {
    const text = source.text.slice(start, end)
    const hole = text.startsWith(MARK, 1) ? (source.holes.find(({ at }) => at === start) ?? null) : null
    return {
      key,
      ordinal: ordinal + i,
      start: hole ? hole.start : placeIn(source, start),
      end: hole ? hole.end : placeIn(source, end),
      text,
      source,
      at: start,
      hole,
    }
  })
}

/** The children of a container whose text is at hand. */
export function childrenOf({ source, at, text }: Item): Item[] {
  return itemsOf(source, { from: at + 1, to: at + text.length - 1, ordinal: 0 })
}

/** What kind of value it is; of a scalar that is not at hand nobody knows before it was read. */
export function kindOfItem({ hole, text }: Item): Kind | 'far' {
  if (!hole) return kindOf(text)
  if (!hole.node) return 'far'
  return hole.node.type === 'OBJECT' ? '{' : '['
}

/** Where a character of the text lies in the document. */
function placeIn({ start, holes }: Source, at: number): number {
  let place = start + at
  for (const hole of holes) {
    if (hole.at >= at) break
    place += hole.end - hole.start - hole.length
  }
  return place
}
