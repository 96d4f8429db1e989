import type { Scan } from '../scan-bytes.ts'
import type { JsonIndex } from './json-index.ts'

/** Makes the index of one document while it is scanned, in constant memory. Single use. */
export interface Indexer {
  /** To be given to `createJsonScanner`: checks the bytes as any scan does, and takes notes. The bytes are neither changed nor kept. */
  readonly scan: Scan
  /** Once the scanner's own `end` did not throw. Null for a document of at most `INDEX_ABOVE_BYTES`, which needs none. */
  end(): JsonIndex | null
}

export declare function createIndexer(): Indexer
