import { randomUUID } from 'node:crypto'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { unlessAborted } from '../../abort.ts'
import type { PutOptions, StorageBackend } from '../backend.ts'
import { transferMs } from '../patience.ts'
import { createUploadSource } from '../upload-source.ts'
import { type CreateOnly, type NewObject, newObject, type Written } from './create-only.ts'
import { putError } from './errors.ts'
import { type Multipart, takeBack } from './multipart.ts'
import { type PartPlan, planParts } from './part-plan.ts'
import { createPartReader, type PartReader } from './part-reader.ts'
import { bufferOf, type PartsStore, sendParts } from './send-parts.ts'

export interface PutStore extends PartsStore {
  readonly createOnly: CreateOnly
  readonly multipart: Multipart
}

interface Transfer extends Pick<PutOptions, 'sizeBytes' | 'contentType' | 'onMultipart'> {
  readonly object: NewObject
  readonly reader: PartReader
  readonly receivedBytes: () => number
  /** Aborted by the caller, or with the first failure of either side: all that fails after it is its echo. */
  readonly signal: AbortSignal
  fail(error: unknown): void
}

/** Bodies in one request where they fit in memory, and else in parts that do: either can be sent again. */
export function createS3Put(store: PutStore): StorageBackend['put'] {
  return async (uri, body, { sizeBytes, contentType, onMultipart, signal: callerSignal } = {}) => {
    callerSignal?.throwIfAborted()
    const failed = new AbortController()
    const signal = callerSignal ? AbortSignal.any([callerSignal, failed.signal]) : failed.signal
    const source = createUploadSource(body, { sizeBytes, signal })
    const reader = createPartReader(source.chunks)
    /** What the sender did comes first: a request that it broke off fails as if the store had. */
    const fail = (error: unknown): void => failed.abort((source.failure() ?? { error }).error)
    const object = newObject(uri, randomUUID())
    const { receivedBytes } = source
    try {
      const transfer = { object, reader, receivedBytes, sizeBytes, contentType, onMultipart, signal, fail }
      const { versionId } = await send(store, transfer)
      return { sizeBytes: receivedBytes(), versionId }
    } catch (error) {
      fail(error)
      throw signal.reason
    } finally {
      await source.chunks.return()
    }
  }
}

async function send(store: PutStore, transfer: Transfer): Promise<Written> {
  const { rules } = store
  const { sizeBytes, reader } = transfer
  const plan = planParts(sizeBytes, rules)
  if (!plan.isHeld) return await sendInParts(store, transfer, { plan, first: null })
  const isWhole = sizeBytes !== undefined && sizeBytes <= rules.wholeBytes
  const first =
    sizeBytes === undefined
      ? await reader.readUpTo(plan.sizeOf(0))
      : await reader.fill(isWhole ? Buffer.allocUnsafeSlow(sizeBytes) : bufferOf(plan.sizeOf(0)))
  if (await reader.isOver()) return await sendWhole(store, transfer, first)
  return await sendInParts(store, transfer, { plan, first })
}

async function sendWhole(store: PutStore, transfer: Transfer, bytes: Buffer): Promise<Written> {
  const { write, whileAlive, createOnly } = store
  const { object, contentType, signal } = transfer
  const input = { ...object, ContentType: contentType, Body: bytes }
  const request = { totalMs: transferMs(bytes.length), signal }
  return await createOnly
    .write(object, bytes.length, (condition) =>
      whileAlive(request, (options) => write.send(new PutObjectCommand({ ...input, ...condition }), options)),
    )
    .catch(rethrow)
}

async function sendInParts(
  store: PutStore,
  transfer: Transfer,
  body: { readonly plan: PartPlan; readonly first: Buffer | null },
): Promise<Written> {
  const { multipart, createOnly } = store
  const { object, contentType, onMultipart, receivedBytes, signal, fail } = transfer
  const place = await multipart.begin(object, { contentType, signal }).catch(rethrow)
  try {
    if (onMultipart) await unlessAborted(onMultipart(place.UploadId), signal)
    const parts = await sendParts(store, { ...transfer, ...body, place })
    // Some stores heed the condition on a PUT, but not here.
    await createOnly.checkAbsent(object).catch(rethrow)
    return await createOnly
      .write(object, receivedBytes(), (condition) => multipart.complete(place, parts, { condition, signal }))
      .catch(rethrow)
  } catch (error) {
    fail(error)
    await takeBack(multipart, place)
    throw error
  }
}

function rethrow(error: unknown): never {
  throw putError(error)
}
