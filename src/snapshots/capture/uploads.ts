import { randomUUID } from 'node:crypto'
import { beginUpload, recordMultipart, type Upload } from '../../db/queries/uploads.ts'
import { AppError, isAppError } from '../../errors.ts'
import { isUuid } from '../../model/ids.ts'
import { type Captured, type CaptureInput, OBJECT_MAX_BYTES } from '../../model/snapshot.ts'
import type { SignedPart } from '../../storage/backend.ts'
import type { UploadLinkSigner } from '../../storage/links/upload-link.ts'
import { formatStorageUri } from '../../storage/uri.ts'
import { checkInput, describeCapture, findEarlier, nameInput, objectKey, repeatOf } from './capture-rules.ts'
import type { PayloadStream } from './capture-stream.ts'
import { createJobs } from './jobs.ts'
import { createStoredCopies } from './stored-copies.ts'
import { type CommitOptions, createCommit, type Refused } from './upload-commit.ts'
import { createReceive, type ReceiveOptions, UPLOAD_CONTENT_TYPE } from './upload-receive.ts'

/** Proxies cut a connection that is silent for a minute: whoever waits for a commit is answered before. */
const ANSWER_MILLIS = 50_000

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
  /** Nothing is to be sent: the upload can be committed at once. Should the commit find no bytes after all, begin anew. */
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
   * Reads the bytes once more and makes the snapshot. The same upload again gives the same snapshot, and `created` false. The
   * work goes on without its caller, and whoever asks for the same upload meanwhile waits for the same work.
   * @throws AppError `NOT_FOUND` when there is no such upload (any more); `OBJECT_MISSING` when not all of it has arrived, or when
   * what was stored already cannot be had: then begin anew. `INVALID_PAYLOAD` when it is not JSON, `BAD_REQUEST` when its size or
   * digest is another than announced, `CONFLICT` as `begin` does: after these three the upload is over, and nothing of it is
   * kept. Retryable codes leave it as it was; with `STORAGE_TIMEOUT` the work may be going on. The reason of `signal`, which
   * lets the caller go and changes nothing.
   */
  commit(uploadId: string, signal?: AbortSignal): Promise<Captured>

  /** Ends the commits that are under way; their uploads stay as they are, for whoever asks the next process. */
  close(): Promise<void>
}

export interface UploadsOptions extends Omit<CommitOptions, 'admission'>, Omit<ReceiveOptions, 'admission'> {
  readonly admission: CommitOptions['admission'] & ReceiveOptions['admission']
  readonly signer: UploadLinkSigner
  /** Longest life of a ticket. */
  readonly maxSeconds: number
  /** How long a commit may keep its caller waiting; default 50,000. */
  readonly answerMillis?: number
}

export function createUploads(options: UploadsOptions): Uploads {
  const { db, storage, signer, maxSeconds, answerMillis = ANSWER_MILLIS } = options
  // A snapshot is found by its row.
  const jobs = createJobs<Captured | Refused>({ answerMillis, keeps: (result) => 'verdict' in result })
  const copies = createStoredCopies(options)
  const commitOnce = createCommit({ ...options, copies })
  const receive = createReceive(options)

  async function sign(upload: Omit<Upload, 'state'>, storageUri: string, expiresInSeconds: number) {
    const { uploadId, sizeBytes, contentDigest } = upload
    const { backend, uri } = storage.resolve(storageUri)
    if (!backend.directUploads) {
      const { url, expiresAt } = signer.sign(uploadId, expiresInSeconds)
      const headers = { 'content-length': String(sizeBytes), 'content-type': UPLOAD_CONTENT_TYPE }
      return { direct: false, parts: [{ url, headers, offset: 0, sizeBytes }], isInParts: false, expiresAt }
    }
    const request = { sizeBytes, sha256: contentDigest, contentType: UPLOAD_CONTENT_TYPE, expiresInSeconds }
    const { parts, multipartId, expiresAt } = await backend.directUploads.sign(uri, request)
    // Without this note the sweeper asks the store for the name.
    if (multipartId !== null) await recordMultipart(db, uploadId, multipartId)
    return { direct: true, parts, isInParts: multipartId !== null, expiresAt }
  }

  async function runCommit(uploadId: string, signal?: AbortSignal): Promise<Captured> {
    const { result, isFirst } = await jobs.run(uploadId, (stopped) => commitOnce(uploadId, stopped), signal)
    if ('verdict' in result) throw result.verdict
    return isFirst ? result : { ...result, created: false }
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
      const isStored = earlier !== null || (await copies.offers({ contentDigest, sizeBytes }))
      const storageUri = isStored ? null : formatStorageUri(storage.newUri(objectKey(named.snapshotId)))
      const upload = { uploadId: randomUUID(), input: named, storageUri, sizeBytes, contentDigest }
      await beginUpload(db, { ...upload, expiresInSeconds })
      if (storageUri === null) return storedTicket(upload.uploadId, expiresInSeconds)
      const signed = await sign({ ...upload, multipartId: null }, storageUri, expiresInSeconds)
      return { uploadId: upload.uploadId, alreadyStored: false, ...signed }
    },

    verify: (rawQuery, uploadId) => signer.verify(rawQuery, uploadId),

    receive,

    async commit(uploadId, signal) {
      if (!isUuid(uploadId)) throw new AppError('NOT_FOUND', 'There is no such upload')
      const key = uploadId.toLowerCase()
      const hasBegun = jobs.has(key)
      return await runCommit(key, signal).catch(async (error: unknown) => {
        // What a job missed that was begun before may have arrived since.
        if (!hasBegun || !isAppError(error, 'OBJECT_MISSING')) throw error
        return await runCommit(key, signal)
      })
    },

    close: () => jobs.close(),
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
  if (sizeBytes > OBJECT_MAX_BYTES) {
    throw new AppError('PAYLOAD_TOO_LARGE', `An upload has at most ${OBJECT_MAX_BYTES} bytes`)
  }
}
