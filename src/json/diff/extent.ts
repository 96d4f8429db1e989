import type { IndexNode } from '../parts/json-index.ts'
import { type Hole, holeText, type Source } from './source.ts'
import { isKeyEnd } from './text.ts'

/** A part of a document, and what of it is not to be read. */
export interface Extent {
  readonly from: number
  readonly to: number
  /** The node in it; null where there is none. */
  readonly node: IndexNode | null
  /** Source text of the key that it begins with, between its quotes, where that is known. */
  readonly key?: Buffer | null
}

/** A large value, or a large key. */
export interface Gap {
  readonly start: number
  readonly end: number
  readonly node: IndexNode | null
}

export type Range = readonly [start: number, end: number]

const READS_AT_ONCE = 16

/** The large values of an extent, in order. @param scalars start and end of each, in order. */
export function gapsIn({ from, to, node }: Extent, scalars: Float64Array): Gap[] {
  const gaps: Gap[] = node ? [{ start: node.start, end: node.end, node }] : []
  for (let at = firstBehind(scalars, from); (scalars[at] ?? to) < to; at += 2) {
    const [start = to, end = to] = scalars.subarray(at, at + 2)
    if (end <= to && !(node && start >= node.start && end <= node.end)) gaps.push({ start, end, node: null })
  }
  return gaps.sort((one, two) => one.start - two.start)
}

/** Of pairs of places the first that begins at a place or behind it. */
function firstBehind(pairs: Float64Array, place: number): number {
  let [low, high] = [0, pairs.length / 2]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((pairs[2 * middle] ?? 0) < place) low = middle + 1
    else high = middle
  }
  return 2 * low
}

/** What of an extent is read. */
export function rangesOf(extent: Extent, gaps: readonly Gap[]): Range[] {
  const ends = [...gaps.map(({ start }) => start), extent.to]
  const start = extent.from + knownHead(extent).length
  return ends.map((end, i) => [gaps[i - 1]?.end ?? start, end] as const).filter(([from, to]) => from < to)
}

/** The text before the node of an extent, where there is room for nothing but a key that is known. */
function knownHead({ from, node, key }: Extent): string {
  if (!node || !key) return ''
  const head = `"${key.toString('latin1')}":`
  return node.start - from === head.length ? head : ''
}

/** Text of one character a byte, of ranges that were read. */
export type ReadText = (start: number, end: number) => string

export interface Reading {
  read(start: number, end: number): Promise<Buffer>
  /** Ranges nearer than this to each other are read as one. */
  readonly nearBytes: number
}

/** Reads all ranges, neighbours together. */
export async function readRanges({ read, nearBytes }: Reading, ranges: readonly Range[]): Promise<ReadText> {
  const joined = joinNear(
    ranges.toSorted(([one], [two]) => one - two),
    nearBytes,
  )
  const texts: string[] = []
  for (let at = 0; at < joined.length; at += READS_AT_ONCE) {
    const some = joined.slice(at, at + READS_AT_ONCE).map(([start, end]) => read(start, end))
    texts.push(...(await Promise.all(some)).map((bytes) => bytes.toString('latin1')))
  }
  return (start, end) => {
    if (start === end) return ''
    let [low, high] = [0, joined.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((joined[middle]?.[0] ?? 0) <= start) low = middle
      else high = middle - 1
    }
    const base = joined[low]?.[0] ?? 0
    return texts[low]?.slice(start - base, end - base) ?? ''
  }
}

function joinNear(ranges: readonly Range[], nearBytes: number): Range[] {
  const joined: [number, number][] = []
  for (const [start, end] of ranges) {
    const last = joined.at(-1)
    if (last && start - last[1] < nearBytes) last[1] = Math.max(last[1], end)
    else joined.push([start, end])
  }
  return joined
}

/** Those of the gaps that are keys: they must be read, since nothing can be paired without them. */
export function keysAmong(extent: Extent, gaps: readonly Gap[], read: ReadText): Gap[] {
  return gaps.filter(({ node, end }, i) => !node && isKeyEnd(read(end, gaps[i + 1]?.start ?? extent.to)))
}

/** Puts names where the gaps are. */
export function assemble(
  extent: Extent,
  gaps: readonly Gap[],
  { read, nameOf }: { readonly read: ReadText; readonly nameOf: (gap: Gap) => string },
): Source {
  const holes: Hole[] = []
  let text = knownHead(extent)
  let place = extent.from + text.length
  for (const gap of gaps) {
    text += read(place, gap.start)
    const name = holeText(nameOf(gap))
    holes.push({ at: text.length, length: name.length, ...gap })
    text += name
    place = gap.end
  }
  return { text: text + read(place, extent.to), start: extent.from, holes }
}
