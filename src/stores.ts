import type { ByteCache } from './cache/byte-cache.ts'
import { createMemoryCache } from './cache/memory.ts'
import { observedCache } from './cache/observed-cache.ts'
import { createValkeyCache } from './cache/valkey.ts'
import type { Config } from './config.ts'
import type { Database } from './db/connect.ts'
import { claimStore, hasObjectsIn, lookAtStore, replaceStore } from './db/queries/stores.ts'
import type { Logger } from './log.ts'
import { READS_MAX } from './snapshots/source/admission.ts'
import type { StoreIdentity } from './storage/file/mark.ts'
import { observedStorage } from './storage/observed-storage.ts'
import { createStorage, type Storage } from './storage/registry.ts'
import type { SocketState } from './storage/s3/transport.ts'
import { SILENT, type Telemetry } from './telemetry/telemetry.ts'

const MIB = 1_048_576
/** Larger payloads are streamed from storage each time. */
export const CACHE_ENTRY_MAX_BYTES = 4 * MIB
const MEMORY_CACHE_BYTES = 128 * MIB

/** Sockets to an object store, by what they are used for. */
export interface WatchedSockets {
  readonly scheme: string
  readonly use: string
  readonly state: () => SocketState
}

export interface OpenStorageOptions {
  /** Nobody is told when it is left out. */
  readonly telemetry?: Telemetry
  /** Given what tells how the sockets stand. */
  readonly onSockets?: (sockets: WatchedSockets) => void
}

/** The storage of every command. */
export function openStorage(config: Config, db: Database, options: OpenStorageOptions = {}): Storage {
  const { telemetry = SILENT, onSockets } = options
  const { payloadStreamsMax, uploadStreamsMax } = config
  const isDefault = config.storageBackend === 'filesystem'
  const sockets = {
    // A request seldom waits for one: each payload may have a next one opened ahead of it, each upload has three parts on their way.
    readSockets: 2 * (payloadStreamsMax + READS_MAX),
    writeSockets: 3 * uploadStreamsMax,
  }
  const watched = (scheme: string) => ({
    onSockets: (use: string, state: () => SocketState) => onSockets?.({ scheme, use, state }),
    onBreaker: telemetry.breaker(scheme),
  })
  const storage = createStorage({
    defaultScheme: isDefault ? 'file' : config.storageBackend,
    file: { root: config.storagePath, identity: identityOf(db, isDefault) },
    s3: config.s3 && { ...config.s3, ...sockets, ...watched('s3') },
    minio: config.minio && { ...config.minio, ...sockets, ...watched('minio') },
    allowedBuckets: config.allowedBuckets,
  })
  return telemetry === SILENT ? storage : observedStorage(storage, telemetry)
}

function identityOf(db: Database, isDefault: boolean): StoreIdentity {
  const known = () => lookAtStore(db, 'file')
  if (!isDefault) return { known }
  return {
    known,
    claim: {
      hasObjects: () => hasObjectsIn(db, 'file'),
      take: (id) => claimStore(db, 'file', id),
      replace: (id) => replaceStore(db, 'file', id),
    },
  }
}

/** In Valkey where that is set, and else in this process: each worker has its share of the memory. */
export function openCache(config: Config, log: Logger, telemetry: Telemetry = SILENT): ByteCache {
  const limits = { maxEntryBytes: CACHE_ENTRY_MAX_BYTES, ttlSeconds: config.cacheTtlSeconds }
  const maxBytes = Math.floor(MEMORY_CACHE_BYTES / config.workers)
  if (config.valkeyUrl === undefined) {
    return observedCache(createMemoryCache({ maxBytes, ...limits }), telemetry, 'memory')
  }
  const cache = createValkeyCache({
    url: config.valkeyUrl,
    cluster: config.valkeyCluster,
    ...limits,
    onProblem: (problem) => log.warn({ problem }, 'cache failed'),
    telemetry,
  })
  return observedCache(cache, telemetry, 'redis')
}
