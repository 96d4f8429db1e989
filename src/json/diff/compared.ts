import type { Place } from '../parts/place.ts'
import type { Crossing } from './plan.ts'
import { createSide, type DiffDocument, type Side } from './side.ts'
import { createWalk, type Trail, type Walk } from './walk.ts'
import type { WindowLimits } from './window.ts'

/** A document, and the value in it that is compared. */
export interface DiffInput {
  readonly document: DiffDocument
  readonly place: Place
}

export interface DiffOptions {
  readonly from: DiffInput
  readonly to: DiffInput
  /** How much is compared at once; for tests. */
  readonly limits?: WindowLimits | undefined
}

/** Two documents, and what is compared of them. */
export interface Compared {
  readonly from: Side
  readonly to: Side
  readonly fromRoot: Place
  readonly toRoot: Place
  walk(options: CompareOptions): Promise<{ readonly walk: Walk; readonly events: ReturnType<Walk['events']> }>
}

export interface CompareOptions {
  readonly crossing: Crossing
  readonly after?: Trail | null | undefined
  /** Anything may be read when it is left out. */
  readonly canAfford?: (bytes: number) => boolean
}

export function createCompared({ from, to, limits }: DiffOptions): Compared {
  const sides = { from: createSide(from.document, 'from '), to: createSide(to.document, 'to ') }
  return {
    ...sides,
    fromRoot: from.place,
    toRoot: to.place,
    async walk({ canAfford = () => true, ...options }) {
      const walk = createWalk({ ...sides, ...options, limits, canAfford })
      const [old, made] = await Promise.all([sides.from.itemAt(from.place), sides.to.itemAt(to.place)])
      return { walk, events: walk.events({ item: old, path: null }, { item: made, path: null }) }
    },
  }
}
