import { randomUUID } from 'node:crypto'
import { createSingleFlight } from '../../cache/single-flight.ts'
import { abandonObject } from '../../db/queries/objects.ts'
import { beginUpload, findStoredContent, findUpload, recordMultipart, type Upload } from '../../db/queries/uploads.ts'
import { AppError, isAppError } from '../../errors.ts'
import { isUuid } from '../../model/ids.ts'
import type { Captured, CaptureInput } from '../../model/snapshot.ts'
import type { SignedPart } from '../../storage/backend.ts'
import type { UploadLinkSigner } from '../../storage/links/upload-link.ts'
import { formatStorageUri } from '../../storage/uri.ts'
import { checkInput, describeCapture, findEarlier, nameInput, objectKey, repeatOf } from './capture-rules.ts'
import type { PayloadStream } from './capture-stream.ts'
import { checkDigests } from './checked-digests.ts'
import { type CommitOptions, createCommit } from './upload-commit.ts'

/** The largest object that S3 holds: 5 TiB. */
const UPLOAD_MAX_BYTES = 5 * 2 ** 40
const CONTENT_TYPE = 'application/json'

export interface UploadInput extends CaptureInput {
  /** Of the payload, in bytes. */
  readonly sizeBytes: number
  /** `sha256:<64 hex>` of the payload. */
  readonly digest: string
  /** Whole seconds, 1 to the limit of the server. */
  readonly expiresInSeconds: number
}

/** One PUT of a ticket. */
export type UploadTicketPart = SignedPart

export interface UploadTicket {
  readonly uploadId: string
  /** Nothing is to be sent: the upload can be committed at once. */
  readonly alreadyStored: boolean
  /** Whether the bytes go to the store itself and not by way of this server. */
  readonly direct: boolean
  /** In order; one where the payload is sent at once, none where it is stored already. */
  readonly parts: readonly UploadTicketPart[]
  readonly isInParts: boolean
  readonly expiresAt: Date
}

/**
 * Captures whose bytes come on their own: by a signed PUT to the store, or to this server where the store cannot sign. An upload is
 * declared before its ticket is given, so that what never becomes a snapshot is found and deleted when the ticket's time is over.
 */
export interface Uploads {
  /**
   * @throws AppError `CONFLICT` when the id or the idempotency key is taken by other content, or its snapshot was deleted;
   * `BAD_REQUEST`, `PAYLOAD_TOO_LARGE`, `INVALID_PAYLOAD` (metadata), `STORAGE_UNAVAILABLE`, `DATABASE_UNAVAILABLE`.
   */
  begin(input: UploadInput): Promise<UploadTicket>

  /** Checks the raw query of a link to this server. @throws AppError `LINK_INVALID` or `LINK_EXPIRED`. */
  verify(rawQuery: string, uploadId: string): void

  /**
   * Takes the bytes of an upload to this server. Once they are here, the same bytes again are read and dropped.
   * @throws AppError `BAD_REQUEST` when they have another length or digest than announced, `PAYLOAD_TOO_LARGE` when they are
   * more; `NOT_FOUND` when the upload is over. After each of them, and after a break, the same ticket can be used again.
   */
  receive(uploadId: string, body: PayloadStream, signal?: AbortSignal): Promise<void>

  /**
   * Reads the bytes once more and makes the snapshot. The same upload again gives the same snapshot, and `created` false.
   * @throws AppError `NOT_FOUND` when there is no such upload (any more); `OBJECT_MISSING` when not all of it has arrived;
   * `INVALID_PAYLOAD` when it is not JSON, `BAD_REQUEST` when its size or digest is another than announced, `CONFLICT` as
   * `begin` does: after these three the upload is over, and nothing of it is kept. Retryable codes leave it as it was.
   */
  commit(uploadId: string, signal?: AbortSignal): Promise<Captured>
}

export interface UploadsOptions extends CommitOptions {
  readonly signer: UploadLinkSigner
  /** Longest life of a ticket. */
  readonly maxSeconds: number
}

