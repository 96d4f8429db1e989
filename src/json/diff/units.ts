import { align } from './align.ts'
import type { Extent } from './extent.ts'
import type { Side } from './side.ts'
import { childrenOf, type Item, itemsOf } from './source.ts'

/** Neighbouring children of a container that are read together. */
export interface Unit {
  /** Equal names are of equal bytes; null where only their text tells. */
  readonly name: string | null
  /** Of the first of them among its siblings. */
  readonly ordinal: number
  readonly count: number
  /** Bytes that reading them takes. */
  readonly cost: number
  /** Where they are to be read; null where they are at hand. */
  readonly extent: Extent | null
  readonly items: readonly Item[] | null
}

/** The children of a container, which is a node of the index or at hand. */
export function unitsOf(side: Side, item: Item): readonly Unit[] {
  const node = item.hole?.node
  if (!node) {
    const items = childrenOf(item)
    return [{ name: null, ordinal: 0, count: items.length, cost: 0, extent: null, items }]
  }
  return node.entries.map((entry) => {
    const { ordinal, count } = entry
    return { name: side.nameOf(entry), ordinal, count, cost: side.costOf(entry), extent: entry, items: null }
  })
}

/** The children of units, in the order asked. */
export async function readUnits(side: Side, units: readonly Unit[]): Promise<(readonly Item[])[]> {
  const sources = await side.load(units.flatMap(({ extent }) => extent ?? []))
  let next = 0
  return units.map(({ extent, items, ordinal }) => {
    const source = extent ? sources[next++] : undefined
    return source ? itemsOf(source, { from: 0, to: source.text.length, ordinal }) : (items ?? [])
  })
}

/** Neighbouring units of two containers between others that are the same. */
export interface UnitStretch {
  readonly from: readonly Unit[]
  readonly to: readonly Unit[]
  /** How many of the new children stand before it. */
  readonly place: number
}

/** What of two arrays is not the same, in order. */
export function stretchesOf(from: readonly Unit[], to: readonly Unit[]): UnitStretch[] {
  return between(from, to, placesOf(from, to))
}

/** The same where only what stands at the same place is taken for the same. */
export function stretchesInPlace(from: readonly Unit[], to: readonly Unit[]): UnitStretch[] {
  const known = new Map(to.map(({ name, ordinal }, j) => [`${ordinal} ${name}`, j]))
  const places = from.map(({ name, ordinal }) => (name === null ? -1 : (known.get(`${ordinal} ${name}`) ?? -1)))
  return between(from, to, Int32Array.from(places))
}

/** Whether two arrays may be the same in other words, although something in them is the same that stands at different places. */
export function isShifted(from: readonly Unit[], to: readonly Unit[]): boolean {
  if (countOf(from) !== countOf(to)) return false
  return placesOf(from, to).some((j, i) => j !== -1 && from[i]?.ordinal !== to[j]?.ordinal)
}

function placesOf(from: readonly Unit[], to: readonly Unit[]): Int32Array {
  return align(from.map(nameOf('from')), to.map(nameOf('to'))).places
}

const nameOf =
  (side: string) =>
  ({ name }: Unit, n: number): string =>
    name ?? `${side} ${n}`

function countOf(units: readonly Unit[]): number {
  const last = units.at(-1)
  return last ? last.ordinal + last.count : 0
}

/** @param places for each old unit the new one that is the same; -1 where there is none. */
function between(from: readonly Unit[], to: readonly Unit[], places: Int32Array): UnitStretch[] {
  const stretches: UnitStretch[] = []
  let [i, j] = [0, 0]
  const cut = (fromEnd: number, toEnd: number) => {
    if (fromEnd > i || toEnd > j) {
      stretches.push({
        from: from.slice(i, fromEnd),
        to: to.slice(j, toEnd),
        place: to[j - 1] ? countOf(to.slice(j - 1, j)) : 0,
      })
    }
    i = fromEnd + 1
    j = toEnd + 1
  }
  for (const [index, at] of places.entries()) if (at !== -1) cut(index, at)
  cut(from.length, to.length)
  return stretches
}

/** An object with no more than this beside its large members is read whole: then it is known which of equal keys counts. */
const WHOLE_BYTES = 2 ** 17

/** What of two objects is not the same: order says nothing there. */
export function unlike(from: readonly Unit[], to: readonly Unit[]): UnitStretch {
  if (costOf(from) <= WHOLE_BYTES && costOf(to) <= WHOLE_BYTES) return { from, to, place: 0 }
  const names = new Map<string, number>()
  for (const { name } of from) if (name !== null) names.set(name, (names.get(name) ?? 0) + 1)
  const same = new Map<string, number>()
  const changed = to.filter(({ name }) => {
    const left = name === null ? 0 : (names.get(name) ?? 0)
    if (name === null || left === 0) return true
    names.set(name, left - 1)
    same.set(name, (same.get(name) ?? 0) + 1)
    return false
  })
  const gone = from.filter(({ name }) => {
    const left = name === null ? 0 : (same.get(name) ?? 0)
    if (name === null || left === 0) return true
    same.set(name, left - 1)
    return false
  })
  return { from: gone, to: changed, place: 0 }
}

export function costOf(units: readonly Unit[]): number {
  return units.reduce((sum, { cost }) => sum + cost, 0)
}
