import { randomUUID } from 'node:crypto'
import {
  type CompletedPart,
  CopyObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { unlessAborted } from '../../abort.ts'
import { AppError } from '../../errors.ts'
import type { CopyOptions, StorageBackend, StorageUri } from '../backend.ts'
import { withDeadline } from '../deadline.ts'
import { strongEtag, unusable } from './answers.ts'
import type { S3Clients } from './client.ts'
import { type Condition, type CreateOnly, type Made, type NewObject, newObject, type Written } from './create-only.ts'
import { httpStatus, objectError } from './errors.ts'
import { type Multipart, takeBack, type UploadPlace } from './multipart.ts'
import type { WhileAlive } from './while-alive.ts'

const GIB = 2 ** 30
const PARTS_IN_FLIGHT = 3
/** A store that copies byte by byte does so at the speed of its disks. */
const SLOWEST_BYTES_PER_MS = (16 * 2 ** 20) / 1000
const GRACE_MS = 120_000

export interface CopyRules {
  /** The most that is copied by one request. */
  readonly wholeBytes: number
  readonly partBytes: number
}

export const S3_COPY_RULES: CopyRules = { wholeBytes: 5 * GIB, partBytes: GIB }

export interface CopyStore extends Pick<S3Clients, 'control' | 'write'> {
  readonly createOnly: CreateOnly
  readonly multipart: Multipart
  readonly whileAlive: WhileAlive
  readonly deadlineMs: number
  readonly copyRules: CopyRules
}

interface Copying extends CopyOptions {
  readonly object: NewObject
  readonly source: HeadObjectCommandOutput
  /** How a request names the source, and the version of it that was looked at. */
  readonly from: { readonly CopySource: string; readonly CopySourceIfMatch: string | undefined }
}

/** The store itself moves the bytes. The source is looked at first: it must be there, and have the size that it should. */
export function createS3Copy(store: CopyStore): NonNullable<StorageBackend['copy']> {
  const { control, createOnly, deadlineMs, copyRules } = store

  return async (from, to, options) => {
    const { sizeBytes, signal } = options
    const head = new HeadObjectCommand({ Bucket: from.bucket, Key: from.key })
    try {
      const source = await withDeadline({ deadlineMs, signal }, (abortSignal) => control.send(head, { abortSignal }))
      if (source.ContentLength !== sizeBytes) {
        throw new AppError('OBJECT_CORRUPT', `The object to copy has ${source.ContentLength} bytes, not ${sizeBytes}`)
      }
      const object = newObject(to, randomUUID())
      const copying = {
        ...options,
        object,
        source,
        from: { CopySource: nameOf(from), CopySourceIfMatch: strongEtag(source) ?? undefined },
      }
      // Some stores heed the condition on a PUT, but not here.
      await createOnly.checkAbsent(object)
      const { versionId } = await (sizeBytes <= copyRules.wholeBytes ? copyWhole : copyParts)(store, copying)
      return { sizeBytes, versionId }
    } catch (error) {
      throw signal?.aborted ? signal.reason : objectError(error)
    }
  }
}

async function copyWhole(store: CopyStore, copying: Copying): Promise<Written> {
  const { write, createOnly, whileAlive } = store
  const { object, source, from, sizeBytes, signal } = copying
  // The mark of the new object is its own.
  const input = { ...object, ...from, ContentType: source.ContentType, MetadataDirective: 'REPLACE' } as const
  async function send(condition: Condition): Promise<Made> {
    const command = new CopyObjectCommand({ ...input, ...condition })
    const output = await whileAlive({ totalMs: copyMs(sizeBytes), signal }, (options) => write.send(command, options))
    return { ETag: output.CopyObjectResult?.ETag, VersionId: output.VersionId }
  }
  try {
    return await createOnly.write(object, sizeBytes, send)
  } catch (error) {
    if (!speaksOfSource(error)) throw error
    // Or of the new place, where a condition failed.
    await createOnly.checkAbsent(object)
    throw replaced(error)
  }
}

async function copyParts(store: CopyStore, copying: Copying): Promise<Written> {
  const { multipart, createOnly, copyRules } = store
  const { object, source, sizeBytes, onMultipart } = copying
  // Some read the name of a part's source twice, and would copy another object.
  if (copying.from.CopySource.includes('%25')) throw new AppError('STORAGE_UNAVAILABLE', 'No copy of such a key')
  const failed = new AbortController()
  const signal = copying.signal ? AbortSignal.any([copying.signal, failed.signal]) : failed.signal
  const place = await multipart.begin(object, { contentType: source.ContentType, signal })
  try {
    if (onMultipart) await unlessAborted(onMultipart(place.UploadId), signal)
    const parts: CompletedPart[] = []
    const ranges = rangesOf(sizeBytes, copyRules.partBytes)
    const work = ranges.entries()
    const workers = Array.from({ length: PARTS_IN_FLIGHT }, async () => {
      for (const [index, range] of work) {
        parts[index] = await copyPart(store, { ...copying, signal }, { place, index, ...range })
      }
    })
    await Promise.all(workers.map((worker) => worker.catch((error) => failed.abort(error))))
    signal.throwIfAborted()
    return await createOnly.write(object, sizeBytes, (condition) =>
      multipart.complete(place, parts, { condition, signal }),
    )
  } catch (error) {
    await takeBack(multipart, place)
    throw error
  }
}

interface PartRange {
  readonly start: number
  readonly end: number
}

async function copyPart(
  { write, whileAlive }: CopyStore,
  { from, signal }: Copying,
  { place, index, start, end }: PartRange & { readonly place: UploadPlace; readonly index: number },
): Promise<CompletedPart> {
  const PartNumber = index + 1
  const CopySourceRange = `bytes=${start}-${end - 1}`
  const command = new UploadPartCopyCommand({ ...place, ...from, PartNumber, CopySourceRange })
  const request = { totalMs: copyMs(end - start), signal }
  const output = await whileAlive(request, (options) => write.send(command, options)).catch((error: unknown) => {
    throw speaksOfSource(error) ? replaced(error) : error
  })
  const ETag = output.CopyPartResult?.ETag
  if (!ETag) throw unusable('no name of a part')
  return { PartNumber, ETag }
}

function rangesOf(sizeBytes: number, partBytes: number): PartRange[] {
  return Array.from({ length: Math.ceil(sizeBytes / partBytes) }, (_, index) => {
    const start = index * partBytes
    return { start, end: Math.min(start + partBytes, sizeBytes) }
  })
}

function copyMs(sizeBytes: number): number {
  return GRACE_MS + sizeBytes / SLOWEST_BYTES_PER_MS
}

function nameOf({ bucket, key }: StorageUri): string {
  return `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
}

/** It was there when it was looked at. */
function speaksOfSource(error: unknown): boolean {
  return httpStatus(error) === 412 || (error instanceof Error && error.name === 'NoSuchKey')
}

function replaced(error: unknown): AppError {
  return new AppError('STORAGE_UNAVAILABLE', 'The object to copy was replaced meanwhile', {
    cause: objectError(error).cause,
  })
}
