import { Readable } from 'node:stream'
import { GetObjectCommand, type GetObjectCommandOutput, HeadObjectCommand } from '@aws-sdk/client-s3'
import { AppError } from '../../errors.ts'
import type { ByteRange, GetOptions, RawBackend, RawObject } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { strongEtag, unusable } from './answers.ts'
import { createS3Check } from './check.ts'
import { createS3Clients, type S3Connection } from './client.ts'
import { type CopyRules, createS3Copy, S3_COPY_RULES } from './copy.ts'
import { createCreateOnly } from './create-only.ts'
import { createS3Delete } from './delete.ts'
import { createDeleteMany } from './delete-many.ts'
import { objectError, storeError } from './errors.ts'
import { createS3List } from './list.ts'
import { createKeeping, createLocks } from './lock.ts'
import { createMultipart } from './multipart.ts'
import { type PartRules, S3_PART_RULES } from './part-plan.ts'
import { createS3Put } from './put.ts'
import { createS3Sign } from './sign.ts'
import { createS3DirectUploads } from './tickets.ts'
import { createWhileAlive } from './while-alive.ts'

const DEFAULT_DEADLINE_MS = 10_000

export interface S3BackendOptions extends S3Connection {
  readonly scheme: 's3' | 'minio'
  /** Where new objects go, and what `check` asks for; a URI may name another one. */
  readonly bucket: string
  /** Milliseconds until an answer must have begun, retries included; 10,000 when left out. */
  readonly deadlineMs?: number
  /** How bodies are cut; S3's own limits when left out. */
  readonly partRules?: PartRules
  /** The same for copies. */
  readonly copyRules?: CopyRules
}

/** Objects in S3, or in a store that speaks its protocol. */
export function createS3Backend(options: S3BackendOptions): RawBackend {
  const { bucket, deadlineMs = DEFAULT_DEADLINE_MS, partRules = S3_PART_RULES, copyRules = S3_COPY_RULES } = options
  const clients = createS3Clients(options)
  const { control } = clients
  const createOnly = createCreateOnly({ ...clients, deadlineMs })
  const whileAlive = createWhileAlive({ control, bucket, deadlineMs })
  const multipart = createMultipart({ ...clients, whileAlive, deadlineMs })
  const locks = createLocks({ control, deadlineMs })
  const store = { ...clients, createOnly, locks, whileAlive, multipart, deadlineMs, rules: partRules, copyRules }
  const steps = createS3Delete(store)

  return {
    async get(uri, getOptions = {}) {
      const { range, ifMatch, isAgain, signal } = getOptions
      const input = { Bucket: uri.bucket, Key: uri.key, Range: rangeHeader(range), IfMatch: ifMatch }
      const command = new GetObjectCommand(input)
      const client = isAgain ? clients.readOnce : clients.read
      const answer = withDeadline({ deadlineMs, signal }, (abortSignal) => client.send(command, { abortSignal }))
      return openBody(await answer.catch(rethrow(signal)), getOptions)
    },

    async stat(uri, { signal } = {}) {
      const command = new HeadObjectCommand({ Bucket: uri.bucket, Key: uri.key })
      const answer = withDeadline({ deadlineMs, signal }, (abortSignal) => control.send(command, { abortSignal }))
      const output = await answer.catch(rethrow(signal))
      if (output.ContentLength === undefined) throw unusable('no length')
      const { ContentLength: sizeBytes, ContentEncoding: contentEncoding } = output
      const coded = contentEncoding === undefined ? {} : { contentEncoding }
      return { sizeBytes, etag: strongEtag(output), ...coded }
    },

    put: createS3Put(store),

    copy: createS3Copy(store),

    async delete(uri, { multipartId = null, versionId = null, isUnfinished = false, signal } = {}) {
      signal?.throwIfAborted()
      const object = { uri, multipartId, versionId, isUnfinished }
      await steps.abortUploads(object, signal)
      await steps.deleteObject(object, signal)
    },

    deleteMany: createDeleteMany(store, steps),

    list: createS3List(store, steps),

    getSignedUrl: createS3Sign(clients),

    directUploads: createS3DirectUploads({ ...store, steps }),

    keeping: createKeeping(store, bucket),

    check: createS3Check({ control, bucket, deadlineMs }),

    close() {
      clients.close()
    },
  }
}

function rethrow(signal: AbortSignal | undefined): (error: unknown) => never {
  return (error) => {
    throw signal?.aborted ? signal.reason : objectError(error)
  }
}

function openBody(output: GetObjectCommandOutput, { range, ifMatch }: GetOptions): RawObject {
  const body = output.Body
  if (!(body instanceof Readable)) throw unusable('no body')
  try {
    const etag = strongEtag(output)
    // For a store that does not know the condition.
    if (ifMatch !== undefined && ifMatch !== etag) throw new AppError('CONFLICT', 'The object is another version')
    const sizeBytes = readSize(output, range)
    // A store that does not know ranges sends all of it.
    const part = range && output.ContentRange === undefined ? cut(body, range) : body
    return { sizeBytes, etag, body: part, toError: storeError }
  } catch (error) {
    body.destroy()
    throw error
  }
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

/** Of the whole object. @throws AppError where the answer is about something else than what was asked. */
function readSize(output: GetObjectCommandOutput, range: ByteRange | undefined): number {
  if (range === undefined || (output.ContentRange === undefined && output.$metadata.httpStatusCode === 200)) {
    const sizeBytes = output.ContentLength
    if (sizeBytes === undefined) throw unusable('no length')
    return requireWithin(sizeBytes, range)
  }
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(output.ContentRange ?? '') ?? []
  if (start === undefined || Number(start) !== range.start) throw unusable('another range')
  return requireWithin(Number(total), range)
}

/** A store cuts a range at the end of the object, where our contract refuses it. */
function requireWithin(sizeBytes: number, range: ByteRange | undefined): number {
  if (range && range.end > sizeBytes) throw new AppError('RANGE_NOT_SATISFIABLE', `The object has ${sizeBytes} bytes`)
  return sizeBytes
}

/** The range out of all bytes; what comes behind it is not read. */
function cut(whole: Readable, { start, end }: ByteRange): Readable {
  async function* parts(): AsyncGenerator<Buffer> {
    let at = 0
    for await (const chunk of whole as AsyncIterable<Buffer>) {
      const part = chunk.subarray(Math.max(start - at, 0), Math.max(end - at, 0))
      at += chunk.length
      if (part.length > 0) yield part
      if (at >= end) return
    }
  }
  const body = Readable.from(parts(), { objectMode: false })
  // A generator that waits for a chunk does not hear that its reader has gone.
  return body.once('close', () => whole.destroy())
}
