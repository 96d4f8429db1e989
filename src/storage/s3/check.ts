import { HeadBucketCommand, type S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import type { StorageBackend } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { httpStatus, storeError } from './errors.ts'
import { isUnknownUpload } from './multipart.ts'

export interface CheckOptions {
  readonly control: S3Client
  readonly bucket: string
  /** Milliseconds for all of it. */
  readonly deadlineMs: number
}

/**
 * Asks for the bucket. A key that may not list it is refused there, though it may be good for all else: then a part is sent to an
 * upload that does not exist. That writes nothing, and only who may write is told that there is no such upload.
 */
export function createS3Check({ control, bucket, deadlineMs }: CheckOptions): StorageBackend['check'] {
  async function look(abortSignal: AbortSignal): Promise<void> {
    try {
      await control.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal })
    } catch (error) {
      if (httpStatus(error) !== 403) throw error
      await tryToWrite(abortSignal)
    }
  }

  async function tryToWrite(abortSignal: AbortSignal): Promise<void> {
    // Where new objects go: a policy may allow no more.
    const place = { Bucket: bucket, Key: 'snapshots/0', UploadId: 'none', PartNumber: 1 }
    try {
      await control.send(new UploadPartCommand({ ...place, Body: '' }), { abortSignal })
    } catch (error) {
      if (!isUnknownUpload(error)) throw error
    }
  }

  return async ({ signal } = {}) => {
    try {
      await withDeadline({ deadlineMs, signal }, look)
    } catch (error) {
      throw signal?.aborted ? signal.reason : storeError(error)
    }
  }
}
