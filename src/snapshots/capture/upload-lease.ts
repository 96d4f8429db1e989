import type { Database } from '../../db/connect.ts'
import { renewUpload } from '../../db/queries/uploads.ts'
import { AppError } from '../../errors.ts'

const RENEW_MILLIS = 60_000
/** Long enough for a database that is away for a while, and for a caller that asks again. */
const LEASE_SECONDS = 600

export interface UploadLeaseOptions {
  readonly db: Database
  readonly uploadId: string
  /** The object that is written or read for it. */
  readonly storageUri: string
  readonly signal?: AbortSignal
  /** Default a minute. */
  readonly renewMillis?: number
}

/**
 * Works for an upload for as long as it takes, and keeps sweepers from it and from its object meanwhile. The work gets a signal that
 * fires with the caller's, and when the upload has ended by other hands.
 * @throws what the work throws; AppError `STORAGE_UNAVAILABLE` when the upload had ended: ask what became of it.
 */
export async function withUploadLease<T>(
  options: UploadLeaseOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { db, uploadId, storageUri, signal, renewMillis = RENEW_MILLIS } = options
  const lost = new AbortController()
  const renew = async () => {
    const isOpen = await renewUpload(db, { uploadId, storageUri, seconds: LEASE_SECONDS })
    if (!isOpen) lost.abort(new AppError('STORAGE_UNAVAILABLE', 'The upload has ended meanwhile'))
  }
  // Its time may be over already.
  await renew()
  lost.signal.throwIfAborted()
  // Where the database does not answer, the lease that runs has room for the next attempts.
  const timer = setInterval(() => void renew().catch(() => {}), renewMillis).unref()
  try {
    return await work(signal ? AbortSignal.any([signal, lost.signal]) : lost.signal)
  } finally {
    clearInterval(timer)
  }
}
