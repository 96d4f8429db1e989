import type { JsonIndex } from './json-index.ts'

/** What an index belongs to. */
export interface IndexSubject {
  readonly sizeBytes: number
  /** `sha256:<hex>`, or whatever else names these bytes and no others, such as an ETag of a store. */
  readonly digest: string
}

/** As it is kept: at most 1 MiB for a document of 1 GiB, whatever is in it. */
export declare function encodeIndex(index: JsonIndex, digest: string): Buffer

/** Null for what is damaged, of another version or of another document; what it gives is safe to follow. */
export declare function decodeIndex(bytes: Uint8Array, subject: IndexSubject): JsonIndex | null