export function createUploads(options: UploadsOptions): Uploads {
  const { db, storage, sweeper, signer, maxSeconds } = options
  const flights = createSingleFlight<Captured>()
  const commitOnce = createCommit(options)

  async function sign(upload: Omit<Upload, 'state'>, storageUri: string, expiresInSeconds: number) {
    const { uploadId, sizeBytes, contentDigest } = upload
    const { backend, uri } = storage.resolve(storageUri)
    if (!backend.directUploads) {
      const { url, expiresAt } = signer.sign(uploadId, expiresInSeconds)
      const headers = { 'content-length': String(sizeBytes), 'content-type': CONTENT_TYPE }
      return { direct: false, parts: [{ url, headers, offset: 0, sizeBytes }], isInParts: false, expiresAt }
    }
    const request = { sizeBytes, sha256: contentDigest, contentType: CONTENT_TYPE, expiresInSeconds }
    const { parts, multipartId, expiresAt } = await backend.directUploads.sign(uri, request)
    // Without this note the sweeper asks the store for the name.
    if (multipartId !== null) await recordMultipart(db, uploadId, multipartId)
    return { direct: true, parts, isInParts: multipartId !== null, expiresAt }
  }

  async function requireUpload(uploadId: string): Promise<Upload> {
    const upload = isUuid(uploadId) ? await findUpload(db, uploadId) : null
    if (!upload || upload.state === 'refused') throw new AppError('NOT_FOUND', 'There is no such upload')
    return upload
  }

  async function put(upload: Upload, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    const { storageUri, sizeBytes, uploadId, input } = upload
    // Sent for nothing: its bytes are here.
    if (storageUri === null || upload.state === 'committed') return await drop(chunks)
    const { backend, uri } = storage.resolve(storageUri)
    const failure = await backend.put(uri, chunks, { sizeBytes, contentType: CONTENT_TYPE, signal }).then(
      () => null,
      // What is there came by this ticket, and was checked then.
      (error: unknown) => (isAppError(error, 'CONFLICT') ? null : { error }),
    )
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

  return {
    async begin({ sizeBytes, digest, expiresInSeconds, ...input }) {
      checkInput(input)
      const contentDigest = readDigest(digest)
      requireSize(sizeBytes)
      if (expiresInSeconds < 1 || expiresInSeconds > maxSeconds) {
        throw new AppError('BAD_REQUEST', `expiresIn must be 1 to ${maxSeconds} seconds`)
      }
      const named = nameInput(input)
      const earlier = await findEarlier(db, input, named)
      if (earlier) repeatOf(earlier, describeCapture(named, { sizeBytes, contentDigest, preview: '' }))
      const isStored = earlier !== null || (await findStoredContent(db, { contentDigest, sizeBytes })) !== null
      const storageUri = isStored ? null : formatStorageUri(storage.newUri(objectKey(named.snapshotId)))
      const upload = { uploadId: randomUUID(), input: named, storageUri, sizeBytes, contentDigest }
      await beginUpload(db, { ...upload, expiresInSeconds })
      if (storageUri === null) return storedTicket(upload.uploadId, expiresInSeconds)
      const signed = await sign({ ...upload, multipartId: null }, storageUri, expiresInSeconds)
      return { uploadId: upload.uploadId, alreadyStored: false, ...signed }
    },

    verify: (rawQuery, uploadId) => signer.verify(rawQuery, uploadId),

    async receive(uploadId, { chunks, sizeBytes }, signal) {
      const upload = await requireUpload(uploadId)
      if (sizeBytes !== upload.sizeBytes) throw otherLength(sizeBytes, upload.sizeBytes)
      await put(upload, checkDigests(chunks, [upload.contentDigest]), signal)
    },

    async commit(uploadId, signal) {
      if (!isUuid(uploadId)) throw new AppError('NOT_FOUND', 'There is no such upload')
      const key = uploadId.toLowerCase()
      const flight = { isMine: false }
      const load = (flightSignal: AbortSignal) => {
        flight.isMine = true
        return commitOnce(key, flightSignal)
      }
      const captured = await flights.run(key, load, signal)
      return flight.isMine ? captured : { ...captured, created: false }
    },
  }
}

function storedTicket(uploadId: string, expiresInSeconds: number): UploadTicket {
  const expiresAt = new Date(Date.now() + expiresInSeconds * 1000)
  return { uploadId, alreadyStored: true, direct: false, parts: [], isInParts: false, expiresAt }
}

function readDigest(digest: string): Buffer {
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? []
  if (hex === undefined)
    throw new AppError('BAD_REQUEST', 'digest must be sha256: and 64 hexadecimal digits in lower case')
  return Buffer.from(hex, 'hex')
}

function requireSize(sizeBytes: number): void {
  if (!(sizeBytes >= 1)) throw new AppError('BAD_REQUEST', 'sizeBytes must be at least 1: JSON is never empty')
  if (sizeBytes > UPLOAD_MAX_BYTES) {
    throw new AppError('PAYLOAD_TOO_LARGE', `An upload has at most ${UPLOAD_MAX_BYTES} bytes`)
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
