import type { ByteRange, CheckedBytes } from './checked-bytes.ts'
import type { IndexEntry } from './json-index.ts'
import { createTextWalker, type Hole, type TextWalker } from './json-text.ts'

/** An entry, or what is like one. */
export type EntryRange = Pick<IndexEntry, 'from' | 'to' | 'node'>

/** The text of entries, without their nodes and without what the index knows of long strings. */
export interface EntryTexts {
  /** In the same order; read together. @throws AppError `OBJECT_CORRUPT` */
  load(entries: readonly EntryRange[]): Promise<readonly TextWalker[]>
  /** How many bytes must be read for it: whole runs. */
  sizeOf(entry: EntryRange): number
}

const KEPT_TEXTS = 4

interface Plan {
  readonly holes: readonly Hole[]
  readonly ranges: readonly ByteRange[]
}

export function createEntryTexts(checked: CheckedBytes, scalars: Float64Array): EntryTexts {
  /** Those walked last: who goes down in one asks it at each level. */
  const walked = new Map<EntryRange, TextWalker>()

  /** The first scalar that ends behind an offset. */
  function scalarBehind(offset: number): number {
    let [low, high] = [0, scalars.length / 2]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((scalars[2 * middle + 1] ?? 0) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  function scalarsIn(from: number, to: number): Hole[] {
    const found: Hole[] = []
    for (let at = scalarBehind(from); at < scalars.length / 2; at++) {
      const start = scalars[2 * at] ?? 0
      if (start >= to) break
      found.push({ start, end: scalars[2 * at + 1] ?? 0, node: null })
    }
    return found
  }

  function plan({ from, to, node }: EntryRange): Plan {
    const holes = node
      ? [...scalarsIn(from, node.start), { start: node.start, end: node.end, node }, ...scalarsIn(node.end, to)]
      : scalarsIn(from, to)
    const ranges: ByteRange[] = []
    let at = from
    for (const hole of holes) {
      ranges.push({ start: at, end: hole.start + 1 })
      at = hole.end
    }
    if (at < to) ranges.push({ start: at, end: to })
    return { holes, ranges }
  }

  function readFor({ start, end }: ByteRange): number {
    return checked.rangeOf(checked.runAt(end - 1)).end - checked.rangeOf(checked.runAt(start)).start
  }

  async function read(entries: readonly EntryRange[]): Promise<readonly TextWalker[]> {
    const plans = entries.map(plan)
    const bytes = await checked.take(plans.flatMap(({ ranges }) => ranges))
    let next = 0
    return plans.map(({ holes, ranges }, index) => {
      const segments = ranges.map(({ start }) => ({ start, bytes: bytes[next++] ?? Buffer.alloc(0) }))
      const { from, to } = entries[index] ?? { from: 0, to: 0 }
      return createTextWalker({ from, to, segments, holes })
    })
  }

  return {
    async load(entries) {
      const missing = entries.filter((entry) => !walked.has(entry))
      const made = await read(missing)
      const found = new Map(missing.map((entry, index) => [entry, made[index]]))
      const texts = entries.map((entry) => found.get(entry) ?? walked.get(entry)).filter((text) => text !== undefined)
      for (const [entry, text] of found) if (text) walked.set(entry, text)
      for (const entry of [...walked.keys()].slice(0, -KEPT_TEXTS)) walked.delete(entry)
      return texts
    },
    sizeOf: (entry) => plan(entry).ranges.reduce((size, range) => size + readFor(range), 0),
  }
}
