import type { ByteRange } from './checked-bytes.ts'
import type { IndexNode } from './json-index.ts'
import type { KeyHash } from './key-hash.ts'
import { createKeyScan } from './key-scan.ts'
import { createKeyNotes, hashOfKey, type KeyPart } from './key-table.ts'
import { keyBytes } from './key-text.ts'

/** Longer keys are not read, neither here nor where they are looked for. */
const KEY_MAX_BYTES = 2 ** 20
/** So many parts are given together. */
const BATCH = 32

/** Where the keys are that an index does not keep: what must be read to note them. Null where it keeps all. */
export function unkeptRange({ entries }: IndexNode): ByteRange | null {
  const first = entries.find(({ key }) => !key)
  const last = entries.findLast(({ key }) => !key)
  return first && last ? { start: first.from, end: last.to } : null
}

export interface KeyPassOptions {
  readonly node: IndexNode
  readonly hash: KeyHash
}

/**
 * Notes all keys in a range of an object.
 * @param chunks of its `unkeptRange`, checked.
 * @returns the head, once all parts were given.
 */
export async function* readKeys(
  chunks: AsyncIterable<Buffer>,
  { node, hash }: KeyPassOptions,
): AsyncGenerator<readonly KeyPart[], Buffer> {
  const { entries } = node
  const notes = createKeyNotes(node)
  let entry = 0
  const take = (source: Buffer | null, at: number) => {
    while ((entries[entry + 1]?.from ?? Number.POSITIVE_INFINITY) <= at) entry++
    notes.add(source && hashOfKey(keyBytes(source), hash), entry)
  }
  const scan = createKeyScan(take, { begin: unkeptRange(node)?.start ?? 0, maxBytes: KEY_MAX_BYTES })
  let waiting: KeyPart[] = []
  for await (const chunk of chunks) {
    scan.push(chunk)
    waiting.push(...notes.take())
    if (waiting.length < BATCH) continue
    yield waiting
    waiting = []
  }
  for (const part of notes.rest()) {
    waiting.push(part)
    if (waiting.length < BATCH) continue
    yield waiting
    waiting = []
  }
  if (waiting.length > 0) yield waiting
  return notes.head()
}
