import { AppError } from '../../errors.ts'
import { insideOf, lastBefore, startOf } from './descent.ts'
import type { IndexEntry, IndexNode } from './json-index.ts'
import type { TextWalker } from './json-text.ts'
import type { ChildrenOptions } from './place.ts'
import type { Spot, Spots } from './spots.ts'

/** A page ends with the entry that takes it past that; entries are smaller than half of it. */
const PAGE_BYTES = 512 * 1024

export interface SpotPage {
  readonly spots: readonly Spot[]
  readonly hasNext: boolean
}

/** The children of a spot, from any on. @throws AppError `BAD_REQUEST` for a cursor of something else. */
export async function readChildPage(spots: Spots, parent: Spot, options: ChildrenOptions): Promise<SpotPage> {
  const count = parent.childCount ?? 0
  const first = firstOrdinal(parent, options)
  const wanted = Math.min(Math.max(0, options.first), count - first)
  if (wanted <= 0) return { spots: [], hasNext: first < count }
  const children = parent.node
    ? await fromNode(spots, parent, parent.node, { first, wanted })
    : await fromText(spots, parent, { text: parent.text, first, wanted })
  return { spots: children, hasNext: first + children.length < count }
}

function firstOrdinal(parent: Spot, { after, skip = 0 }: ChildrenOptions): number {
  if (skip < 0) throw new AppError('BAD_REQUEST', 'skip may not be negative')
  if (!after) return skip
  const { container, ordinal } = after
  if (container !== parent.start || !Number.isInteger(ordinal) || ordinal < 0 || ordinal >= (parent.childCount ?? 0)) {
    throw new AppError('BAD_REQUEST', 'The cursor is of another place')
  }
  return ordinal + 1 + skip
}

interface Page {
  readonly first: number
  readonly wanted: number
}

async function fromText(
  spots: Spots,
  parent: Spot,
  page: Page & { readonly text: TextWalker | null },
): Promise<Spot[]> {
  const found: Spot[] = []
  if (!page.text) return found
  for (const value of page.text.children(insideOf(parent))) {
    if (value.ordinal < page.first) continue
    const spot = spots.inText(parent, page.text, value)
    found.push(spot instanceof Promise ? await spot : spot)
    if (found.length === page.wanted) break
  }
  return found
}

/** Entries that hold the page, as far as they may be read for one. */
function entriesOf(spots: Spots, parent: Spot, { entries }: IndexNode, { first, wanted }: Page): IndexEntry[] {
  const taken: IndexEntry[] = []
  const begin = lastBefore(entries, ({ ordinal }) => ordinal <= first)
  let bytes = 0
  for (let at = entries.indexOf(begin); at < entries.length && bytes < PAGE_BYTES; at++) {
    const entry = entries[at]
    if (!entry || entry.ordinal >= first + wanted) break
    taken.push(entry)
    if (!spots.known(parent, entry)) bytes += spots.texts.sizeOf(entry)
  }
  return taken
}

async function fromNode(spots: Spots, parent: Spot, node: IndexNode, page: Page): Promise<Spot[]> {
  const entries = entriesOf(spots, parent, node, page)
  const unknown = entries.filter((entry) => !spots.known(parent, entry))
  const loaded = await spots.texts.load(unknown)
  const texts = new Map(unknown.map((entry, index) => [entry, loaded[index]]))
  const found: Spot[] = []
  for (const entry of entries) {
    const text = texts.get(entry)
    const known = text ? null : spots.known(parent, entry)
    if (known) found.push(known)
    for (const value of text?.children(startOf(parent, entry)) ?? []) {
      if (found.length === page.wanted) return found
      if (!text || value.ordinal < page.first) continue
      const spot = spots.inText(parent, text, value)
      found.push(spot instanceof Promise ? await spot : spot)
    }
  }
  return found
}
