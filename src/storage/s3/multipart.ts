import { setTimeout as delay } from 'node:timers/promises'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
} from '@aws-sdk/client-s3'
import type { StorageUri } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { unusable } from './answers.ts'
import type { S3Clients } from './client.ts'
import type { Condition, Made, NewObject } from './create-only.ts'
import { httpStatus } from './errors.ts'
import type { WhileAlive } from './while-alive.ts'

/** A store puts the parts together before it answers. */
const COMPLETE_MS = 120_000
const PAGE_UPLOADS = 100
/** What failed is told after so long at the latest; the store may take longer. */
const ABORT_WAIT_MS = 2000

/** One upload in parts, as the store knows it. */
export interface UploadPlace {
  readonly Bucket: string
  readonly Key: string
  readonly UploadId: string
}

export interface Multipart {
  /** @throws what the SDK throws; AppError `STORAGE_UNAVAILABLE` for an answer without a name. */
  begin(
    object: Pick<NewObject, 'Bucket' | 'Key'> & Partial<NewObject>,
    options: { readonly contentType: string | undefined; readonly signal?: AbortSignal },
  ): Promise<UploadPlace>

  /** Makes the object; who asks looks whether the answer names one. */
  complete(
    place: UploadPlace,
    parts: readonly CompletedPart[],
    options: { readonly condition?: Condition; readonly signal?: AbortSignal },
  ): Promise<Made>

  /** One that the store does not know is no error. */
  abort(place: UploadPlace, signal?: AbortSignal): Promise<void>

  /** Every upload that was to become this object. */
  find(uri: StorageUri, signal?: AbortSignal): Promise<UploadPlace[]>
}

export interface MultipartOptions extends Pick<S3Clients, 'control' | 'write'> {
  readonly whileAlive: WhileAlive
  readonly deadlineMs: number
}

export function createMultipart({ control, write, whileAlive, deadlineMs }: MultipartOptions): Multipart {
  const soon = <T>(signal: AbortSignal | undefined, send: (options: { abortSignal: AbortSignal }) => Promise<T>) =>
    withDeadline({ deadlineMs, signal }, (abortSignal) => send({ abortSignal }))

  return {
    async begin(object, { contentType, signal }) {
      const command = new CreateMultipartUploadCommand({ ...object, ContentType: contentType })
      const { UploadId } = await soon(signal, (options) => write.send(command, options))
      if (!UploadId) throw unusable('no name of an upload')
      return { Bucket: object.Bucket, Key: object.Key, UploadId }
    },

    async complete(place, parts, { condition, signal }) {
      const command = new CompleteMultipartUploadCommand({
        ...place,
        ...condition,
        MultipartUpload: { Parts: [...parts] },
      })
      return await whileAlive({ totalMs: COMPLETE_MS, signal }, (options) => write.send(command, options))
    },

    async abort(place, signal) {
      const command = new AbortMultipartUploadCommand(place)
      try {
        await soon(signal, (options) => control.send(command, options))
      } catch (error) {
        if (!isUnknownUpload(error)) throw error
      }
    },

    async find({ bucket, key }, signal) {
      const found: UploadPlace[] = []
      let marker: { readonly KeyMarker?: string; readonly UploadIdMarker?: string } = {}
      while (true) {
        const input = { Bucket: bucket, Prefix: key, MaxUploads: PAGE_UPLOADS, ...marker }
        const page = await soon(signal, (options) => control.send(new ListMultipartUploadsCommand(input), options))
        for (const { Key, UploadId } of page.Uploads ?? []) {
          if (Key === key && UploadId) found.push({ Bucket: bucket, Key, UploadId })
        }
        const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page
        // In the order of their keys: those of this key come first, since it begins all others. A store may repeat itself.
        if (!IsTruncated || KeyMarker !== key || UploadIdMarker === marker.UploadIdMarker) return found
        marker = { KeyMarker, UploadIdMarker }
      }
    },
  }
}

/** Takes back the parts of an upload that failed, whatever its caller does. Those that stay all the same are for `delete`. */
export async function takeBack(multipart: Multipart, place: UploadPlace): Promise<void> {
  const waited = new AbortController()
  const aborted = multipart.abort(place).catch(() => undefined)
  await Promise.race([aborted, delay(ABORT_WAIT_MS, undefined, { signal: waited.signal }).catch(() => undefined)])
  waited.abort()
}

/** It was completed or aborted. Stores name it in more than one way. */
export function isUnknownUpload(error: unknown): boolean {
  return httpStatus(error) === 404 && error instanceof Error && error.name !== 'NoSuchBucket'
}
