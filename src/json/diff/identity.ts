import { childrenOf, type Item, kindOfItem } from './source.ts'

/** Members that tell one object from others, the surest first; any other whose name ends with `_id` comes behind them. */
const NAMES = ['"id"', '"uuid"', '"key"', '"name"']
const ANY_ID = /_id"$/

/** A longer one is no name of anything. */
const TEXT_MAX = 256

/**
 * Pairs objects that have the same id, where it is the only one on either side.
 * @returns the old one for each new one that has a partner.
 */
export function pairById(from: readonly Item[], to: readonly Item[]): Map<Item, Item> {
  const pairs = new Map<Item, Item>()
  if (from.length === 0 || to.length === 0) return pairs
  const [left, right] = [idsOf(from), idsOf(to)]
  const taken = new Set<Item>()
  const names = new Set([...left.keys()].filter((name) => right.has(name)))
  for (const name of [...NAMES.filter((known) => names.has(known)), ...[...names].filter(isOther)]) {
    for (const [id, item] of right.get(name) ?? []) {
      const old = left.get(name)?.get(id)
      if (!old || !item || pairs.has(item) || taken.has(old)) continue
      pairs.set(item, old)
      taken.add(old)
    }
  }
  return pairs
}

const isOther = (name: string) => !NAMES.includes(name)

/** By the name of the member, then by its text: the object that has it; null where several have. */
function idsOf(items: readonly Item[]): Map<string, Map<string, Item | null>> {
  const ids = new Map<string, Map<string, Item | null>>()
  for (const item of items) {
    if (item.hole || kindOfItem(item) !== '{') continue
    for (const { key, text } of childrenOf(item)) {
      if (key === null || !(NAMES.includes(key) || ANY_ID.test(key)) || !isName(text)) continue
      const known = ids.get(key) ?? new Map<string, Item | null>()
      ids.set(key, known)
      known.set(text, known.has(text) ? null : item)
    }
  }
  return ids
}

function isName(text: string): boolean {
  return text.length <= TEXT_MAX && /^["\d-]/.test(text)
}
