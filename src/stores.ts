import type { ByteCache } from './cache/byte-cache.ts'
import { createMemoryCache } from './cache/memory.ts'
import { createValkeyCache } from './cache/valkey.ts'
import type { Config } from './config.ts'
import type { Database } from './db/connect.ts'
import { claimStore, hasObjectsIn, lookAtStore, replaceStore } from './db/queries/stores.ts'
import type { Logger } from './log.ts'
import { READS_MAX } from './snapshots/source/admission.ts'
import type { StoreIdentity } from './storage/file/mark.ts'
import { createStorage, type Storage } from './storage/registry.ts'

const MIB = 1_048_576
/** Larger payloads are streamed from storage each time. */
export const CACHE_ENTRY_MAX_BYTES = 4 * MIB
const MEMORY_CACHE_BYTES = 128 * MIB

/** The storage of every command. */
export function openStorage(config: Config, db: Database): Storage {
  const { payloadStreamsMax, uploadStreamsMax } = config
  const isDefault = config.storageBackend === 'filesystem'
  const sockets = {
    // A request seldom waits for one: each payload may have a next one opened ahead of it, each upload has three parts on their way.
    readSockets: 2 * (payloadStreamsMax + READS_MAX),
    writeSockets: 3 * uploadStreamsMax,
  }
  return createStorage({
    defaultScheme: isDefault ? 'file' : config.storageBackend,
    file: { root: config.storagePath, identity: identityOf(db, isDefault) },
    s3: config.s3 && { ...config.s3, ...sockets },
    minio: config.minio && { ...config.minio, ...sockets },
    allowedBuckets: config.allowedBuckets,
  })
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
export function openCache(config: Config, log: Logger): ByteCache {
  const limits = { maxEntryBytes: CACHE_ENTRY_MAX_BYTES, ttlSeconds: config.cacheTtlSeconds }
  const maxBytes = Math.floor(MEMORY_CACHE_BYTES / config.workers)
  if (config.valkeyUrl === undefined) return createMemoryCache({ maxBytes, ...limits })
  return createValkeyCache({
    url: config.valkeyUrl,
    cluster: config.valkeyCluster,
    ...limits,
    onProblem: (problem) => log.warn({ problem }, 'cache failed'),
  })
}
