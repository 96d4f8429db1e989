import { LRUCache } from 'lru-cache'
import type { ByteCache } from './byte-cache.ts'

export interface MemoryCacheOptions {
  /** What all entries together may hold, in bytes; the least recently used go first. */
  readonly maxBytes: number
  readonly maxEntryBytes: number
  /** Greater than 0. */
  readonly ttlSeconds: number
}

/** What one entry costs beside its bytes: the Buffer, the key and the slots of the list. Keeps many tiny entries in bounds. */
const ENTRY_OVERHEAD_BYTES = 512

/** A cache in this process. It answers without waiting and is always up until it is closed. */
export function createMemoryCache({ maxBytes, maxEntryBytes, ttlSeconds }: MemoryCacheOptions): ByteCache {
  const limit = Math.min(maxEntryBytes, maxBytes)
  const entries = new LRUCache<string, Buffer>({
    maxSize: maxBytes + ENTRY_OVERHEAD_BYTES,
    maxEntrySize: limit + ENTRY_OVERHEAD_BYTES,
    sizeCalculation: (bytes) => bytes.length + ENTRY_OVERHEAD_BYTES,
    ttl: Math.max(1, Math.ceil(ttlSeconds * 1000)),
  })
  let open = true

  return {
    maxEntryBytes: limit,

    async get(key) {
      return entries.get(key)
    },

    set(key, bytes) {
      if (open && bytes.length <= limit) entries.set(textAlone(key), standAlone(bytes))
    },

    async isUp() {
      return open
    },

    async close() {
      open = false
      entries.clear()
    },
  }
}

/** A text that was cut out of a longer one keeps all of that, too. */
function textAlone(text: string): string {
  return Buffer.from(text).toString()
}

/** A small view keeps all of the memory that it looks into: copied, so that the bytes counted are the bytes held. */
function standAlone(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength - bytes.length <= ENTRY_OVERHEAD_BYTES) return bytes
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
