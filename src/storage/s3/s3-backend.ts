import { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3'
import { AppError, isAppError } from '../../errors.ts'
import { withDeadline } from '../abort.ts'
import type { ByteRange, GetOptions, StorageBackend, StoredObject } from '../backend.ts'
import { countedBody } from '../counted-body.ts'
import { createS3Clients, type S3Connection } from './client.ts'
import { createCreateOnly } from './create-only.ts'
import { objectError, storeError } from './errors.ts'
import { createS3Put } from './put.ts'
import { createS3Sign } from './sign.ts'
import { createS3DirectUploads } from './tickets.ts'

const DEFAULT_DEADLINE_MS = 10_000

export interface S3BackendOptions extends S3Connection {
  readonly scheme: 's3' | 'minio'
  /** Where new objects go, and what `check` asks for; a URI may name another one. */
  readonly bucket: string
  /** Milliseconds until an answer must have begun, retries included; 10,000 when left out. */
  readonly deadlineMs?: number
}

/** Objects in S3, or in a store that speaks its protocol. */
export function createS3Backend(options: S3BackendOptions): StorageBackend {
  const { bucket, deadlineMs = DEFAULT_DEADLINE_MS } = options
  const clients = createS3Clients(options)
  const { data, control } = clients
  const createOnly = createCreateOnly(clients)

  return {
    async get(uri, getOptions = {}) {
      const { range, ifMatch, signal } = getOptions
      const input = { Bucket: uri.bucket, Key: uri.key, Range: rangeHeader(range), IfMatch: ifMatch }
      const command = new GetObjectCommand(input)
      const answer = withDeadline({ deadlineMs, signal }, (abortSignal) => data.send(command, { abortSignal }))
      return openBody(await answer.catch(rethrow(objectError, signal)), getOptions)
    },

    async stat(uri, { signal } = {}) {
      const command = new HeadObjectCommand({ Bucket: uri.bucket, Key: uri.key })
      const answer = withDeadline({ deadlineMs, signal }, (abortSignal) => control.send(command, { abortSignal }))
      const output = await answer.catch(rethrow(objectError, signal))
      if (output.ContentLength === undefined) throw unusable('no length')
      return { sizeBytes: output.ContentLength, etag: strongEtag(output) }
    },

    put: createS3Put({ data, createOnly }),

    async delete(uri, { signal } = {}) {
      const command = new DeleteObjectCommand({ Bucket: uri.bucket, Key: uri.key })
      const answer = withDeadline({ deadlineMs, signal }, (abortSignal) => control.send(command, { abortSignal }))
      await answer.catch(rethrow(objectError, signal)).catch(ignoreMissing)
    },

    getSignedUrl: createS3Sign(clients),

    directUploads: createS3DirectUploads({ ...clients, createOnly }),

    async check({ signal } = {}) {
      const command = new HeadBucketCommand({ Bucket: bucket })
      const answer = withDeadline({ deadlineMs, signal }, (abortSignal) => control.send(command, { abortSignal }))
      await answer.catch(rethrow(storeError, signal))
    },

    close() {
      clients.close()
    },
  }
}

function rethrow(toError: (error: unknown) => AppError, signal: AbortSignal | undefined): (error: unknown) => never {
  return (error) => {
    throw signal?.aborted ? signal.reason : toError(error)
  }
}

function ignoreMissing(error: unknown): void {
  if (!isAppError(error, 'OBJECT_MISSING')) throw error
}

function openBody(output: GetObjectCommandOutput, { range, ifMatch, signal }: GetOptions): StoredObject {
  const source = output.Body
  if (!(source instanceof Readable)) throw unusable('no body')
  try {
    const etag = strongEtag(output)
    // For a store that does not know the condition.
    if (ifMatch !== undefined && ifMatch !== etag) throw new AppError('CONFLICT', 'The object is another version')
    const { sizeBytes, expectedBytes } = readExtent(output, range)
    const body = countedBody(source, { expectedBytes, signal, toError: storeError })
    return { sizeBytes, etag, body }
  } catch (error) {
    source.destroy()
    throw error
  }
}

/** A weak one stays the same while the bytes change. */
function strongEtag({ ETag: etag }: GetObjectCommandOutput | HeadObjectCommandOutput): string | null {
  return !etag || etag.startsWith('W/') ? null : etag
}

/** HTTP ranges are closed. */
function rangeHeader(range: ByteRange | undefined): string | undefined {
  if (range === undefined) return undefined
  const { start, end } = range
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start >= end) {
    throw new AppError('RANGE_NOT_SATISFIABLE', 'The range is empty')
  }
  return `bytes=${start}-${end - 1}`
}

/** Size of the whole object, and how many bytes of it this answer must hold. */
function readExtent(output: GetObjectCommandOutput, range: ByteRange | undefined) {
  if (range === undefined) {
    if (output.ContentLength === undefined) throw unusable('no length')
    return { sizeBytes: output.ContentLength, expectedBytes: output.ContentLength }
  }
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(output.ContentRange ?? '') ?? []
  if (start === undefined || Number(start) !== range.start) throw unusable('another range')
  const sizeBytes = Number(total)
  // A store cuts a range at the end of the object, where our contract refuses it.
  if (range.end > sizeBytes) throw new AppError('RANGE_NOT_SATISFIABLE', `The object has ${sizeBytes} bytes`)
  return { sizeBytes, expectedBytes: range.end - range.start }
}

function unusable(what: string): AppError {
  return new AppError('STORAGE_UNAVAILABLE', `Object storage answered with ${what}`)
}
