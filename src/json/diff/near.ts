import type { Path } from './path.ts'
import { type Crossing, type Plan, planObject, type Step } from './plan.ts'
import { planArray } from './plan-array.ts'
import { childrenOf, type Item, kindOfItem } from './source.ts'
import { isSame } from './text.ts'

/** A value, and the way to it. */
export interface Located {
  readonly item: Item
  readonly path: Path
}

/** One difference. */
export interface Difference {
  readonly op: 'ADDED' | 'REMOVED' | 'CHANGED' | 'MOVED'
  readonly from: Located | null
  readonly to: Located | null
  /** Where it happens, for whoever makes the new document of the old one by following the differences in their order. */
  readonly place: Path
}

/** Two values that may differ, of which at least one is not at hand. */
export interface FarPair {
  readonly op: 'FAR'
  readonly from: Located
  readonly to: Located
}

/** Told on the way, where it is not certain that no fewer differences would do. */
export const INEXACT = { op: 'INEXACT' } as const

export type Found = Difference | FarPair | typeof INEXACT

/** What differs between two values, in the order of the new one. */
export function* compare(from: Located, to: Located, crossing: Crossing): Generator<Found> {
  if (from.item.text === to.item.text) return
  const kind = kindOfItem(from.item)
  const other = kindOfItem(to.item)
  const mayBeSame = kind === other || [kind, other].every((one) => one === 'far' || one === '"' || one === '0')
  if (mayBeSame && (from.item.hole || to.item.hole)) yield { op: 'FAR', from, to }
  else if (kind === other && (kind === '{' || kind === '['))
    yield* follow(planOf(from.item, to.item, crossing), { from: from.path, to: to.path }, crossing)
  else if (!mayBeSame || !isSame(from.item.text, to.item.text)) yield { op: 'CHANGED', from, to, place: to.path }
}

function planOf(from: Item, to: Item, crossing: Crossing): Plan {
  const [before, after] = [childrenOf(from), childrenOf(to)]
  return kindOfItem(to) === '{'
    ? planObject(before, after)
    : planArray([{ from: before, to: after, place: 0 }], crossing)
}

/** The ways to two containers. */
export interface Paths {
  readonly from: Path
  readonly to: Path
}

export function* follow({ steps, isExact }: Plan, paths: Paths, crossing: Crossing): Generator<Found> {
  if (!isExact) yield INEXACT
  for (const step of steps) yield* foundBy(step, paths, crossing)
}

function* foundBy(step: Step, paths: Paths, crossing: Crossing): Generator<Found> {
  const from = step.kind === 'added' ? null : located(step.from, paths.from)
  const to = step.kind === 'removed' ? null : located(step.to, paths.to)
  if (from && to && step.kind === 'pair') return yield* compare(from, to, crossing)
  if (step.kind === 'removed') {
    const place = { parent: paths.to, step: step.place ?? step.from.key ?? 0 }
    yield { op: 'REMOVED', from, to: null, place }
  } else yield { op: from ? 'MOVED' : 'ADDED', from, to, place: to?.path ?? null }
}

function located(item: Item, parent: Path): Located {
  return { item, path: { parent, step: item.key ?? item.ordinal, item } }
}
