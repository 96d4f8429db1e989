import { type ContainersKind, CUTS } from './cut.ts'
import { type Crossing, type Plan, planInPlace, planObject } from './plan.ts'
import { planArray, type Stretch } from './plan-array.ts'
import type { Side } from './side.ts'
import type { Item } from './source.ts'
import { costOf, readUnits, type Unit, type UnitStretch } from './units.ts'

/** What is held of either object at once, and half as much of either array: at least one unit, and otherwise no more than this. */
export interface WindowLimits {
  readonly bytes: number
  readonly children: number
}

export const WINDOW_LIMITS: WindowLimits = { bytes: 4 * 2 ** 20, children: 2 ** 16 }

/**
 * Where in two containers a window begins: in which stretch, and in it how many units of either side, and how many children of the
 * next unit, are behind. An object that is too large for one window is gone through twice: `round` 0 tells what is gone, 1 all else.
 */
export interface Position {
  readonly stretch: number
  readonly fromUnit: number
  readonly fromChild: number
  readonly toUnit: number
  readonly toChild: number
  readonly round: number
}

export const BEGINNING: Position = { stretch: 0, fromUnit: 0, fromChild: 0, toUnit: 0, toChild: 0, round: 0 }

/** Two containers of one kind. */
export interface Containers {
  readonly kind: ContainersKind
  readonly from: Side
  readonly to: Side
  readonly stretches: readonly UnitStretch[]
  readonly limits: WindowLimits
}

/** A part of two containers that is compared at once. */
export interface Window {
  /** Bytes that reading it takes. */
  readonly cost: number
  read(crossing: Crossing): Promise<ReadWindow>
}

export interface ReadWindow {
  readonly plan: Plan
  /** Where the next one begins; null behind the last one. */
  readonly next: Position | null
}

/** Null behind the last one. */
export function windowAt(containers: Containers, position: Position): Window | null {
  const { stretches } = containers
  const stretch = stretches[position.stretch]
  if (!stretch) return null
  const isBeginning = position.fromUnit + position.fromChild + position.toUnit + position.toChild + position.round === 0
  const whole = isBeginning ? wholeStretches(stretches.slice(position.stretch), containers.limits) : 0
  return whole > 0
    ? windowOfStretches(containers, position.stretch, position.stretch + whole)
    : windowOfPart(containers, stretch, position)
}

/** How many stretches fit into one window. */
function wholeStretches(stretches: readonly UnitStretch[], limits: WindowLimits): number {
  const sums = { from: { cost: 0, count: 0 }, to: { cost: 0, count: 0 } }
  for (const [n, stretch] of stretches.entries()) {
    for (const side of ['from', 'to'] as const) {
      const sum = sums[side]
      for (const { cost, count } of stretch[side]) {
        sum.cost += cost
        sum.count += count
      }
      if (sum.cost > limits.bytes || sum.count > limits.children) return n
    }
  }
  return stretches.length
}

function windowOfStretches({ kind, from, to, stretches }: Containers, start: number, end: number): Window {
  const parts = stretches.slice(start, end)
  const [oldUnits, newUnits] = [parts.flatMap((part) => part.from), parts.flatMap((part) => part.to)]
  return {
    cost: costOf(oldUnits) + costOf(newUnits),
    async read(crossing) {
      const [before, after] = await Promise.all([readUnits(from, oldUnits), readUnits(to, newUnits)])
      const next = end < stretches.length ? { ...BEGINNING, stretch: end } : null
      if (kind === '{') return { plan: planObject(before.flat(), after.flat()), next }
      if (kind === '=') return { plan: planInPlace(before.flat(), after.flat()), next }
      const [takeOld, takeNew] = [taker(before), taker(after)]
      const items = parts.map((part) => ({
        from: takeOld(part.from.length),
        to: takeNew(part.to.length),
        place: part.place,
      }))
      return { plan: planArray(items, crossing), next }
    },
  }
}

