import type { Difference } from './near.ts'
import { pointerOf } from './path.ts'
import type { DiffDocument, Side, ValueRange } from './side.ts'
import type { Item } from './source.ts'

const PIECE_BYTES = 2 ** 18

/**
 * One operation of RFC 6902, as pieces of its text. Applied in their order, those of a walk whose crossings are told apart make the
 * new document of the old one.
 * @param root pointer of what is compared.
 */
export async function* operationOf({ op, to, place }: Difference, root: string, side: Side): AsyncGenerator<Buffer> {
  const path = JSON.stringify(pointerOf(place, root))
  if (!to) yield Buffer.from(`{"op":"remove","path":${path}}`)
  else
    yield* around(
      `{"op":"${op === 'CHANGED' ? 'replace' : 'add'}","path":${path},"value":`,
      bytesOf(to.item, side),
      '}',
    )
}

/** The bytes of a value as they stand in its document. */
export function bytesOf(item: Item, { document }: Side): AsyncIterable<Buffer> | Iterable<Buffer> {
  const { start, end, text } = item
  // A text without holes is as long as what it is of.
  return text.length === end - start && !item.hole ? [Buffer.from(text, 'latin1')] : bytesIn(document, { start, end })
}

export async function* bytesIn({ read }: DiffDocument, { start, end }: ValueRange): AsyncGenerator<Buffer> {
  for (let at = start; at < end; at += PIECE_BYTES) yield await read(at, Math.min(at + PIECE_BYTES, end))
}

export async function* around(
  head: string,
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  tail: string,
): AsyncGenerator<Buffer> {
  yield Buffer.from(head)
  yield* pieces
  yield Buffer.from(tail)
}
