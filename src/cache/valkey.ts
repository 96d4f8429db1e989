import type { Telemetry } from '../telemetry/telemetry.ts'
import type { ByteCache } from './byte-cache.ts'
import { unwrap, wrap } from './envelope.ts'
import { createValkeyLink, failureWord } from './valkey-link.ts'

export interface ValkeyCacheOptions {
  /** `redis://`, `rediss://`, `valkey://` or `valkeys://`; one node of a cluster names them all. */
  readonly url: string
  /** Whether the server is a cluster. */
  readonly cluster?: boolean
  readonly maxEntryBytes: number
  /** Greater than 0. */
  readonly ttlSeconds: number
  /** Told what is wrong, at most once in 10 seconds, in words that hold no address, key or password. */
  readonly onProblem?: (message: string) => void
  /** Told of every failure, and of the breaker. */
  readonly telemetry?: Pick<Telemetry, 'cacheFailed' | 'breaker'>
}

/** The number is that of the envelope: a server of another version does not read what this one wrote. */
const PREFIX = 'statelens:1:'
const MAX_WRITES = 256
const MAX_WRITE_BYTES = 32 * 1024 * 1024

/**
 * A cache on Valkey or Redis, shared by several servers. It starts while that is down, and uses it once it answers.
 * @throws AppError `BAD_REQUEST` when the URL is none of Valkey's or Redis'. The cache itself never throws or rejects.
 */
export function createValkeyCache(options: ValkeyCacheOptions): ByteCache {
  const { url, cluster = false, maxEntryBytes, onProblem, telemetry } = options
  const link = createValkeyLink({ url, cluster, onProblem, telemetry })
  const ttlMs = Math.max(1, Math.ceil(options.ttlSeconds * 1000))
  const writes = createBudget()

  function drop(key: string): void {
    link.report('The cache held an entry that is not what was stored; it was dropped')
    link.client.unlink(PREFIX + key).catch(link.failed)
  }

  return {
    maxEntryBytes,

    async get(key) {
      if (!link.isUsable()) return undefined
      try {
        const envelope = await link.client.getBuffer(PREFIX + key)
        link.answered()
        if (envelope === null) return undefined
        const bytes = unwrap(key, envelope)
        if (!bytes) drop(key)
        return bytes
      } catch (error) {
        if (failureWord(error) === 'WRONGTYPE') drop(key)
        else link.failed(error)
        return undefined
      }
    },

    set(key, bytes) {
      if (bytes.length > maxEntryBytes || !link.isUsable() || !writes.take(bytes.length)) return
      link.client
        .set(PREFIX + key, wrap(key, bytes), 'PX', ttlMs)
        .catch(link.failed)
        .finally(() => writes.give(bytes.length))
    },

    isUp: link.isUp,
    close: link.close,
  }
}

/** Bounds the writes that wait for their reply: those that do not fit are left out, as nobody waits for them. */
function createBudget() {
  let count = 0
  let bytes = 0
  return {
    /** One always fits, so that an entry as large as `maxEntryBytes` has a chance. */
    take(sizeBytes: number): boolean {
      if (count > 0 && (count >= MAX_WRITES || bytes + sizeBytes > MAX_WRITE_BYTES)) return false
      count += 1
      bytes += sizeBytes
      return true
    },
    give(sizeBytes: number): void {
      count -= 1
      bytes -= sizeBytes
    },
  }
}
