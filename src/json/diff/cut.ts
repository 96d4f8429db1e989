import { align } from './align.ts'
import type { Item } from './source.ts'
import { canonical } from './text.ts'

/** Two objects, or two arrays; `=`: two arrays, of which is asked only whether what stands at the same place is the same. */
export type ContainersKind = '{' | '[' | '='

/** How many children of either side are told of at once. */
interface Cut {
  readonly from: number
  readonly to: number
  readonly isExact: boolean
}

/** Whether a side has nothing behind what is at hand. */
interface Last {
  readonly from: boolean
  readonly to: boolean
}

type CutRule = (from: readonly Item[], to: readonly Item[], isLast: Last) => Cut

/** By the kind of the containers. */
export const CUTS: Readonly<Record<ContainersKind, CutRule>> = {
  '{': cutWhereEqual(({ key }) => key ?? ''),
  '[': cutWhereEqual(({ text }) => canonical(text)),
  '=': (from, to) => {
    const count = Math.min(from.length, to.length)
    return { from: count, to: count, isExact: true }
  },
}

/** How many children of either side can be told of, so that what follows begins where both sides agree. */
function cutWhereEqual(nameOf: (item: Item) => string): CutRule {
  return (from, to, isLast) => {
    if (isLast.from && isLast.to) return { from: from.length, to: to.length, isExact: true }
    const { places, isExact } = align(from.map(nameOf), to.map(nameOf))
    const i = places.findLastIndex((at) => at !== -1)
    const agreed = { from: i + 1, to: (places[i] ?? -1) + 1, isExact }
    // Of the side that reaches less far most is told of; the other is read again from there.
    if (agreed.from > 0 && (agreed.from * 2 >= from.length || agreed.to * 2 >= to.length)) return agreed
    // The rest of what is known whole may stand for something further on.
    if (isLast.from) return { from: agreed.from, to: to.length, isExact: isExact && agreed.from === from.length }
    if (isLast.to) return { from: from.length, to: agreed.to, isExact: isExact && agreed.to === to.length }
    return { from: from.length, to: to.length, isExact: false }
  }
}
