const FREE_NODES = 64
const FREE_KEY_BYTES = 16 * 1024
/** Nodes that are granted cost the index some 40 bytes each, keys their length: together an eighth of what it may have. */
const BYTES_PER_NODE_IN_UNITS = 4
const BYTES_PER_KEY_BYTE = 16 * 1024

/**
 * What an index may spend on what it could do without, so that no document can make it large: containers around others that have next
 * to nothing of their own, and the text of keys. It grows with the document.
 */
export interface Grants {
  /** Whether one more such container may be a node. */
  node(offset: number): boolean
  /** Whether a key of so many bytes may be kept. */
  key(sizeBytes: number, offset: number): boolean
}

export function createGrants(unit: number): Grants {
  let [nodes, keyBytes] = [0, 0]
  return {
    node: (offset) => nodes < FREE_NODES + offset / (BYTES_PER_NODE_IN_UNITS * unit) && ++nodes > 0,
    key(sizeBytes, offset) {
      if (keyBytes + sizeBytes > FREE_KEY_BYTES + offset / BYTES_PER_KEY_BYTE) return false
      keyBytes += sizeBytes
      return true
    },
  }
}
