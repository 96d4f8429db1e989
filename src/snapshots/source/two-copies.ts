import type { Database } from '../../db/connect.ts'
import { settleOnCopy, settleOnObject } from '../../db/queries/snapshot-findings.ts'
import { AppError, type ErrorCode, isAppError } from '../../errors.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { refuseAbove, slice } from '../views/payload-bytes.ts'
import type { OpenedObject } from './foreign-json.ts'
import type { ObjectOptions } from './stored-objects.ts'

/** What the copy in the row stands in for: the object is gone, is not what the digest says, or can never be read. */
const LOST: readonly ErrorCode[] = [
  'OBJECT_MISSING',
  'OBJECT_CORRUPT',
  'INVALID_PAYLOAD',
  'STORAGE_URI_REJECTED',
  'UNSUPPORTED_STORAGE_SCHEME',
]
/** The object may be right, and another time it can be had. */
const AWAY: readonly ErrorCode[] = ['STORAGE_UNAVAILABLE', 'STORAGE_TIMEOUT']

/** Whether a failure to read the object says that it is of no use, now and later. */
export function isLost(error: unknown): error is AppError {
  return isAppError(error) && LOST.includes(error.code)
}

export interface OneOfTwo {
  /** The snapshot as it is once only this source is left: with its size, and without the other. */
  readonly snapshot: Snapshot
  readonly opened: OpenedObject
}

export interface TwoCopiesOptions {
  readonly db: Database
  /** Opens the object, which is JSON and has the row's digest. */
  readonly openObject: (snapshot: Snapshot, options: ObjectOptions) => Promise<OpenedObject>
  /** Null when the row is gone. */
  readonly loadCopy: (snapshotId: string) => Promise<Buffer | null>
}

/**
 * Opens a state that another writer left twice, as an object and as a copy in the row: the object if it is JSON and has the
 * row's digest, otherwise the copy. What was found out is noted in the row, unless the store may only be away.
 * @throws as `Payloads.open` does, but for what the copy stands in for.
 */
export function createTwoCopies({ db, openObject, loadCopy }: TwoCopiesOptions) {
  // A reader never waits for such a note, nor fails with it.
  const settle = (snapshot: Snapshot) => void settleOnCopy(db, snapshot).catch(() => {})

  async function openTheObject(snapshot: Snapshot, options: ObjectOptions): Promise<OneOfTwo> {
    const opened = await openObject(snapshot, options)
    const { sizeBytes, body } = opened
    if (snapshot.sizeBytes !== sizeBytes || snapshot.storageState !== 'AVAILABLE') {
      settleOnObject(db, { ...snapshot, sizeBytes }).catch(() => {})
    }
    if (!Buffer.isBuffer(body)) body.once('error', (error) => isAppError(error, 'OBJECT_CORRUPT') && settle(snapshot))
    return { opened, snapshot: { ...snapshot, hasInlineCopy: false, sizeBytes, digestOf: 'PAYLOAD' } }
  }

  async function openCopy(snapshot: Snapshot, { maxBytes, range }: ObjectOptions): Promise<OneOfTwo> {
    const inlinePayload = await loadCopy(snapshot.snapshotId)
    if (inlinePayload === null) throw new AppError('OBJECT_MISSING', 'The snapshot has no payload')
    const sizeBytes = inlinePayload.length
    refuseAbove(maxBytes, sizeBytes)
    const source = { storageUri: null, hasInlineCopy: false, inlinePayload, sizeBytes } as const
    const digestOf = snapshot.digest === null ? null : 'SOURCE'
    return { opened: slice(inlinePayload, range), snapshot: { ...snapshot, ...source, digestOf } }
  }

  return async (snapshot: Snapshot, options: ObjectOptions): Promise<OneOfTwo> => {
    try {
      if (snapshot.digest !== null) return await openTheObject(snapshot, options)
      settle(snapshot)
    } catch (error) {
      if (isLost(error)) settle(snapshot)
      else if (!isAppError(error) || !AWAY.includes(error.code)) throw error
    }
    return await openCopy(snapshot, options)
  }
}