/** Gives the children of so many units, from where it was left. */
function taker(units: readonly (readonly Item[])[]): (count: number) => Item[] {
  let at = 0
  return (count) => {
    at += count
    return units.slice(at - count, at).flat()
  }
}

function windowOfPart({ kind, from, to, limits }: Containers, stretch: UnitStretch, position: Position): Window {
  const oldUnits = fitting(stretch.from.slice(position.fromUnit), limits)
  const newUnits = fitting(stretch.to.slice(position.toUnit), limits)
  const isLast = {
    from: position.fromUnit + oldUnits.length === stretch.from.length,
    to: position.toUnit + newUnits.length === stretch.to.length,
  }
  return {
    cost: costOf(oldUnits) + costOf(newUnits),
    async read(crossing) {
      const [before, after] = await Promise.all([readUnits(from, oldUnits), readUnits(to, newUnits)])
      const [old, items] = [before.flat().slice(position.fromChild), after.flat().slice(position.toChild)]
      const cut = CUTS[kind](old, items, isLast)
      const parts = { from: old.slice(0, cut.from), to: items.slice(0, cut.to), place: placeOf(stretch, items) }
      const plan = planPart(kind, parts, { round: position.round, crossing })
      return {
        plan: { steps: plan.steps, isExact: plan.isExact && cut.isExact },
        next: nextOf(stretch, position, {
          isObject: kind === '{',
          from: advance(before, position.fromUnit, position.fromChild + cut.from),
          to: advance(after, position.toUnit, position.toChild + cut.to),
        }),
      }
    },
  }
}

function planPart(
  kind: ContainersKind,
  part: Stretch,
  { round, crossing }: { readonly round: number; readonly crossing: Crossing },
): Plan {
  if (kind === '{') return planRound(part, round)
  return kind === '=' ? planInPlace(part.from, part.to) : planArray([part], crossing)
}

/** At least one, if there is one. */
function fitting(units: readonly Unit[], limits: WindowLimits): readonly Unit[] {
  let [cost, count] = [0, 0]
  const end = units.findIndex((unit, n) => {
    cost += unit.cost
    count += unit.count
    return n > 0 && (cost > limits.bytes || count > limits.children)
  })
  return end === -1 ? units : units.slice(0, end)
}

function placeOf({ to, place }: UnitStretch, items: readonly Item[]): number {
  const last = to.at(-1)
  return items[0]?.ordinal ?? (last ? last.ordinal + last.count : place)
}

/** What one round over an object that is too large for one window tells. */
function planRound(parts: { readonly from: readonly Item[]; readonly to: readonly Item[] }, round: number): Plan {
  const { steps } = planObject(parts.from, parts.to)
  const isExact = steps.every(({ kind }) => kind === 'pair')
  return { steps: steps.filter(({ kind }) => (kind === 'removed') === (round === 0)), isExact }
}

interface Reached {
  readonly unit: number
  readonly child: number
}

function advance(units: readonly (readonly Item[])[], firstUnit: number, children: number): Reached {
  let [unit, child] = [0, children]
  while (unit < units.length && child >= (units[unit]?.length ?? 0)) child -= units[unit++]?.length ?? 0
  return { unit: firstUnit + unit, child }
}

interface Ends {
  readonly isObject: boolean
  readonly from: Reached
  readonly to: Reached
}

function nextOf(stretch: UnitStretch, { stretch: n, round }: Position, { isObject, from, to }: Ends): Position {
  const isDone = from.unit === stretch.from.length && to.unit === stretch.to.length
  if (!isDone)
    return { stretch: n, fromUnit: from.unit, fromChild: from.child, toUnit: to.unit, toChild: to.child, round }
  // A number that no stretch has, behind the last one.
  return isObject && round === 0 ? { ...BEGINNING, stretch: n, round: 1 } : { ...BEGINNING, stretch: n + 1 }
}
