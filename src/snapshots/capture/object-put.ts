import type { Database } from '../../db/connect.ts'
import { abandonObject, beginObject } from '../../db/queries/objects.ts'
import type { Storage } from '../../storage/registry.ts'
import { formatStorageUri } from '../../storage/uri.ts'
import type { Sweeper } from '../upkeep/sweeper.ts'
import { objectKey } from './capture-rules.ts'
import type { PayloadStream } from './capture-stream.ts'
import { createMultipartNote, withLease } from './lease.ts'

export interface ObjectPutOptions {
  readonly db: Database
  readonly storage: Storage
  readonly sweeper: Pick<Sweeper, 'wake'>
  /** Seconds between signs of life of a put that is under way. */
  readonly renewSeconds?: number
}

/** An object that is declared, has its bytes, and is not live yet. */
export interface PutObject {
  readonly storageUri: string
  /** Null where the store keeps no versions. */
  readonly versionId: string | null
}

/** The way of a capture's bytes into storage: declared first, and given up when they do not arrive. */
export interface ObjectPut {
  /** @throws what the chunks and the backend throw; AppError `STORAGE_UNAVAILABLE` when a sweeper took the object meanwhile. */
  put(snapshotId: string, payload: PayloadStream, signal?: AbortSignal): Promise<PutObject>
  /** Leaves an object to the sweeper; one that is live after all stays. Never rejects. */
  abandon(storageUri: string, snapshotId: string): Promise<void>
}

export function createObjectPut({ db, storage, sweeper, renewSeconds }: ObjectPutOptions): ObjectPut {
  async function abandon(storageUri: string, snapshotId: string): Promise<void> {
    // Without this note the sweeper finds the object as well, when its grace is over.
    await abandonObject(db, storageUri, snapshotId).catch(() => {})
    sweeper.wake()
  }

  return {
    async put(snapshotId, { chunks, sizeBytes, encoding }, signal) {
      const storageUri = formatStorageUri(storage.newUri(objectKey(snapshotId, encoding)))
      const { backend, uri } = storage.resolve(storageUri)
      const onMultipart = createMultipartNote(db, storageUri)
      await beginObject(db, storageUri, snapshotId)
      try {
        const { versionId } = await withLease({ db, storageUri, renewSeconds, signal }, (leased) =>
          backend.put(uri, chunks, { sizeBytes, contentType: 'application/json', onMultipart, signal: leased }),
        )
        return { storageUri, versionId }
      } catch (error) {
        await abandon(storageUri, snapshotId)
        throw error
      }
    },
    abandon,
  }
}
