/**
 * Bytes that can be had elsewhere, kept near. A key names immutable content (a digest), so nothing is ever invalidated.
 *
 * A cache never changes an answer: no method rejects or throws, a cache that is down, slow or wrong is a miss, and bytes
 * that are not what was set under the key are never returned.
 *
 * `test/contract/byte-cache.ts` is the executable form of this comment.
 */
export interface ByteCache {
  /** The bytes last set under the key, or undefined. They are shared: treat them as read-only. */
  get(key: string): Promise<Buffer | undefined>

  /**
   * Keeps the bytes for the cache's time to live. Returns at once; larger ones than `maxEntryBytes` are left out, and any
   * while the cache is busy. They may be kept without a copy: do not change them afterwards.
   */
  set(key: string, bytes: Buffer): void

  /** Largest entry that is kept, in bytes. */
  readonly maxEntryBytes: number

  /** Whether the cache answers now. */
  isUp(): Promise<boolean>

  close(): Promise<void>
}
