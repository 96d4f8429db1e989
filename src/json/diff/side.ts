import type { IndexEntry, IndexNode, JsonIndex } from '../parts/json-index.ts'
import { createTreeHashes, type TreeHashes } from '../parts/tree-hashes.ts'
import { assemble, type Extent, type Gap, gapsIn, keysAmong, type Reading, rangesOf, readRanges } from './extent.ts'
import { type Item, itemsOf, type Source } from './source.ts'

/** One of two documents that are compared. */
export interface DiffDocument {
  readonly sizeBytes: number
  /** Null only for a document that is small enough to be read whole. */
  readonly index: JsonIndex | null
  /** All bytes of a half-open range, checked. */
  read(start: number, end: number): Promise<Buffer>
}

/** A document by its parts. */
export interface Side {
  readonly document: DiffDocument
  /** Equal ones are of equal bytes, in this document or in another. */
  nameOf(entry: IndexEntry): string
  /** How many bytes loading it reads. */
  costOf(extent: Extent): number
  /** Sources of extents, in the order asked. */
  load(extents: readonly Extent[]): Promise<Source[]>
  /** The value that lies there. */
  itemAt(range: ValueRange): Promise<Item>
}

/** Where a value lies, without the white space around it. */
export interface ValueRange {
  readonly start: number
  readonly end: number
}

const NOTHING = new Float64Array()

/** An index that is kept has its hashes kept with it. */
const known = new WeakMap<JsonIndex, TreeHashes>()

function hashesOf(index: JsonIndex): TreeHashes {
  const hashes = known.get(index) ?? createTreeHashes(index)
  known.set(index, hashes)
  return hashes
}

/** @param name tells one of two documents from the other. */
export function createSide(document: DiffDocument, name: string): Side {
  const { index } = document
  const hashes = index && hashesOf(index)
  const reading: Reading = { read: document.read, nearBytes: index?.unitBytes ?? 0 }
  const gapsOf = (extent: Extent) => gapsIn(extent, index?.scalars ?? NOTHING)

  function nameOfGap({ node, start }: Gap): string {
    return node && hashes ? Buffer.from(hashes.ofNode(node), 'latin1').toString('hex') : `${name}${start}`
  }

  async function load(extents: readonly Extent[]): Promise<Source[]> {
    const parts = extents.map((extent) => ({ extent, gaps: gapsOf(extent) }))
    const ranges = parts.flatMap(({ extent, gaps }) => rangesOf(extent, gaps))
    const read = await readRanges(reading, ranges)
    const keys = new Set(parts.flatMap(({ extent, gaps }) => keysAmong(extent, gaps, read)))
    if (keys.size === 0) return parts.map(({ extent, gaps }) => assemble(extent, gaps, { read, nameOf: nameOfGap }))
    const kept = parts.map(({ extent, gaps }) => ({ extent, gaps: gaps.filter((gap) => !keys.has(gap)) }))
    const readMore = await readRanges(
      reading,
      kept.flatMap(({ extent, gaps }) => rangesOf(extent, gaps)),
    )
    return kept.map(({ extent, gaps }) => assemble(extent, gaps, { read: readMore, nameOf: nameOfGap }))
  }

  return {
    document,
    nameOf: (entry) => hashes?.ofEntry(entry) ?? '',
    costOf: (extent) => rangesOf(extent, gapsOf(extent)).reduce((sum, [start, end]) => sum + end - start, 0),
    load,
    async itemAt({ start, end }) {
      const [source] = await load([{ from: start, to: end, node: index ? nodeIn(index.top, { start, end }) : null }])
      const [item] = source ? itemsOf(source, { from: 0, to: source.text.length, ordinal: 0 }) : []
      if (!item) throw new Error('a place of a document holds a value')
      return item
    },
  }
}

/** The outermost node that lies in a range of an entry's. */
function nodeIn({ node }: IndexEntry, range: ValueRange): IndexNode | null {
  if (!node || (node.start >= range.start && node.end <= range.end)) return node
  const entry = node.entries.find(({ from, to }) => from <= range.start && range.end <= to)
  return entry ? nodeIn(entry, range) : null
}
