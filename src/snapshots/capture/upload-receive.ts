import type { Database } from '../../db/connect.ts'
import { abandonObject } from '../../db/queries/objects.ts'
import { findUpload, type Upload } from '../../db/queries/uploads.ts'
import { AppError, isAppError } from '../../errors.ts'
import { isUuid } from '../../model/ids.ts'
import type { Storage } from '../../storage/registry.ts'
import type { Admission } from '../source/admission.ts'
import type { Sweeper } from '../upkeep/sweeper.ts'
import type { PayloadStream } from './capture-stream.ts'
import { checkDigests } from './checked-digests.ts'
import { createMultipartNote } from './lease.ts'
import { withUploadLease } from './upload-lease.ts'

export const UPLOAD_CONTENT_TYPE = 'application/json'

export interface ReceiveOptions {
  readonly db: Database
  readonly storage: Storage
  readonly sweeper: Pick<Sweeper, 'wake'>
  /** Bounds the bodies that are on their way into storage. */
  readonly admission: Pick<Admission, 'uploads'>
  /** Seconds between signs of life of what is under way. */
  readonly renewSeconds?: number
}

interface UploadBody {
  readonly chunks: AsyncIterable<Uint8Array>
  readonly signal: AbortSignal | undefined
}

/** Takes the bytes of uploads whose store cannot sign, by way of this server. */
export function createReceive({ db, storage, sweeper, admission, renewSeconds }: ReceiveOptions) {
  /** @returns what the store failed with; the same bytes that came before are no failure. */
  async function store(upload: Upload, storageUri: string, { chunks, signal }: UploadBody) {
    const { uploadId, sizeBytes } = upload
    const { backend, uri } = storage.resolve(storageUri)
    const onMultipart = createMultipartNote(db, storageUri)
    const leave = await admission.uploads.enter(signal)
    try {
      await withUploadLease({ db, uploadId, storageUri, signal, renewSeconds }, (held) =>
        backend.put(uri, chunks, { sizeBytes, contentType: UPLOAD_CONTENT_TYPE, onMultipart, signal: held }),
      )
      return null
    } catch (error) {
      // What is there came by this ticket, and was checked then.
      return isAppError(error, 'CONFLICT') ? null : { error }
    } finally {
      leave()
    }
  }

  async function put(upload: Upload, body: UploadBody): Promise<void> {
    const { storageUri, uploadId, input } = upload
    // Sent for nothing: its bytes are here.
    if (storageUri === null || upload.state === 'committed') return await drop(body.chunks)
    const failure = await store(upload, storageUri, body)
    const later = await findUpload(db, uploadId)
    if (later?.state === 'open') {
      if (failure) throw failure.error
      return
    }
    // It ended meanwhile, and its bytes may have been swept under its hands; an object that a snapshot has is left alone.
    await abandonObject(db, storageUri, input.snapshotId)
    sweeper.wake()
    if (later?.state !== 'committed') throw new AppError('NOT_FOUND', 'The time of this upload is over')
  }

  return async (uploadId: string, { chunks, sizeBytes }: PayloadStream, signal?: AbortSignal): Promise<void> => {
    const upload = isUuid(uploadId) ? await findUpload(db, uploadId) : null
    if (!upload || upload.state === 'refused') throw new AppError('NOT_FOUND', 'There is no such upload')
    if (sizeBytes !== upload.sizeBytes) throw otherLength(sizeBytes, upload.sizeBytes)
    await put(upload, { chunks: checkDigests(chunks, { before: [upload.contentDigest] }), signal })
  }
}

function otherLength(sizeBytes: number | undefined, announced: number): AppError {
  if (sizeBytes === undefined) return new AppError('BAD_REQUEST', 'The header content-length is missing')
  const code = sizeBytes > announced ? 'PAYLOAD_TOO_LARGE' : 'BAD_REQUEST'
  return new AppError(code, `The upload was begun for a body of ${announced} bytes`)
}

async function drop(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _chunk of chunks);
}
