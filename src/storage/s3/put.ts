import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { type Deadline, withDeadline } from '../abort.ts'
import type { StorageBackend } from '../backend.ts'
import { createUploadSource } from '../upload-source.ts'
import { type CreateOnly, type NewObject, newObject } from './create-only.ts'
import { putError } from './errors.ts'

const MIB = 1024 * 1024
/** The least that S3 takes; times the number in flight and one more that is being filled, what one put holds in memory. */
const PART_BYTES = 5 * MIB
const PARTS_IN_FLIGHT = 3
const MAX_PARTS = 10_000
/** Up to here a body of known length is streamed in one request. */
const ONE_REQUEST_BYTES = 64 * MIB
const SLOWEST_BYTES_PER_SECOND = 128 * 1024
const ANSWER_DEADLINE_MS = 30_000
/** A store puts the parts together before it answers. */
const COMPLETE_DEADLINE_MS = 120_000

type Command = Parameters<S3Client['send']>[0]

interface RequestOptions {
  readonly abortSignal: AbortSignal
  readonly requestTimeout: number
}

interface Transfer {
  readonly object: NewObject
  readonly contentType: string | undefined
  readonly body: Readable
  readonly sizeBytes: number | undefined
  /** Aborted by the caller, or with the first failure of either side: all that fails after it is its echo. */
  readonly signal: AbortSignal
  fail(error: unknown): void
}

interface Store {
  readonly data: S3Client
  readonly createOnly: CreateOnly
}

export function createS3Put(store: Store): StorageBackend['put'] {
  return async (uri, body, { sizeBytes, contentType, signal: callerSignal } = {}) => {
    callerSignal?.throwIfAborted()
    const broken = new AbortController()
    const signal = callerSignal ? AbortSignal.any([callerSignal, broken.signal]) : broken.signal
    const source = createUploadSource(body, { sizeBytes, signal })
    const stream = Readable.from(source.chunks)
    const fail = (error: unknown): void => broken.abort(error)
    stream.on('error', fail)
    const object = newObject(uri, randomUUID())
    try {
      await send(store, { object, contentType, body: stream, sizeBytes, signal, fail })
      return { sizeBytes: source.receivedBytes(), versionId: null }
    } catch (error) {
      const failure = source.failure()
      fail(failure === undefined ? putError(error) : failure.error)
      throw signal.reason
    } finally {
      stream.destroy()
    }
  }
}

/** A body that fits into one part is held in memory, where a request that failed can be sent again. */
async function send(store: Store, transfer: Transfer): Promise<void> {
  const { sizeBytes = 0 } = transfer
  const fitsOneRequest = sizeBytes > PART_BYTES && sizeBytes <= ONE_REQUEST_BYTES
  if (fitsOneRequest && store.createOnly.isSettled()) await sendWhole(store, transfer)
  else await sendParts(store, transfer)
}

async function sendWhole({ data, createOnly }: Store, transfer: Transfer): Promise<void> {
  const { object, contentType, body, sizeBytes = 0, signal } = transfer
  const input = { ...object, ContentType: contentType, ContentLength: sizeBytes, Body: body }
  const deadline = { deadlineMs: uploadDeadlineMs(sizeBytes), signal }
  await createOnly.write(object, (condition) =>
    request(deadline, (options) => data.send(new PutObjectCommand({ ...input, ...condition }), options)),
  )
}

async function sendParts(store: Store, transfer: Transfer): Promise<void> {
  const { object, contentType, body, sizeBytes = 0 } = transfer
  const partSize = Math.max(PART_BYTES, Math.ceil(sizeBytes / MAX_PARTS))
  const client = partsClient(store, transfer, uploadDeadlineMs(partSize))
  const params = { ...object, ContentType: contentType, Body: body }
  await new Upload({ client, params, partSize, queueSize: PARTS_IN_FLIGHT }).done()
}

/** The data client as `Upload` sees it: every request under a deadline and the signal, and the last one create-only. */
function partsClient({ data, createOnly }: Store, { object, signal, fail }: Transfer, deadlineMs: number): S3Client {
  async function dispatch(command: Command): Promise<unknown> {
    if (command instanceof PutObjectCommand) {
      return createOnly.write(object, (condition) => {
        const conditional = new PutObjectCommand({ ...command.input, ...condition })
        return request({ deadlineMs, signal }, (options) => data.send(conditional, options))
      })
    }
    if (command instanceof CompleteMultipartUploadCommand) {
      // Some stores heed the condition on a PUT, but not here.
      await createOnly.checkAbsent(object)
      return createOnly.write(object, (condition) => {
        const conditional = new CompleteMultipartUploadCommand({ ...command.input, ...condition })
        return request({ deadlineMs: COMPLETE_DEADLINE_MS, signal }, (options) => data.send(conditional, options))
      })
    }
    // Cleans up, so it outlives the signal.
    const deadline = command instanceof AbortMultipartUploadCommand ? { deadlineMs } : { deadlineMs, signal }
    return request(deadline, (options) => data.send(command, options))
  }

  async function sendOrFail(command: Command): Promise<unknown> {
    try {
      return await dispatch(command)
    } catch (error) {
      // Lets go of a sender that is slow to send what is no longer wanted.
      fail(putError(error))
      throw error
    }
  }
  return Object.create(data, { send: { value: sendOrFail } })
}

/** One request with a body: its deadline is made for the body, so the transport's own limit to the headers is off. */
function request<T>(deadline: Deadline, run: (options: RequestOptions) => Promise<T>): Promise<T> {
  return withDeadline(deadline, (abortSignal) => run({ abortSignal, requestTimeout: 0 }))
}

function uploadDeadlineMs(sizeBytes: number): number {
  return ANSWER_DEADLINE_MS + (sizeBytes / SLOWEST_BYTES_PER_SECOND) * 1000
}
