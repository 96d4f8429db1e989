import type { FarPair } from './near.ts'
import type { Side } from './side.ts'
import type { Item } from './source.ts'
import { isSame } from './text.ts'

/** Larger ones are compared byte by byte. */
const VALUE_MAX_BYTES = 8 * 2 ** 20
const PIECE_BYTES = 2 ** 18

export type ScalarVerdict = 'same' | 'different' | 'unknown'

/** Compares two scalars of which at least one is not at hand. `unknown`: the texts differ, and are too large to compare what they say. */
export async function areSameScalars(from: Side, to: Side, pair: FarPair): Promise<ScalarVerdict> {
  const [old, made] = [pair.from.item, pair.to.item]
  if (await isSameText(from, to, [old, made])) return 'same'
  if (Math.max(sizeOf(old), sizeOf(made)) > VALUE_MAX_BYTES) return 'unknown'
  const [before, after] = await Promise.all([textOf(from, old), textOf(to, made)])
  return isSame(before, after) ? 'same' : 'different'
}

async function isSameText(from: Side, to: Side, [old, made]: readonly [Item, Item]): Promise<boolean> {
  const sizeBytes = sizeOf(old)
  if (sizeBytes !== sizeOf(made)) return false
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    const end = Math.min(at + PIECE_BYTES, sizeBytes)
    const [left, right] = await Promise.all([
      from.document.read(old.start + at, old.start + end),
      to.document.read(made.start + at, made.start + end),
    ])
    if (!left.equals(right)) return false
  }
  return true
}

async function textOf({ document }: Side, item: Item): Promise<string> {
  return item.hole ? (await document.read(item.start, item.end)).toString('latin1') : item.text
}

function sizeOf({ start, end }: Item): number {
  return end - start
}
