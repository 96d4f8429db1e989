import type { Database } from '../../db/connect.ts'
import { findEarlierCapture, type NewSnapshot } from '../../db/queries/captures.ts'
import { abandonObject } from '../../db/queries/objects.ts'
import { endUpload, findStoredContent, findUpload, type Upload } from '../../db/queries/uploads.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Captured } from '../../model/snapshot.ts'
import type { Storage } from '../../storage/registry.ts'
import type { Admission } from '../source/admission.ts'
import type { Sweeper } from '../upkeep/sweeper.ts'
import { chunksOf } from '../views/payload-bytes.ts'
import type { Payloads } from '../views/payloads.ts'
import { describeCapture, insertOrFind, repeatOf } from './capture-rules.ts'
import { openCapture } from './capture-stream.ts'
import { placementOf } from './placement.ts'
import type { SnapshotWriter } from './writer.ts'

export interface CommitOptions {
  readonly db: Database
  readonly storage: Storage
  readonly sweeper: Pick<Sweeper, 'wake'>
  readonly payloads: Pick<Payloads, 'resolve' | 'open'>
  readonly writer: Pick<SnapshotWriter, 'capture'>
  /** Bounds the commits that read bytes at once. */
  readonly admission: Admission
  readonly inlineMaxBytes: number
}

/** What a sender cannot mend by sending again under the same ticket. */
const FINAL = ['INVALID_PAYLOAD', 'BAD_REQUEST', 'CONFLICT'] as const

/** Makes snapshots of uploads whose bytes have arrived. */
export function createCommit(options: CommitOptions) {
  const { db, storage, sweeper, payloads, writer, admission, inlineMaxBytes } = options

  async function abandon({ storageUri, input }: Upload): Promise<void> {
    if (storageUri === null) return
    // Without this note the sweeper finds the object as well, when the time of the upload is over. A live one it leaves alone.
    await abandonObject(db, storageUri, input.snapshotId).catch(() => {})
    sweeper.wake()
  }

  async function end(upload: Upload, state: 'committed' | 'refused', hasObject = false): Promise<void> {
    // A row that stays open is found committed by its snapshot, and forgotten by the sweeper.
    await endUpload(db, upload.uploadId, state).catch(() => {})
    if (!hasObject) await abandon(upload)
  }

  /** Nothing is kept of it: neither its object nor its parts. */
  async function refuse(upload: Upload): Promise<void> {
    await end(upload, 'refused')
    if (upload.storageUri === null) return
    const { backend, uri } = storage.resolve(upload.storageUri)
    if (upload.multipartId !== null) await backend.directUploads?.abort(uri, upload).catch(() => {})
  }

  /** Reads the object once, in constant memory. */
  async function readObject(upload: Upload, storageUri: string, signal: AbortSignal): Promise<NewSnapshot> {
    const { backend, uri } = storage.resolve(storageUri)
    await backend.directUploads?.complete(uri, upload, { signal })
    const { sizeBytes, body } = await backend.get(uri, { signal })
    const stream = openCapture({ chunks: body, sizeBytes })
    try {
      if (sizeBytes !== upload.sizeBytes) throw otherBytes()
      const whole = await stream.readWhole((size) => placementOf(size, inlineMaxBytes) === 'INLINE')
      if (!whole) for await (const _chunk of stream.rest());
      const measured = stream.measured()
      if (!measured.contentDigest.equals(upload.contentDigest)) throw otherBytes()
      const described = describeCapture(upload.input, measured)
      return whole ? { ...described, payload: whole.toString() } : { ...described, storageUri, stored: stream.stored() }
    } finally {
      stream.close()
      body.destroy()
    }
  }

  async function fromObject(upload: Upload, storageUri: string, signal: AbortSignal): Promise<Captured> {
    const snapshot = await readObject(upload, storageUri, signal)
    const result = await insertOrFind(db, snapshot)
    if (typeof result === 'object') {
      await end(upload, 'committed', result.snapshot.storageUri === storageUri)
      return { snapshot: result.snapshot, created: true }
    }
    return (await repeated(upload)) ?? over()
  }

  /** Of bytes that never were on the way: captured from a snapshot that has them. */
  async function fromStored(upload: Upload, signal: AbortSignal): Promise<Captured> {
    const { sizeBytes } = upload
    const source = await findStoredContent(db, upload)
    if (!source) throw new AppError('OBJECT_MISSING', 'The payload is not here any more: begin anew')
    const { body } = await payloads.open(await payloads.resolve(source, { signal }), { signal })
    const captured = await writer.capture(upload.input, { chunks: chunksOf(body), sizeBytes }, signal)
    await end(upload, 'committed')
    return captured
  }

  /** Another commit of the upload, or another capture under its key, was first. */
  async function repeated(upload: Upload): Promise<Captured | null> {
    const { input, sizeBytes, contentDigest, storageUri } = upload
    const earlier = await findEarlierCapture(db, input)
    if (!earlier) return null
    const captured = repeatOf(earlier, describeCapture(input, { sizeBytes, contentDigest, preview: '' }))
    await end(upload, 'committed', captured.snapshot.storageUri === storageUri)
    return captured
  }

  async function store(upload: Upload, signal: AbortSignal): Promise<Captured> {
    const { storageUri } = upload
    const leave = await admission.uploads.enter(signal)
    try {
      return storageUri === null ? await fromStored(upload, signal) : await fromObject(upload, storageUri, signal)
    } finally {
      leave()
    }
  }

  return async (uploadId: string, signal: AbortSignal): Promise<Captured> => {
    const upload = await findUpload(db, uploadId)
    if (!upload) return over()
    try {
      const captured = await repeated(upload)
      if (captured) return captured
      if (upload.state !== 'open') return over()
      return await store(upload, signal)
    } catch (error) {
      if (FINAL.some((code) => isAppError(error, code))) await refuse(upload)
      throw error
    }
  }
}

function over(): never {
  throw new AppError('NOT_FOUND', 'There is no such upload, or its time is over')
}

function otherBytes(): AppError {
  return new AppError('BAD_REQUEST', 'The bytes that arrived are not those that the upload was begun for')
}
