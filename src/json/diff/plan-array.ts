import { align, longestRising } from './align.ts'
import { pairById } from './identity.ts'
import type { Crossing, Plan, Step } from './plan.ts'
import { type Item, kindOfItem } from './source.ts'
import { canonical } from './text.ts'

/** Neighbouring children of two arrays that stand between others which are the same. */
export interface Stretch {
  readonly from: readonly Item[]
  readonly to: readonly Item[]
  /** How many children of the new array stand before it. */
  readonly place: number
}

/**
 * Aligns the children of two arrays: by their value; then, over all stretches, what is the same elsewhere, and what has the same id;
 * and what is left between two others by its order.
 */
export function planArray(stretches: readonly Stretch[], crossing: Crossing): Plan {
  const narrowed = stretches.map(narrow)
  const rest = narrowed.flatMap((one) => one.rest)
  const moved = pairMoved(rest)
  const isFree = (item: Item) => !moved.partners.has(item) && !moved.gone.has(item)
  const paired = pairById(
    rest.flatMap(({ from }) => from.filter(isFree)),
    rest.flatMap(({ to }) => to.filter(isFree)),
  )
  const elsewhere: Elsewhere = { moved: moved.partners, paired, gone: new Set([...moved.gone, ...paired.values()]) }
  return {
    steps: rest.flatMap((stretch) => stepsOf(stretch, elsewhere, crossing)),
    isExact: narrowed.every(({ isExact }) => isExact),
  }
}

interface Narrowed {
  readonly rest: readonly Stretch[]
  readonly isExact: boolean
}

/** By their texts, and where these leave something on both sides, by their values: then equal texts alone might lead astray. */
function narrow(stretch: Stretch): Narrowed {
  const byText = cutBy(stretch, ({ text }) => text)
  const isOneSided = byText.rest.every(({ from, to }) => from.length === 0 || to.length === 0)
  return isOneSided ? byText : cutBy(stretch, ({ text }) => canonical(text))
}

/** Cuts a stretch where children are called the same; what lies between is left. */
function cutBy({ from, to, place }: Stretch, nameOf: (item: Item) => string): Narrowed {
  const rest: Stretch[] = []
  const { places, isExact } = align(from.map(nameOf), to.map(nameOf))
  let [i, j] = [0, 0]
  const cut = (fromEnd: number, toEnd: number) => {
    if (fromEnd > i || toEnd > j) rest.push({ from: from.slice(i, fromEnd), to: to.slice(j, toEnd), place: place + j })
    i = fromEnd + 1
    j = toEnd + 1
  }
  for (const [index, at] of places.entries()) if (at !== -1) cut(index, at)
  cut(from.length, to.length)
  return { rest, isExact }
}

interface Moved {
  /** By the new one. */
  readonly partners: ReadonlyMap<Item, Item>
  readonly gone: ReadonlySet<Item>
}

/** Equal values that are left over on both sides, in their order. */
function pairMoved(stretches: readonly Stretch[]): Moved {
  const partners = new Map<Item, Item>()
  const gone = new Set<Item>()
  const isOneSided = (side: 'from' | 'to') => stretches.every((stretch) => stretch[side].length === 0)
  if (isOneSided('from') || isOneSided('to')) return { partners, gone }
  const waiting = new Map<string, Item[]>()
  for (const item of stretches.flatMap(({ from }) => from).toReversed()) {
    const name = canonical(item.text)
    const same = waiting.get(name)
    if (same) same.push(item)
    else waiting.set(name, [item])
  }
  for (const item of stretches.flatMap(({ to }) => to)) {
    const old = waiting.get(canonical(item.text))?.pop()
    if (!old) continue
    partners.set(item, old)
    gone.add(old)
  }
  return { partners, gone }
}

interface Elsewhere {
  readonly moved: ReadonlyMap<Item, Item>
  readonly paired: ReadonlyMap<Item, Item>
  /** The old ones of both. */
  readonly gone: ReadonlySet<Item>
}

function stepsOf({ from, to, place }: Stretch, elsewhere: Elsewhere, crossing: Crossing): Step[] {
  const inPlace = pairsInPlace(from, to, elsewhere)
  const steps: Step[] = []
  let [i, j] = [0, 0]
  for (const [oldAt, newAt] of [...inPlace, [from.length, to.length] as const]) {
    for (; i < oldAt; i++) {
      const old = from[i] as Item
      if (crossing === 'apart' || !elsewhere.gone.has(old)) steps.push({ kind: 'removed', from: old, place: place + j })
    }
    for (; j < newAt; j++) steps.push(stepTo(to[j] as Item, elsewhere, crossing))
    const [old, item] = [from[i++], to[j++]]
    if (old && item) steps.push({ kind: 'pair', from: old, to: item })
  }
  return steps
}

function stepTo(to: Item, { moved, paired }: Elsewhere, crossing: Crossing): Step {
  const same = crossing === 'moved' ? moved.get(to) : undefined
  if (same) return { kind: 'moved', from: same, to }
  const changed = crossing === 'moved' ? paired.get(to) : undefined
  return changed ? { kind: 'pair', from: changed, to } : { kind: 'added', to }
}

type Places = readonly [from: number, to: number]

/** Pairs that are in the same order on both sides: by id, and between these what is left, by its order. */
function pairsInPlace(from: readonly Item[], to: readonly Item[], elsewhere: Elsewhere): Places[] {
  const places = new Map(from.map((item, i) => [item, i]))
  const byId = to.flatMap((item, j) => {
    const i = places.get(elsewhere.paired.get(item) as Item)
    return i === undefined ? [] : [[i, j] as const]
  })
  const rising = longestRising(byId.toSorted(([one], [two]) => one - two))
  const pairs: Places[] = []
  let [i, j] = [0, 0]
  for (const [oldAt, newAt] of [...rising, [from.length, to.length] as const]) {
    for (const pair of pairByOrder({ from, to, elsewhere }, [i, oldAt], [j, newAt])) pairs.push(pair)
    if (oldAt < from.length) pairs.push([oldAt, newAt])
    i = oldAt + 1
    j = newAt + 1
  }
  return pairs
}

interface Sides {
  readonly from: readonly Item[]
  readonly to: readonly Item[]
  readonly elsewhere: Elsewhere
}

/** Where as many are left on both sides, one by one; otherwise only containers of the same kind are taken for each other. */
function pairByOrder({ from, to, elsewhere }: Sides, [i, fromEnd]: Places, [j, toEnd]: Places): Places[] {
  const { moved, paired, gone } = elsewhere
  const left: number[] = []
  const right: number[] = []
  for (let at = i; at < fromEnd; at++) if (!gone.has(from[at] as Item)) left.push(at)
  for (let at = j; at < toEnd; at++) if (!moved.has(to[at] as Item) && !paired.has(to[at] as Item)) right.push(at)
  if (left.length === right.length) return left.map((at, n) => [at, right[n] ?? 0])
  return pairContainers(
    left.map((at) => [kindOfItem(from[at] as Item), at]),
    right.map((at) => [kindOfItem(to[at] as Item), at]),
  )
}

type Kinds = readonly (readonly [kind: string, at: number])[]

function pairContainers(left: Kinds, right: Kinds): Places[] {
  const pairs: Places[] = []
  let next = 0
  const last = new Map(right.map(([kind], n) => [kind, n]))
  for (const [kind, at] of left) {
    if ((kind !== '{' && kind !== '[') || (last.get(kind) ?? -1) < next) continue
    while (right[next]?.[0] !== kind) next++
    pairs.push([at, right[next++]?.[1] ?? 0])
  }
  return pairs
}
