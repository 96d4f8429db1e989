import { createHash } from 'node:crypto'
import { type IndexEntry, type IndexNode, type JsonIndex, RUN_HASH_BYTES } from './json-index.ts'

/**
 * Hashes over the tree of an index, each made when it is first asked for: 128 bits and a length as a short text, to be compared by
 * `===`. Equal hashes mean equal bytes, of the entry or node and of what its runs hold around it; bytes that are equal may have other
 * hashes where what is around them differs, which costs a look and hides nothing.
 */
export interface TreeHashes {
  ofEntry(entry: IndexEntry): string
  ofNode(node: IndexNode): string
}

export function createTreeHashes({ runs }: Pick<JsonIndex, 'runs'>): TreeHashes {
  const known = new WeakMap<IndexNode, string>()

  function ofRuns({ firstRun, runCount }: IndexEntry): Buffer {
    return runs.hashes.subarray(firstRun * RUN_HASH_BYTES, (firstRun + runCount) * RUN_HASH_BYTES)
  }

  function ofEntry(entry: IndexEntry): string {
    const own = ofRuns(entry)
    // A run may begin before what it is taken for, in the middle of something: where that begins in it follows from its length.
    const length = `:${entry.to - entry.from}`
    if (!entry.node && entry.runCount === 1) return own.toString('latin1') + length
    const inside = Buffer.from(entry.node ? ofNode(entry.node) : '', 'latin1')
    return hashOf(entry.node ? 'N' : 'E', [inside, own]) + length
  }

  function ofNode(node: IndexNode): string {
    const hash = known.get(node) ?? hashOf(node.type, [Buffer.from(node.entries.map(ofEntry).join(''), 'latin1')])
    known.set(node, hash)
    return hash
  }

  return { ofEntry, ofNode }
}

function hashOf(kind: string, parts: readonly Buffer[]): string {
  const hash = createHash('sha256').update(kind)
  for (const part of parts) hash.update(part)
  return hash.digest().toString('latin1', 0, RUN_HASH_BYTES)
}
