import type { Database } from '../../db/connect.ts'
import { findEarlierCapture, type NewSnapshot } from '../../db/queries/captures.ts'
import { abandonObject, beginObject } from '../../db/queries/objects.ts'
import { endUpload, findUpload, type Upload } from '../../db/queries/uploads.ts'
import { AppError, type ErrorCode, isAppError } from '../../errors.ts'
import type { JsonIndex } from '../../json/parts/json-index.ts'
import type { Captured } from '../../model/snapshot.ts'
import type { Storage } from '../../storage/registry.ts'
import { formatStorageUri } from '../../storage/uri.ts'
import { subjectOfDigest } from '../indexes/index-subject.ts'
import type { StateIndexes } from '../indexes/state-indexes.ts'
import type { Admission } from '../source/admission.ts'
import type { Sweeper } from '../upkeep/sweeper.ts'
import { describeCapture, insertOrFind, objectKey, repeatOf } from './capture-rules.ts'
import { openCapture } from './capture-stream.ts'
import { placementOf } from './placement.ts'
import type { StoredCopies } from './stored-copies.ts'
import { withUploadLease } from './upload-lease.ts'

export interface CommitOptions {
  readonly db: Database
  readonly storage: Storage
  readonly sweeper: Pick<Sweeper, 'wake'>
  readonly indexes: Pick<StateIndexes, 'keepSoon'>
  /** Bounds the commits that read or copy bytes at once. */
  readonly admission: Pick<Admission, 'commits'>
  readonly inlineMaxBytes: number
  /** Seconds between signs of life of what is under way. */
  readonly renewSeconds?: number
}

/** What is to be stored of an upload that has arrived. */
interface ReadBack {
  readonly snapshot: NewSnapshot
  readonly index: JsonIndex | null
}

/** What a commit itself finds out about an upload: it can never become a snapshot. Nothing else ends one. */
class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly verdict: AppError

  constructor(verdict: AppError) {
    super(verdict.message)
    this.verdict = verdict
  }
}

/** The upload is over, and this is why. */
export interface Refused {
  readonly verdict: AppError
}

/**
 * Makes snapshots of uploads whose bytes have arrived, or are to be copied. What it throws leaves the upload as it was, and so does
 * the signal, which cancels it.
 */
