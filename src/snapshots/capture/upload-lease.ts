import { renewUpload } from '../../db/queries/uploads.ts'
import { type LeaseOptions, outOfTime, withLease } from './lease.ts'

/** Long enough for signs of life that fail for a while, and for a caller that asks again. */
const LEASE_SECONDS = 900

export interface UploadLeaseOptions extends Omit<LeaseOptions, 'renew' | 'graceSeconds'> {
  readonly uploadId: string
}

/**
 * Works for an upload for as long as it takes, and keeps sweepers from it and from its object meanwhile, as `withLease` does.
 * @throws as `withLease` does, also when the upload had ended before: ask what became of it.
 */
export async function withUploadLease<T>(
  options: UploadLeaseOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { db, uploadId, storageUri } = options
  const renew = () => renewUpload(db, { uploadId, storageUri, seconds: LEASE_SECONDS })
  // Its time may be over already.
  if (!(await renew())) throw outOfTime()
  return await withLease({ ...options, renew, graceSeconds: LEASE_SECONDS }, work)
}
