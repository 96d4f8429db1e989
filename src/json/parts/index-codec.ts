import { createHash } from 'node:crypto'
import { type IndexEntry, type IndexNode, type JsonIndex, RUN_HASH_BYTES } from './json-index.ts'
import { createVarintReader, createVarintWriter, type VarintReader, type VarintWriter } from './varints.ts'

/*
 * Head: four bytes that name the format and its version, and 16 of a hash of the digest of what it belongs to. Body: the unit and the
 * size; the lengths of all runs, and their hashes; where the scalars are; the tree, from the top. Tail: 16 bytes of a hash of all
 * before. What follows from something else is left out: ordinals, ends of entries and their runs are counted.
 */
const MAGIC = Buffer.from('SLX\x01', 'latin1')
const HASH_BYTES = 16
const HAS_NODE = 1
const HAS_KEY = 2
const IS_OBJECT = 1
/** As deep as any scanner goes, and no deeper than a stack. */
const DEEPEST = 1024

/** What an index belongs to. */
export interface IndexSubject {
  readonly sizeBytes: number
  /** `sha256:<hex>`, or whatever else names these bytes and no others, such as an ETag of a store. */
  readonly digest: string
}

/** As it is kept: at most 1 MiB for a document of 1 GiB, whatever is in it. */
export function encodeIndex(index: JsonIndex, digest: string): Buffer {
  const writer = createVarintWriter()
  writer.bytes(MAGIC)
  writer.bytes(hashOf(digest))
  writer.number(index.unitBytes)
  writer.number(index.sizeBytes)
  writeRising(writer, index.runs.ends)
  writer.bytes(index.runs.hashes)
  writeRising(writer, index.scalars)
  writeEntry(writer, index.top)
  writer.bytes(hashOf(writer.end()))
  return Buffer.from(writer.end())
}

/** Null for what is damaged, of another version or of another document; what it gives is safe to follow. */
export function decodeIndex(bytes: Uint8Array, subject: IndexSubject): JsonIndex | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const body = buffer.subarray(0, -HASH_BYTES)
  if (!buffer.subarray(0, MAGIC.length).equals(MAGIC) || !hashOf(body).equals(buffer.subarray(-HASH_BYTES))) return null
  const reader = createVarintReader(body.subarray(MAGIC.length))
  try {
    if (!reader.bytes(HASH_BYTES).equals(hashOf(subject.digest))) return null
    const index = readIndex(reader)
    return index.sizeBytes === subject.sizeBytes && reader.left() === 0 ? index : null
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function hashOf(content: string | Buffer): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, HASH_BYTES)
}

function writeRising(writer: VarintWriter, values: Float64Array): void {
  writer.number(values.length)
  let before = 0
  for (const value of values) {
    writer.number(value - before)
    before = value
  }
}

function readRising(reader: VarintReader, limit: number): Float64Array {
  const count = reader.number()
  check(count <= reader.left())
  const values = new Float64Array(count)
  let before = 0
  for (let at = 0; at < count; at++) {
    const step = reader.number()
    check(step > 0 || at === 0)
    before += step
    values[at] = before
  }
  check(before <= limit)
  return values
}

function writeEntry(writer: VarintWriter, { node, key, runCount, from }: IndexEntry): void {
  writer.number(runCount * 4 + (key ? HAS_KEY : 0) + (node ? HAS_NODE : 0))
  if (key) {
    writer.number(key.length)
    writer.bytes(key)
  }
  if (node) writeNode(writer, node, from)
}

function writeNode(writer: VarintWriter, node: IndexNode, from: number): void {
  writer.number(node.depth * 2 + (node.type === 'OBJECT' ? IS_OBJECT : 0))
  writer.number(node.start - from)
  writer.number(node.end - node.start)
  writer.number(node.entries.length)
  for (const entry of node.entries) {
    writer.number(entry.count)
    writeEntry(writer, entry)
  }
}

function readIndex(reader: VarintReader): JsonIndex {
  const unitBytes = reader.number()
  const sizeBytes = reader.number()
  const ends = readRising(reader, sizeBytes)
  check(ends.length > 0 && ends.at(-1) === sizeBytes && (ends[0] ?? 0) > 0)
  const hashes = Buffer.from(reader.bytes(ends.length * RUN_HASH_BYTES))
  const scalars = readRising(reader, sizeBytes)
  check(scalars.length % 2 === 0)
  const tree = createTreeReader(reader, ends)
  const top = tree.top(sizeBytes)
  return { unitBytes, sizeBytes, runs: { ends, hashes }, top, scalars }
}

interface TreeReader {
  top(sizeBytes: number): IndexEntry
}

function createTreeReader(reader: VarintReader, ends: Float64Array): TreeReader {
  let run = 0

  /** @param to of the last entry of a node; undefined where a run ends with the comma behind it */
  function readEntry(begin: { from: number; ordinal: number; count: number }, within: number, to?: number): IndexEntry {
    const head = reader.number()
    const runCount = Math.floor(head / 4)
    const key = (head & HAS_KEY) !== 0 ? Buffer.from(reader.bytes(reader.number())) : null
    const node = (head & HAS_NODE) !== 0 ? readNode(begin.from, within) : null
    const firstRun = runCount > 0 ? run : 0
    run += runCount
    check(run <= ends.length)
    const end = to ?? (ends[run - 1] ?? 0) - 1
    check(end >= (node?.end ?? begin.from))
    return { ...begin, to: end, key, node, firstRun, runCount }
  }

  function readNode(from: number, within: number): IndexNode {
    const head = reader.number()
    const depth = Math.floor(head / 2)
    const start = from + reader.number()
    const end = start + reader.number()
    check(depth > within && depth <= DEEPEST && end - start >= 2)
    const entryCount = reader.number()
    check(entryCount > 0 && entryCount <= reader.left())
    const entries: IndexEntry[] = []
    let [at, ordinal] = [start + 1, 0]
    for (let left = entryCount; left > 0; left--) {
      const count = reader.number()
      check(count > 0)
      const entry = readEntry({ from: at, ordinal, count }, depth, left === 1 ? end - 1 : undefined)
      check(entry.to < end)
      entries.push(entry)
      at = entry.to + 1
      ordinal += count
    }
    return { type: (head & IS_OBJECT) !== 0 ? 'OBJECT' : 'ARRAY', depth, start, end, childCount: ordinal, entries }
  }

  return {
    top(sizeBytes) {
      const entry = readEntry({ from: 0, ordinal: 0, count: 1 }, 0, sizeBytes)
      check(run === ends.length)
      return entry
    },
  }
}

function check(isRight: boolean): void {
  if (!isRight) throw new RangeError('Not an index that was made here')
}
