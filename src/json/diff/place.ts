import type { JsonType, Place } from '../parts/place.ts'
import type { Located } from './near.ts'
import { keyOf, pointerOf } from './path.ts'
import type { Side } from './side.ts'
import { childrenOf, type Item } from './source.ts'
import { type Kind, kindOf } from './text.ts'

const TYPES: Readonly<Record<Kind, JsonType>> = {
  '{': 'OBJECT',
  '[': 'ARRAY',
  '"': 'STRING',
  '0': 'NUMBER',
  t: 'BOOLEAN',
  n: 'NULL',
}

/** Where a value stands in its document. @param root the place of what is compared. */
export async function placeOf({ item, path }: Located, side: Side, root: Place): Promise<Place> {
  if (!path) return root
  const { start, end, hole } = item
  const { step } = path
  return {
    pointer: pointerOf(path, root.pointer),
    key: typeof step === 'string' ? keyOf(step) : null,
    index: typeof step === 'number' ? step : null,
    type: hole?.node ? hole.node.type : TYPES[await kindAt(item, side)],
    start,
    end,
    sizeBytes: end - start,
    childCount: childCountOf(item),
  }
}

async function kindAt({ text, hole, start }: Item, { document }: Side): Promise<Kind> {
  return kindOf(hole ? (await document.read(start, start + 1)).toString('latin1') : text)
}

function childCountOf(item: Item): number | null {
  if (item.hole) return item.hole.node?.childCount ?? null
  return item.text.startsWith('{') || item.text.startsWith('[') ? childrenOf(item).length : null
}
