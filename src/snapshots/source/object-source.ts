import { LRUCache } from 'lru-cache'
import type { Database } from '../../db/connect.ts'
import { recordStorageState } from '../../db/queries/snapshot-findings.ts'
import { loadStoredBytes } from '../../db/queries/stored-bytes.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Snapshot, StorageState } from '../../model/snapshot.ts'
import type { StoredObject } from '../../storage/backend.ts'
import type { Storage } from '../../storage/registry.ts'
import { isEncoding } from '../encoding.ts'
import type { StoredBytes } from '../stored-bytes.ts'
import { hintOfCoding, Recoded, sniffCoding } from './coding.ts'
import type { NoteOptions, ObjectSource, Opening, SourceGet } from './source.ts'

/** Chunk digests are at most half a MiB an object, and read for each range of it. */
const STORED_CACHE_BYTES = 16_777_216

export interface ObjectSourceOptions {
  readonly db: Database
  readonly storage: Storage
}

/** @throws AppError when the URI cannot be read from: `STORAGE_URI_REJECTED`, `UNSUPPORTED_STORAGE_SCHEME`. */
export type OpenObjectSource = (
  snapshot: Snapshot & { readonly storageUri: string },
  /** Stands in for the notes that are made in the row. */
  note?: ObjectSource['note'],
) => ObjectSource

interface Version {
  readonly etag: string | null
}

export function createObjectSources({ db, storage }: ObjectSourceOptions): OpenObjectSource {
  /** What is noted of an object never changes. */
  const known = new LRUCache<string, StoredBytes>({
    maxSize: STORED_CACHE_BYTES,
    sizeCalculation: ({ chunkDigests }) => chunkDigests.length + 256,
  })

  async function storedOf(storageUri: string): Promise<StoredBytes | null> {
    const noted = known.get(storageUri) ?? (await loadStoredBytes(db, storageUri))
    if (noted) known.set(storageUri, noted)
    return noted
  }

  function record(snapshot: Snapshot, state: StorageState): void {
    if (snapshot.storageState !== state) recordStorageState(db, snapshot, state).catch(() => {})
  }

  function note(snapshot: Snapshot, opening: Promise<Opening>, { checks }: NoteOptions): void {
    const failed = (error: unknown) => {
      if (isAppError(error, 'OBJECT_MISSING')) record(snapshot, 'MISSING')
      if (isAppError(error, 'OBJECT_CORRUPT')) record(snapshot, 'CORRUPT')
    }
    const succeeded = () => {
      if (checks || snapshot.storageState !== 'CORRUPT') record(snapshot, 'AVAILABLE')
    }
    opening.then(({ body }) => {
      if (Buffer.isBuffer(body)) succeeded()
      else body.once('end', succeeded).once('error', failed)
    }, failed)
  }

  return (snapshot, noteInstead) => {
    const { storageUri, sizeBytes, digest, contentEncoding, isOwn } = snapshot
    const { backend, uri } = storage.resolve(storageUri)
    const rethrow = (error: unknown): never => {
      throw isAppError(error, 'OBJECT_MISSING') ? missing(error, isOwn) : error
    }
    const of = (version: Version | null, found?: string): ObjectSource => ({
      kind: isOwn ? 'own' : 'foreign',
      isJson: isOwn || version !== null,
      isPinned: version !== null && version.etag !== null,
      pin: (etag) => of({ etag }, found),
      recoded: (coding) => of(version, coding),
      snapshot,
      sizeBytes,
      storageUri,
      digest,
      contentEncoding: found ?? contentEncoding,
      stored: async () => (isOwn ? await storedOf(storageUri) : null),
      async stat(signal) {
        const stat = await backend.stat(uri, { signal }).catch(rethrow)
        const hint = isOwn || found !== undefined ? undefined : hintOfCoding(uri.key, stat.contentEncoding)
        if (hint !== undefined && hint !== contentEncoding) throw new Recoded(hint)
        return stat
      },
      async get({ gate, range, signal }: SourceGet) {
        const leave = gate ? await gate.enter(signal) : () => {}
        try {
          const opening = backend.get(uri, { range, signal, ifMatch: version?.etag ?? undefined })
          const object = await opening.catch(rethrow)
          object.body.once('close', leave)
          if (!isOwn && (range === undefined || range.start === 0))
            await requireCoding(object, found ?? contentEncoding)
          return requireSize(object, { contentEncoding: found ?? contentEncoding, sizeBytes })
        } catch (error) {
          leave()
          throw error
        }
      },
      note: noteInstead ?? ((opening, options) => note(snapshot, opening, options)),
    })
    return of(null)
  }
}

/** The log has the cause of what was lost here. Another writer may take its object away: that is told to who reads, and to nobody else. */
function missing({ code, message, cause }: AppError, isOwn: boolean): AppError {
  return new AppError(code, message, isOwn ? { cause: cause ?? new Error('The object is gone') } : {})
}

async function requireCoding({ body }: StoredObject, coding: string): Promise<void> {
  // A coding that is not read here is not known by its bytes either.
  if (coding !== 'identity' && !isEncoding(coding)) return
  const found = await sniffCoding(body)
  // An empty one is no reason to think anew.
  if (found === coding || (found === 'identity' && body.readableLength === 0)) return
  body.destroy()
  throw new Recoded(found)
}

function requireSize(
  object: StoredObject,
  { contentEncoding, sizeBytes }: Pick<Snapshot, 'contentEncoding' | 'sizeBytes'>,
): StoredObject {
  if (contentEncoding !== 'identity' || sizeBytes === null || object.sizeBytes === sizeBytes) return object
  object.body.destroy()
  throw new AppError('OBJECT_CORRUPT', `The object has ${object.sizeBytes} bytes, not ${sizeBytes}`)
}
