import type { Item } from './source.ts'

/** One step of the way from the children of one container to those of another. */
export type Step =
  | { readonly kind: 'added'; readonly to: Item }
  /** `place`: how many of the new children stand before it; null in an object. */
  | { readonly kind: 'removed'; readonly from: Item; readonly place: number | null }
  /** The same value elsewhere. */
  | { readonly kind: 'moved'; readonly from: Item; readonly to: Item }
  /** One that may have changed. */
  | { readonly kind: 'pair'; readonly from: Item; readonly to: Item }

export interface Plan {
  /** In the order of the new container; what is gone stands at its old place. Equal texts have no step. */
  readonly steps: readonly Step[]
  /** False where more of the children may be the same than was found out. */
  readonly isExact: boolean
}

/**
 * What is told of children that have another place among their siblings: that they moved, or, for whoever follows the steps one by
 * one, that they are gone from the one place and new at the other.
 */
export type Crossing = 'moved' | 'apart'

/** Members pair by their keys; of equal keys the last counts. */
export function planObject(from: readonly Item[], to: readonly Item[]): Plan {
  const steps = planMembers(from, to).flatMap(([old, item]): Step[] => {
    if (!item) return old ? [{ kind: 'removed', from: old, place: null }] : []
    if (!old) return [{ kind: 'added', to: item }]
    return old.text === item.text ? [] : [{ kind: 'pair', from: old, to: item }]
  })
  return { steps, isExact: true }
}

export type MemberPair = readonly [from: Item | null, to: Item | null]

/** All members of two objects, in the order of the new one; what is gone stands behind what it stood behind. */
export function planMembers(from: readonly Item[], to: readonly Item[]): MemberPair[] {
  const before = byKey(from)
  const after = byKey(to)
  const gone = goneBehind(from, { before, after })
  const pairs: MemberPair[] = [...(gone.get(null) ?? [])]
  for (const item of to) {
    if (after.get(item.key) !== item) continue
    const old = before.get(item.key) ?? null
    pairs.push([old, item])
    for (const pair of (old && gone.get(old.key)) ?? []) pairs.push(pair)
  }
  return pairs
}

/** Children of arrays pair by their place, as far as there are two. */
export function planInPlace(from: readonly Item[], to: readonly Item[]): Plan {
  const steps = to.flatMap((item, i): Step[] => {
    const old = from[i]
    return old && old.text !== item.text ? [{ kind: 'pair', from: old, to: item }] : []
  })
  return { steps, isExact: true }
}

type Members = ReadonlyMap<string | null, Item>

function byKey(items: readonly Item[]): Members {
  return new Map(items.map((item) => [item.key, item]))
}

/** What is gone, behind the last key before it that is still there. */
function goneBehind(from: readonly Item[], { before, after }: { readonly before: Members; readonly after: Members }) {
  const gone = new Map<string | null, MemberPair[]>()
  let last: string | null = null
  for (const item of from) {
    if (before.get(item.key) !== item) continue
    if (after.has(item.key)) last = item.key
    else {
      const here = gone.get(last) ?? []
      gone.set(last, here)
      here.push([item, null])
    }
  }
  return gone
}
