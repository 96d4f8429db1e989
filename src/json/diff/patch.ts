import type { Difference } from './near.ts'
import { pointerOf } from './path.ts'
import type { Side } from './side.ts'
import type { Item } from './source.ts'

const PIECE_BYTES = 2 ** 18

/**
 * One operation of RFC 6902, as pieces of its text. Applied in their order, those of a walk whose crossings are told apart make the
 * new document of the old one.
 * @param root pointer of what is compared.
 */
export async function* operationOf({ op, to, place }: Difference, root: string, side: Side): AsyncGenerator<Buffer> {
  const path = JSON.stringify(pointerOf(place, root))
  if (!to) {
    yield Buffer.from(`{"op":"remove","path":${path}}`)
    return
  }
  yield Buffer.from(`{"op":"${op === 'CHANGED' ? 'replace' : 'add'}","path":${path},"value":`)
  yield* bytesOf(to.item, side)
  yield Buffer.from('}')
}

/** The bytes of a value as they stand in its document. */
export async function* bytesOf(item: Item, { document }: Side): AsyncGenerator<Buffer> {
  const { start, end, text } = item
  // A text without holes is as long as what it is of.
  if (text.length === end - start && !item.hole) {
    yield Buffer.from(text, 'latin1')
    return
  }
  for (let at = start; at < end; at += PIECE_BYTES) yield await document.read(at, Math.min(at + PIECE_BYTES, end))
}
