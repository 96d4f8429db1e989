import { unlessAborted } from '../../abort.ts'
import type { Database } from '../../db/connect.ts'
import type { NewSnapshot } from '../../db/queries/captures.ts'
import { loadStoredBytes } from '../../db/queries/stored-bytes.ts'
import { findCopySource, type NewUpload, type Upload } from '../../db/queries/uploads.ts'
import { AppError } from '../../errors.ts'
import type { PutResult } from '../../storage/backend.ts'
import type { Storage } from '../../storage/registry.ts'
import { formatStorageUri } from '../../storage/uri.ts'
import { describeCapture } from './capture-rules.ts'
import { createMultipartNote } from './lease.ts'

/** A store that takes longer to say what it has is not asked to copy it. */
const LOOK_MILLIS = 3000

export type Content = Pick<NewUpload, 'contentDigest' | 'sizeBytes'>

/** Content that lies in the store already, and that the store can copy: none of its bytes passes this server. */
export interface StoredCopies {
  /** Whether the store shows that it has this content, and can copy it. @throws AppError of the database alone. */
  offers(content: Content): Promise<boolean>
  /**
   * Makes the copy at a URI that was declared for it.
   * @returns what is to be stored as a snapshot.
   * @throws AppError `OBJECT_MISSING` when no copy can be had, for whatever reason of the store: the bytes have to be sent. What
   * the database throws, and the signal's reason.
   */
  copy(upload: Upload, storageUri: string, signal: AbortSignal): Promise<NewSnapshot>
}

export interface StoredCopiesOptions {
  readonly db: Database
  readonly storage: Storage
}

export function createStoredCopies({ db, storage }: StoredCopiesOptions): StoredCopies {
  /** How the URIs of new objects begin: another store may be gone, and no store copies out of another. */
  const uriPrefix = formatStorageUri(storage.newUri('x')).slice(0, -1)

  async function isThere(storageUri: string, sizeBytes: number): Promise<boolean> {
    const { backend, uri } = storage.resolve(storageUri)
    if (!backend.copy) return false
    const signal = AbortSignal.timeout(LOOK_MILLIS)
    const stat = await unlessAborted(backend.stat(uri, { signal }), signal).catch(() => null)
    return stat?.sizeBytes === sizeBytes
  }

  async function copyObject({ from, to, sizeBytes, signal }: Copying): Promise<PutResult> {
    const source = storage.resolve(from)
    const target = storage.resolve(to)
    const onMultipart = createMultipartNote(db, to)
    const copied = await source.backend.copy?.(source.uri, target.uri, { sizeBytes, onMultipart, signal })
    if (copied?.sizeBytes !== sizeBytes) throw new Error('the store made another copy, or none')
    return copied
  }

  return {
    async offers({ contentDigest, sizeBytes }) {
      const source = await findCopySource(db, { contentDigest, sizeBytes, uriPrefix })
      return source !== null && (await isThere(source.storageUri, sizeBytes))
    },

    async copy(upload, storageUri, signal) {
      const { input, contentDigest, sizeBytes } = upload
      const source = await findCopySource(db, { contentDigest, sizeBytes, uriPrefix })
      if (!source) throw gone()
      const stored = await loadStoredBytes(db, source.storageUri)
      const copying = copyObject({ from: source.storageUri, to: storageUri, sizeBytes, signal })
      const { versionId } = await copying.catch((error: unknown) => {
        throw signal.aborted ? signal.reason : gone(error)
      })
      const { preview } = source
      return { ...describeCapture(input, { sizeBytes, contentDigest, preview }), storageUri, versionId, stored }
    },
  }
}

interface Copying {
  readonly from: string
  readonly to: string
  readonly sizeBytes: number
  readonly signal: AbortSignal
}

function gone(cause?: unknown): AppError {
  return new AppError('OBJECT_MISSING', 'The payload cannot be copied from where it lies: begin anew', { cause })
}
