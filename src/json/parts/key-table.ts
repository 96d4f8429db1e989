import { createHash } from 'node:crypto'
import type { IndexNode } from './json-index.ts'
import type { KeyHash } from './key-hash.ts'

/*
 * Where the keys of one large object are: for each key 4 bytes of the number of its entry and 4 of its hash, in buckets by other bits
 * of the hash. A bucket is kept in parts, as they become full; a head tells how many it has, so that one that lacks any is not used.
 */
const VERSION = 1
const MARK_BYTES = 16
const HEAD_BYTES = 1 + MARK_BYTES
const PAIR_BYTES = 8
const PART_PAIRS = 1024
const BUCKETS_MAX = 1024
const LOW = 2 ** 32

/** Keys of more bytes are told from others by nothing: they are many in no document. */
const LONG_BYTES = 65_536

/** Some pairs of one bucket. */
export interface KeyPart {
  readonly bucket: number
  /** Counted from 0 in each bucket. */
  readonly part: number
  readonly pairs: Buffer
}

export interface KeyNotes {
  /** @param hash as `hashOfKey` gives it; null for a key of which nothing is known. */
  add(hash: number | null, entry: number): void
  /** Parts that are full, once. */
  take(): readonly KeyPart[]
  /** The last parts, each made when it is asked for. */
  rest(): Generator<KeyPart>
  /** When all parts are taken: what must be kept beside them. */
  head(): Buffer
}

/** Takes notes of an object in at most 8 MiB, and what is not taken yet. */
export function createKeyNotes(node: IndexNode): KeyNotes {
  const buckets = bucketsFor(node.childCount)
  // As one number, of which the hash is the upper half: by that they are sorted.
  const all = new BigUint64Array(buckets * PART_PAIRS)
  const words = new Uint32Array(all.buffer)
  const filled = new Uint32Array(buckets)
  const parts = new Uint16Array(buckets)
  let full: KeyPart[] = []

  /** Each pair once: keys may be equal. */
  function tidy(bucket: number): number {
    const begin = bucket * PART_PAIRS
    const end = begin + (filled[bucket] ?? 0)
    all.subarray(begin, end).sort()
    let next = begin
    for (let at = begin; at < end; at++) {
      const isSame = next > begin && words[2 * at] === words[2 * next - 2] && words[2 * at + 1] === words[2 * next - 1]
      if (!isSame) words.copyWithin(2 * next++, 2 * at, 2 * at + 2)
    }
    filled[bucket] = next - begin
    return next - begin
  }

  function partOf(bucket: number): KeyPart {
    const begin = bucket * PART_PAIRS
    const pairs = all.slice(begin, begin + (filled[bucket] ?? 0))
    filled[bucket] = 0
    const part = parts[bucket] ?? 0
    parts[bucket] = part + 1
    return { bucket, part, pairs: Buffer.from(pairs.buffer) }
  }

  return {
    add(hash, entry) {
      const bucket = hash === null ? 0 : bucketOf(hash, buckets)
      const at = 2 * (bucket * PART_PAIRS + (filled[bucket] ?? 0))
      words[at] = entry
      words[at + 1] = hash === null ? 0 : hash % LOW
      filled[bucket] = (filled[bucket] ?? 0) + 1
      if (filled[bucket] === PART_PAIRS && tidy(bucket) > PART_PAIRS / 2) full.push(partOf(bucket))
    },
    take() {
      const taken = full
      full = []
      return taken
    },
    *rest() {
      for (let bucket = 0; bucket < buckets; bucket++) if (tidy(bucket) > 0) yield partOf(bucket)
    },
    head: () => Buffer.concat([Buffer.from([VERSION]), markOf(node), Buffer.from(parts.buffer)]),
  }
}

/** A head that was kept. */
export interface KeyHead {
  /** The bucket in which a key is if it is anywhere, and of how many parts it is. */
  bucketOf(hash: number): { readonly bucket: number; readonly partCount: number }
}

/** Null for what is damaged, of another version, or of an object that is indexed in another way. */
export function readKeyHead(head: Buffer, node: IndexNode): KeyHead | null {
  const buckets = bucketsFor(node.childCount)
  const isOfThis = head[0] === VERSION && head.subarray(1, HEAD_BYTES).equals(markOf(node))
  if (!isOfThis || head.length !== HEAD_BYTES + 2 * buckets) return null
  return {
    bucketOf(hash) {
      const bucket = bucketOf(hash, buckets)
      return { bucket, partCount: head.readUInt16LE(HEAD_BYTES + 2 * bucket) }
    },
  }
}

/** Numbers of entries that may hold a key, each once, by all parts of its bucket. */
export function entriesOf(parts: readonly Buffer[], hash: number): readonly number[] {
  const found = new Set<number>()
  const wanted = hash % LOW
  for (const pairs of parts) {
    for (let at = 0; at + PAIR_BYTES <= pairs.length; at += PAIR_BYTES) {
      if (pairs.readUInt32LE(at + 4) === wanted) found.add(pairs.readUInt32LE(at))
    }
  }
  return [...found]
}

/** @param key unescaped. */
export function hashOfKey(key: Uint8Array, hash: KeyHash): number {
  return key.length > LONG_BYTES ? 0 : hash(key)
}

function bucketsFor(childCount: number): number {
  let buckets = 1
  while (buckets < BUCKETS_MAX && buckets * PART_PAIRS < childCount) buckets *= 2
  return buckets
}

function bucketOf(hash: number, buckets: number): number {
  return Math.floor(hash / LOW) % buckets
}

/** Of how its entries lie: a number of one tells nothing in an index that is cut elsewhere. */
function markOf({ start, end, entries }: IndexNode): Buffer {
  const places = new Float64Array([start, end, ...entries.map(({ from }) => from)])
  return createHash('sha256').update(places).digest().subarray(0, MARK_BYTES)
}
