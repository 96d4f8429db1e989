import type { IndexEntry, IndexNode, JsonIndex } from './json-index.ts'

/**
 * Hashes over the tree of an index, each made when it is first asked for: 128 bits as 16 characters of latin1, to be compared by `===`.
 * Equal hashes mean equal bytes, of the entry or node and of what its runs hold around it; bytes that are equal may have other hashes
 * where what is around them differs, which costs a look and hides nothing.
 */
export interface TreeHashes {
  ofEntry(entry: IndexEntry): string
  ofNode(node: IndexNode): string
}

export declare function createTreeHashes(index: JsonIndex): TreeHashes
