import type { Compared } from './compared.ts'
import { keyOf, pointerOf } from './path.ts'
import { planMembers } from './plan.ts'
import type { Side } from './side.ts'
import type { Item } from './source.ts'
import { costOf, readUnits, unitsOf } from './units.ts'
import { createWalk } from './walk.ts'

export const SUMMARY_STATUSES = ['EQUAL', 'CHANGED', 'ADDED', 'REMOVED'] as const

/** What became of one member of an object. */
export interface DiffSummary {
  readonly key: string
  readonly pointer: string
  readonly status: (typeof SUMMARY_STATUSES)[number]
  /** Null where there is none. */
  readonly fromSizeBytes: number | null
  readonly toSizeBytes: number | null
}

/** An object with more members, or with more beside its large ones, is not summarized. */
export const MEMBERS_MAX = 200
const READ_MAX_BYTES = 2 ** 20
/** So much is read of what has another hash, to see whether it says the same; then it is taken for changed. */
const LOOK_BYTES = 2 ** 20

/** In the order of the new object; what is gone stands at its old place. */
export async function summarize(compared: Compared): Promise<readonly DiffSummary[] | null> {
  const { from, to, fromRoot, toRoot } = compared
  if (fromRoot.type !== 'OBJECT' || toRoot.type !== 'OBJECT') return null
  const before = await membersOf(from, await from.itemAt(fromRoot))
  const after = await membersOf(to, await to.itemAt(toRoot))
  if (!before || !after) return null
  let left = LOOK_BYTES
  const canAfford = (bytes: number) => {
    left -= bytes
    return left >= 0
  }
  const entries: DiffSummary[] = []
  for (const [old, item] of planMembers(before, after)) {
    const { key } = item ?? old ?? { key: null }
    const path = { parent: null, step: key ?? '' }
    const isChanged = old && item && old.text !== item.text
    entries.push({
      key: keyOf(key ?? ''),
      pointer: pointerOf(path, toRoot.pointer),
      status: !old
        ? 'ADDED'
        : !item
          ? 'REMOVED'
          : isChanged && (await differs(compared, [old, item], canAfford))
            ? 'CHANGED'
            : 'EQUAL',
      fromSizeBytes: old ? old.end - old.start : null,
      toSizeBytes: item ? item.end - item.start : null,
    })
  }
  return entries
}

async function membersOf(side: Side, item: Item): Promise<Item[] | null> {
  const units = unitsOf(side, item)
  const count = units.reduce((sum, unit) => sum + unit.count, 0)
  if (count > MEMBERS_MAX || costOf(units) > READ_MAX_BYTES) return null
  return (await readUnits(side, units)).flat()
}

async function differs(
  { from, to }: Compared,
  [old, made]: readonly [Item, Item],
  canAfford: (bytes: number) => boolean,
): Promise<boolean> {
  const walk = createWalk({ from, to, crossing: 'moved', canAfford })
  for await (const { op } of walk.events({ item: old, path: null }, { item: made, path: null })) {
    if (op !== 'INEXACT') return true
  }
  return false
}
