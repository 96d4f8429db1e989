import {
  GetBucketVersioningCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { AppError } from '../../errors.ts'
import type { StorageBackend, StorageUri } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { lockedError } from '../locked.ts'
import { httpStatus, storeError } from './errors.ts'

export interface LockStore {
  readonly control: S3Client
  readonly deadlineMs: number
}

/** Why a store may refuse to delete what it would let one read and write. */
export interface Locks {
  /**
   * The refusal in words of ours where the version is locked; null where it is not, or nobody may know.
   * @throws the signal's reason, and nothing else.
   */
  explain(uri: StorageUri, versionId: string | undefined, signal?: AbortSignal): Promise<AppError | null>
}

export function createLocks({ control, deadlineMs }: LockStore): Locks {
  /** Undefined for what is not there, not known or not told. */
  async function ask<T>(signal: AbortSignal | undefined, send: (abortSignal: AbortSignal) => Promise<T>) {
    try {
      return await withDeadline({ deadlineMs, signal }, send)
    } catch {
      signal?.throwIfAborted()
      return undefined
    }
  }

  return {
    async explain({ bucket, key }, versionId, signal) {
      const place = { Bucket: bucket, Key: key, VersionId: versionId }
      const found = await ask(signal, (abortSignal) =>
        control.send(new GetObjectRetentionCommand(place), { abortSignal }),
      )
      const until = found?.Retention?.RetainUntilDate
      if (until) return lockedError(until.toISOString())
      const hold = await ask(signal, (abortSignal) =>
        control.send(new GetObjectLegalHoldCommand(place), { abortSignal }),
      )
      return hold?.LegalHold?.Status === 'ON' ? lockedError(null) : null
    },
  }
}

/** Asks what the bucket keeps of what is deleted. Who may not know is told that it keeps nothing. */
export function createKeeping(
  { control, deadlineMs }: LockStore,
  bucket: string,
): NonNullable<StorageBackend['keeping']> {
  return async ({ signal } = {}) => {
    async function ask<T>(send: (abortSignal: AbortSignal) => Promise<T>): Promise<T | undefined> {
      try {
        return await withDeadline({ deadlineMs, signal }, send)
      } catch (error) {
        signal?.throwIfAborted()
        const status = httpStatus(error)
        // Not allowed, not there, or not known at all.
        if (status !== undefined && (status < 500 || status === 501)) return undefined
        throw storeError(error)
      }
    }
    const place = { Bucket: bucket }
    const versioning = await ask((abortSignal) => control.send(new GetBucketVersioningCommand(place), { abortSignal }))
    const lock = await ask((abortSignal) => control.send(new GetObjectLockConfigurationCommand(place), { abortSignal }))
    const { Days, Years, Mode } = lock?.ObjectLockConfiguration?.Rule?.DefaultRetention ?? {}
    const days = Days ?? (Years === undefined ? undefined : 365 * Years)
    return {
      versions: versioning?.Status !== undefined,
      lock: days === undefined ? null : { days, mode: Mode ?? 'unknown' },
    }
  }
}
