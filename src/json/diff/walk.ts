import { areSameScalars } from './far-scalar.ts'
import { compare, type Difference, type FarPair, type Found, follow, INEXACT, type Located } from './near.ts'
import type { Crossing } from './plan.ts'
import type { Side } from './side.ts'
import { kindOfItem } from './source.ts'
import { isShifted, stretchesInPlace, stretchesOf, unitsOf, unlike } from './units.ts'
import { BEGINNING, type Containers, type Position, WINDOW_LIMITS, type WindowLimits, windowAt } from './window.ts'

/** To find out that arrays are the same in other words, no more is read. */
const IN_PLACE_BYTES = 16 * 2 ** 20

/** How far a walk has come in one pair of containers. */
export interface Mark {
  readonly position: Position
  /** How many finds of the window there are behind it; above the last mark, the last of them is what the next mark is in. */
  readonly told: number
}

/** Where a walk can go on: a mark for each pair of containers that it is in, from the outermost on. */
export type Trail = readonly Mark[]

export interface WalkOptions {
  readonly from: Side
  readonly to: Side
  readonly crossing: Crossing
  /** Where to go on; from the beginning when left out. */
  readonly after?: Trail | null | undefined
  /** `WINDOW_LIMITS` when left out. */
  readonly limits?: WindowLimits | undefined
  /** Asked before so many bytes are read, but for what is read again to go on. */
  canAfford(bytes: number): boolean
}

/** The walk ended before everything was compared. */
export const STOPPED = { op: 'STOPPED' } as const

export type WalkEvent = Difference | typeof INEXACT | typeof STOPPED

export interface Walk {
  events(from: Located, to: Located): AsyncGenerator<WalkEvent>
  /** The same for two containers whose parts are known. */
  within(containers: Containers, pair: FarPair): AsyncGenerator<WalkEvent>
  /** Behind what was told last. */
  trail(): Trail
}

/** Compares two values: what is at hand at once, and the rest from window to window, each read once. */
export function createWalk({ from, to, crossing, after, canAfford, limits = WINDOW_LIMITS }: WalkOptions): Walk {
  let resumed: Trail = after ?? []
  let trail: readonly Mark[] = []

  /** Tells what is found in a window, but for what was told before. */
  async function* tell(found: Iterable<Found>, position: Position, level: number): AsyncGenerator<WalkEvent> {
    const before = resumed[level]
    const isInner = resumed.length > level + 1
    const skipped = (before?.told ?? 0) - (isInner ? 1 : 0)
    if (!isInner) resumed = []
    let told = 0
    for (const event of found) {
      if (told++ < skipped) {
        // True of every page of this window.
        if (event.op === 'INEXACT') yield event
        continue
      }
      trail = [...trail.slice(0, level), { position, told }]
      if (event.op === 'FAR') yield* compareFar(event, level + 1)
      else yield event
      if (isStopped()) return
      resumed = []
    }
  }

  let hasStopped = false
  const isStopped = () => hasStopped

  async function* compareFar(pair: FarPair, level: number): AsyncGenerator<WalkEvent> {
    const kind = kindOfItem(pair.from.item)
    if (kind === '{' || kind === '[') {
      const isResumed = resumed.length > level
      if (kind === '[' && !isResumed && (await areSameInPlace(pair))) return
      yield* compareContainers(containersOf(kind, pair), pair, level)
      return
    }
    const verdict = await areSameScalars(from, to, pair)
    if (verdict === 'unknown') yield INEXACT
    if (verdict !== 'same') yield { op: 'CHANGED', from: pair.from, to: pair.to, place: pair.to.path }
  }

  /** Hashes tell what is equal and not that nothing else is, so arrays in other words might look as if something in them had moved. */
  async function areSameInPlace(pair: FarPair): Promise<boolean> {
    const [old, made] = [unitsOf(from, pair.from.item), unitsOf(to, pair.to.item)]
    if (!isShifted(old, made)) return false
    const stretches = stretchesInPlace(old, made)
    let left = IN_PLACE_BYTES
    const canAffordHere = (bytes: number) => {
      left -= bytes
      return left >= 0
    }
    const walk = createWalk({ from, to, crossing, limits, canAfford: canAffordHere })
    for await (const event of walk.within({ kind: '=', from, to, stretches, limits }, pair))
      if (event.op !== 'INEXACT') return false
    return true
  }

  function containersOf(kind: '{' | '[', pair: FarPair): Containers {
    const [old, made] = [unitsOf(from, pair.from.item), unitsOf(to, pair.to.item)]
    // Aligning takes longer than looking for keys.
    const held = kind === '{' ? limits : { bytes: limits.bytes / 2, children: limits.children / 2 }
    return { kind, from, to, limits: held, stretches: kind === '{' ? [unlike(old, made)] : stretchesOf(old, made) }
  }

  async function* compareContainers(containers: Containers, pair: FarPair, level: number): AsyncGenerator<WalkEvent> {
    let position: Position | null = resumed[level]?.position ?? BEGINNING
    const paths = { from: pair.from.path, to: pair.to.path }
    for (let window = windowAt(containers, position); window; window = position && windowAt(containers, position)) {
      trail = [...trail.slice(0, level), { position: position ?? BEGINNING, told: 0 }]
      if (resumed.length <= level && !canAfford(window.cost)) {
        hasStopped = true
        yield STOPPED
        return
      }
      const { plan, next } = await window.read(crossing)
      yield* tell(follow(plan, paths, crossing), position ?? BEGINNING, level)
      if (isStopped()) return
      position = next
    }
  }

  return {
    within: (containers, pair) => compareContainers(containers, pair, 0),
    events: (old, made) => tell(compare(old, made, crossing), BEGINNING, 0),
    trail: () => trail,
  }
}
