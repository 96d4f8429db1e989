import { setImmediate } from 'node:timers/promises'
import { HeadObjectCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import type { BegunUpload, DirectUploads, SignedPart, SignedUpload, StorageUri, UploadRequest } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { unusable } from './answers.ts'
import type { S3Clients } from './client.ts'
import { type CreateOnly, newObject } from './create-only.ts'
import type { S3Delete } from './delete.ts'
import { objectError, storeError } from './errors.ts'
import { isUnknownUpload, type Multipart } from './multipart.ts'
import { listParts, partsOf } from './parts.ts'
import { type SigningWindow, signingWindow } from './sign.ts'

/** Up to here a body is sent by one request, whose checksum the store can check. */
const ONE_PUT_BYTES = 100_000_000
const DEADLINE_MS = 10_000

interface TicketStore extends Pick<S3Clients, 'control' | 'signing'> {
  readonly createOnly: CreateOnly
  readonly multipart: Multipart
  readonly steps: S3Delete
}

/** Signs for the public endpoint what others send; its own requests go by the control client. */
export function createS3DirectUploads(store: TicketStore): DirectUploads {
  const { control, signing, createOnly, multipart, steps } = store

  /** Once a process: whether the store heeds `If-None-Match` is tried on the new object's own place, and leaves nothing there. */
  async function learnCondition(uri: StorageUri): Promise<void> {
    if (createOnly.isSettled()) return
    const object = newObject(uri, 'trial')
    const { versionId } = await createOnly.write(object, 0, (condition) =>
      ask((o) => control.send(new PutObjectCommand({ ...object, ...condition, Body: '' }), o)),
    )
    await steps.deleteObject({ uri, versionId })
  }

  async function signWhole(uri: StorageUri, request: UploadRequest, window: SigningWindow): Promise<SignedPart> {
    await learnCondition(uri)
    const { sizeBytes, sha256, contentType } = request
    const checksum = sha256.toString('base64')
    const condition = createOnly.condition()
    const command = new PutObjectCommand({
      Bucket: uri.bucket,
      Key: uri.key,
      ContentLength: sizeBytes,
      ContentType: contentType,
      ChecksumSHA256: checksum,
      ...condition,
    })
    const headers = {
      'content-length': String(sizeBytes),
      'content-type': contentType,
      'x-amz-checksum-sha256': checksum,
      ...(condition.IfNoneMatch && { 'if-none-match': condition.IfNoneMatch }),
    }
    return { url: await sign(command, headers, window), headers, offset: 0, sizeBytes }
  }

  async function signPart(part: Omit<SignedPart, 'url' | 'headers'>, place: PartPlace, window: SigningWindow) {
    const { offset, sizeBytes } = part
    const command = new UploadPartCommand({ ...place, ContentLength: sizeBytes })
    const headers = { 'content-length': String(sizeBytes) }
    return { url: await sign(command, headers, window), headers, offset, sizeBytes }
  }

  async function sign(
    command: PutObjectCommand | UploadPartCommand,
    headers: Readonly<Record<string, string>>,
    { expiresIn, signingDate }: SigningWindow,
  ): Promise<string> {
    const names = Object.keys(headers)
    // In the headers and not in the query, where a store does not look for them.
    const signed = { signableHeaders: new Set(['host', ...names]), unhoistableHeaders: new Set(names) }
    // A union of commands is none that the type of the presigner knows.
    return await getSignedUrl(signing, command as PutObjectCommand, { expiresIn, signingDate, ...signed })
  }

  async function signParts(uri: StorageUri, request: UploadRequest, window: SigningWindow): Promise<SignedUpload> {
    const { sizeBytes, contentType } = request
    const place = { Bucket: uri.bucket, Key: uri.key }
    const { UploadId } = await multipart.begin(place, { contentType })
    const parts: SignedPart[] = []
    for (const [index, part] of partsOf(sizeBytes).entries()) {
      // A thousand signatures take a second: other requests get their turn between them.
      await setImmediate()
      parts.push(await signPart(part, { ...place, UploadId, PartNumber: index + 1 }, window))
    }
    return { parts, multipartId: UploadId, expiresAt: window.expiresAt }
  }

  async function complete(uri: StorageUri, { sizeBytes, multipartId }: BegunUpload, signal?: AbortSignal) {
    const place = { Bucket: uri.bucket, Key: uri.key, UploadId: multipartId ?? '' }
    const Parts = await listParts(place, sizeBytes, (command) =>
      ask((options) => control.send(command, options), signal),
    )
    const made = await multipart.complete(place, Parts, { signal })
    if (!made.ETag) await checkMade(uri, sizeBytes)
  }

  /** Of an answer that does not name what was made, as that of Ceph 16: whether it is there, and whole. */
  async function checkMade({ bucket, key }: StorageUri, sizeBytes: number): Promise<void> {
    const command = new HeadObjectCommand({ Bucket: bucket, Key: key })
    const { ContentLength } = await ask((options) => control.send(command, options))
    if (ContentLength !== sizeBytes) throw unusable('no name of what was stored')
  }

  return {
    async sign(uri, request) {
      try {
        const window = await signingWindow(signing, request.expiresInSeconds)
        if (request.sizeBytes > ONE_PUT_BYTES) return await signParts(uri, request, window)
        return { parts: [await signWhole(uri, request, window)], multipartId: null, expiresAt: window.expiresAt }
      } catch (error) {
        throw storeError(error)
      }
    },

    async complete(uri, upload, { signal } = {}) {
      signal?.throwIfAborted()
      if (upload.multipartId === null) return
      try {
        await complete(uri, upload, signal)
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        if (!isUnknownUpload(error)) throw objectError(error)
      }
    },

    async abort(uri, { sizeBytes, multipartId }) {
      if (sizeBytes <= ONE_PUT_BYTES) return
      // Where the store's answer was lost, so was the upload's name.
      await steps.abortUploads({ uri, multipartId, versionId: null, isUnfinished: true })
    },
  }
}

interface PartPlace {
  readonly Bucket: string
  readonly Key: string
  readonly UploadId: string
  readonly PartNumber: number
}

type RequestOptions = { readonly abortSignal: AbortSignal }

function ask<T>(send: (options: RequestOptions) => Promise<T>, signal?: AbortSignal): Promise<T> {
  return withDeadline({ deadlineMs: DEADLINE_MS, signal }, (abortSignal) => send({ abortSignal }))
}
