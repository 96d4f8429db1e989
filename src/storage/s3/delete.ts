import {
  DeleteObjectCommand,
  type DeleteObjectCommandOutput,
  GetBucketVersioningCommand,
  ListObjectVersionsCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { unlessAborted } from '../../abort.ts'
import { type AppError, isAppError } from '../../errors.ts'
import type { DoomedObject, StorageUri } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { unusable } from './answers.ts'
import { httpStatus, objectError } from './errors.ts'
import type { Locks } from './lock.ts'
import type { Multipart } from './multipart.ts'

const PAGE_VERSIONS = 100
const MAX_PAGES = 100

export interface DeleteStore {
  readonly control: S3Client
  readonly multipart: Multipart
  readonly locks: Locks
  /** Milliseconds for one request. */
  readonly deadlineMs: number
}

/** What is left of one object, taken away in steps. Each rejects with an `AppError`, or with the signal's reason. */
export interface S3Delete {
  /** First: an upload that is gone makes no object any more. */
  abortUploads(object: DoomedObject, signal?: AbortSignal): Promise<void>
  deleteObject(object: Pick<DoomedObject, 'uri' | 'versionId'>, signal?: AbortSignal): Promise<void>
  /**
   * After an object was deleted whose version is not known: a bucket that keeps versions has only put a mark over it, and need
   * not say so. A key is never used twice: all its versions are those of the object.
   */
  deleteVersions(uri: StorageUri, deleted: { readonly isMarked: boolean }, signal?: AbortSignal): Promise<void>
  /** Whether a bucket does; it is asked once. Who may not know is told no. */
  keepsVersions(bucket: string): Promise<boolean>
  /** The refusal of a store in words of ours, where the reason is a lock; otherwise null. */
  explainRefusal(uri: StorageUri, versionId: string | undefined, signal?: AbortSignal): Promise<AppError | null>
}

export function createS3Delete({ control, multipart, locks, deadlineMs }: DeleteStore): S3Delete {
  /** By bucket. */
  const versioned = new Map<string, Promise<boolean>>()

  async function ask<T>(
    signal: AbortSignal | undefined,
    send: (options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await withDeadline({ deadlineMs, signal }, (abortSignal) => send({ abortSignal }))
    } catch (error) {
      throw signal?.aborted ? signal.reason : objectError(error)
    }
  }

  /** Null where it was absent. */
  async function deleteOne(
    { scheme, bucket, key }: StorageUri,
    versionId: string | undefined,
    signal?: AbortSignal,
  ): Promise<DeleteObjectCommandOutput | null> {
    const command = new DeleteObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId })
    try {
      return await ask(signal, (options) => control.send(command, options))
    } catch (error) {
      if (isAppError(error, 'OBJECT_MISSING')) return null
      throw (isRefusal(error) ? await explainRefusal({ scheme, bucket, key }, versionId, signal) : null) ?? error
    }
  }

  /** Only what keeps versions can lock them. */
  async function explainRefusal(uri: StorageUri, versionId: string | undefined, signal?: AbortSignal) {
    const mayLock = await keepsVersions(uri.bucket).catch(() => false)
    return mayLock ? await locks.explain(uri, versionId, signal) : null
  }

  /** Asked once for each bucket. Who may not know learns it from the marks. */
  function keepsVersions(bucket: string): Promise<boolean> {
    const known = versioned.get(bucket)
    if (known) return known
    const asked = askVersioning(bucket)
    versioned.set(bucket, asked)
    return asked
  }

  async function askVersioning(bucket: string): Promise<boolean> {
    const command = new GetBucketVersioningCommand({ Bucket: bucket })
    try {
      const { Status } = await withDeadline({ deadlineMs }, (abortSignal) => control.send(command, { abortSignal }))
      return Status !== undefined
    } catch (error) {
      const status = httpStatus(error) ?? 500
      if (status < 500 || status === 501) return false
      versioned.delete(bucket)
      throw objectError(error)
    }
  }

  const deleteVersions: S3Delete['deleteVersions'] = async (uri, { isMarked }, signal) => {
    const { bucket, key } = uri
    if (isMarked) versioned.set(bucket, Promise.resolve(true))
    else if (!(await unlessAborted(keepsVersions(bucket), signal))) return
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const command = new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key, MaxKeys: PAGE_VERSIONS })
      const page = await ask(signal, (options) => control.send(command, options))
      // In the order of their keys: those of this key come first.
      const versions = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].filter(({ Key }) => Key === key)
      for (const { VersionId } of versions) await deleteOne(uri, VersionId, signal)
      if (!page.IsTruncated || versions.length === 0) return
    }
    throw unusable('versions that stay')
  }

  return {
    async abortUploads({ uri, multipartId, isUnfinished }, signal) {
      const place = { Bucket: uri.bucket, Key: uri.key }
      try {
        const known = multipartId === null ? [] : [{ ...place, UploadId: multipartId }]
        const uploads = multipartId === null && isUnfinished ? await multipart.find(uri, signal) : known
        for (const upload of uploads) await multipart.abort(upload, signal)
      } catch (error) {
        throw signal?.aborted ? signal.reason : objectError(error)
      }
    },

    async deleteObject({ uri, versionId }, signal) {
      const output = await deleteOne(uri, versionId ?? undefined, signal)
      if (versionId === null) await deleteVersions(uri, { isMarked: output?.DeleteMarker === true }, signal)
    },

    deleteVersions,

    keepsVersions,

    explainRefusal,
  }
}

/** The store answered, and did not want to. */
function isRefusal(error: unknown): boolean {
  return isAppError(error) && error.cause instanceof Error && 'status' in error.cause && error.cause.status === 403
}
