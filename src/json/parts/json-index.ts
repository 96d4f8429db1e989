/** Documents up to this size need no index: they are read whole. */
export const INDEX_ABOVE_BYTES = 2 ** 20

/** The unit of an index: what is at least as large as this has a place in it. */
export const UNIT_BYTES = 2 ** 16

/** Bytes of the beginning of SHA-256 that a run keeps. 64 bits could be made to collide by who writes both states. */
export const RUN_HASH_BYTES = 16

/**
 * Where the parts of a document lie. Offsets are bytes from its beginning; ranges are half-open.
 *
 * The document is cut into runs, which lie one behind the other and are checked by a hash of their own; and it is a tree: a node is a
 * container in which at least one cut lies, its entries are neighbouring children of it, in order, and tile its inside but for the
 * commas between them.
 */
export interface JsonIndex {
  readonly unitBytes: number
  readonly sizeBytes: number
  readonly runs: IndexRuns
  /** The document as the one child of nothing: from 0 to its size, whitespace around it included. */
  readonly top: IndexEntry
  /** Start and end of each string, key and number of at least a unit, in order: what a reader jumps over. */
  readonly scalars: Float64Array
}

/** Run n begins where the one before it ends. */
export interface IndexRuns {
  readonly ends: Float64Array
  /** 16 bytes of SHA-256 of each run's bytes. */
  readonly hashes: Buffer
}

export interface IndexNode {
  readonly type: 'OBJECT' | 'ARRAY'
  /** Containers around it, and itself. */
  readonly depth: number
  readonly start: number
  /** Behind its bracket. */
  readonly end: number
  /** Duplicate keys are counted. */
  readonly childCount: number
  readonly entries: readonly IndexEntry[]
}

/** Neighbouring children of a node, from behind the bracket or comma before them to the comma or bracket behind them. */
export interface IndexEntry {
  readonly from: number
  readonly to: number
  /** Of the first of them among the children of the node. */
  readonly ordinal: number
  readonly count: number
  /** Source text of its key between the quotes, where there is but one child in it and the index keeps it. */
  readonly key: Buffer | null
  /**
   * The node in it: the value of its child, where it has but one; or one further down, with containers around it that are too small
   * to be nodes. There is never more than one beside another.
   */
  readonly node: IndexNode | null
  /** Runs that end in it, or behind it before anything else does; those that end in its node belong to that one's entries. */
  readonly firstRun: number
  readonly runCount: number
}