export function createCommit({ copies, ...options }: CommitOptions & { readonly copies: StoredCopies }) {
  const { db, storage, sweeper, indexes, admission, inlineMaxBytes, renewSeconds } = options

  async function abandon(storageUri: string, snapshotId: string): Promise<void> {
    // Without this note the sweeper finds the object as well, when the time of the upload is over. A live one it leaves alone.
    await abandonObject(db, storageUri, snapshotId).catch(() => {})
    sweeper.wake()
  }

  /** @param keptUri of the object that is the snapshot's. */
  async function end(upload: Upload, state: 'committed' | 'refused', keptUri: string | null = null): Promise<void> {
    const { uploadId, storageUri, input } = upload
    // A row that stays open is found committed by its snapshot, and forgotten by the sweeper.
    await endUpload(db, uploadId, state).catch(() => {})
    if (storageUri !== null && storageUri !== keptUri) await abandon(storageUri, input.snapshotId)
  }

  /** Nothing is kept of it: neither its object nor its parts. */
  async function refuse(upload: Upload): Promise<void> {
    await end(upload, 'refused')
    // What the store keeps all the same is the sweeper's.
    await abortParts(upload).catch(() => {})
  }

  async function abortParts(upload: Upload): Promise<void> {
    if (upload.storageUri === null || upload.multipartId === null) return
    const { backend, uri } = storage.resolve(upload.storageUri)
    await backend.directUploads?.abort(uri, upload)
  }

  /** Reads the object once, in constant memory. */
  async function readObject(upload: Upload, storageUri: string, signal: AbortSignal): Promise<ReadBack> {
    const { backend, uri } = storage.resolve(storageUri)
    await refusedBy(['BAD_REQUEST'], async () => backend.directUploads?.complete(uri, upload, { signal }))
    const { sizeBytes, body } = await backend.get(uri, { signal })
    const stream = openCapture({ chunks: body, sizeBytes })
    try {
      if (sizeBytes !== upload.sizeBytes) throw otherBytes()
      const whole = await refusedBy(['INVALID_PAYLOAD'], async () => {
        const small = await stream.readWhole((size) => placementOf(size, inlineMaxBytes) === 'INLINE')
        if (!small) for await (const _chunk of stream.rest());
        return small
      })
      const measured = stream.measured()
      if (!measured.contentDigest.equals(upload.contentDigest)) throw otherBytes()
      const described = describeCapture(upload.input, measured)
      if (whole) return { snapshot: { ...described, payload: whole.toString() }, index: null }
      return { snapshot: { ...described, storageUri, stored: stream.stored() }, index: stream.index() }
    } finally {
      stream.close()
      body.destroy()
    }
  }

  async function insert(upload: Upload, snapshot: NewSnapshot): Promise<Captured | null> {
    const captured = await refusedBy(['BAD_REQUEST', 'CONFLICT'], () => insertOrFind(db, snapshot))
    if (captured) await end(upload, 'committed', captured.snapshot.storageUri)
    return captured
  }

  async function fromObject(upload: Upload, storageUri: string, signal: AbortSignal): Promise<Captured | null> {
    const { snapshot, index } = await readObject(upload, storageUri, signal)
    const captured = await insert(upload, snapshot)
    if (captured?.created && index) await indexes.keepSoon(subjectOfDigest(captured.snapshot), index)
    return captured
  }

  /** Of bytes that never were on the way. */
  async function fromCopy(upload: Upload, storageUri: string, signal: AbortSignal): Promise<Captured | null> {
    const { snapshotId } = upload.input
    try {
      await beginObject(db, storageUri, snapshotId)
      const snapshot = await refusedBy(['OBJECT_MISSING'], () => copies.copy(upload, storageUri, signal))
      const captured = await insert(upload, snapshot)
      if (captured?.snapshot.storageUri !== storageUri) await abandon(storageUri, snapshotId)
      return captured
    } catch (error) {
      // Another attempt makes a copy of its own.
      await abandon(storageUri, snapshotId)
      throw error
    }
  }

  /** Another commit of the upload, or another capture under its key, was first. */
  async function repeated(upload: Upload): Promise<Captured | null> {
    const { input, sizeBytes, contentDigest } = upload
    const earlier = await findEarlierCapture(db, input)
    if (!earlier) return null
    const described = describeCapture(input, { sizeBytes, contentDigest, preview: '' })
    const captured = await refusedBy(['CONFLICT'], async () => repeatOf(earlier, described))
    await end(upload, 'committed', captured.snapshot.storageUri)
    return captured
  }

  async function store(upload: Upload, signal: AbortSignal): Promise<Captured | null> {
    const { uploadId, input } = upload
    const make = upload.storageUri === null ? fromCopy : fromObject
    const storageUri = upload.storageUri ?? formatStorageUri(storage.newUri(objectKey(input.snapshotId)))
    const leave = await admission.commits.enter(signal)
    try {
      const lease = { db, uploadId, storageUri, signal, renewSeconds }
      return await withUploadLease(lease, (held) => make(upload, storageUri, held))
    } finally {
      leave()
    }
  }

  async function storeUnlessEnded(upload: Upload, signal: AbortSignal): Promise<Captured | null> {
    try {
      return await store(upload, signal)
    } catch (error) {
      // Another process may have committed it, and taken the object away, under the hands of this one.
      const earlier = error instanceof Refusal || signal.aborted ? null : await repeated(upload)
      if (earlier) return earlier
      throw error
    }
  }

  return async (uploadId: string, signal: AbortSignal): Promise<Captured | Refused> => {
    const upload = await findUpload(db, uploadId)
    if (!upload) return over()
    try {
      const earlier = await repeated(upload)
      if (earlier) return earlier
      if (upload.state !== 'open') return over(upload)
      return (await storeUnlessEnded(upload, signal)) ?? (await repeated(upload)) ?? over(upload)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      await refuse(upload)
      return { verdict: error.verdict }
    }
  }
}

/** Runs what may find out something about the upload itself. @throws Refusal where it fails with one of the codes. */
async function refusedBy<T>(codes: readonly ErrorCode[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const verdict = codes.some((code) => isAppError(error, code)) ? error : null
    throw isAppError(verdict) ? new Refusal(verdict) : error
  }
}

/** Where nothing was to be sent, the caller still has the bytes. */
function over(upload?: Upload): never {
  if (upload?.storageUri === null) throw new AppError('OBJECT_MISSING', 'The payload is not here: begin anew')
  throw new AppError('NOT_FOUND', 'There is no such upload, or its time is over')
}

function otherBytes(): Refusal {
  return new Refusal(new AppError('BAD_REQUEST', 'The bytes that arrived are not those that the upload was begun for'))
}
