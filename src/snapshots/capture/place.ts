import type { NewSnapshot } from '../../db/queries/captures.ts'
import type { JsonIndex } from '../../json/parts/json-index.ts'
import type { Admission } from '../source/admission.ts'
import { describeCapture, measureWhole, type NamedInput } from './capture-rules.ts'
import { type CaptureStream, openCapture, type PayloadStream } from './capture-stream.ts'
import { createHeldBytes, FREE_BYTES } from './held-bytes.ts'
import type { ObjectPut } from './object-put.ts'
import { placementOf } from './placement.ts'

export interface PlaceOptions {
  readonly objects: ObjectPut
  readonly admission: Pick<Admission, 'uploads' | 'memory'>
  readonly inlineMaxBytes: number
}

export interface ToPlace {
  readonly input: NamedInput
  readonly payload: Buffer | PayloadStream
  readonly signal?: AbortSignal
}

type Streamed = Omit<ToPlace, 'payload'> & { readonly payload: PayloadStream }

/**
 * Brings a payload to its place, in one pass: into the row that is about to be stored, or into an object. What is held of it counts
 * until `store` has settled.
 * @throws what the stream, the store and `store` throw; AppError `OVERLOADED` where there was no room.
 */
export type Place = <T>(
  toPlace: ToPlace,
  store: (placed: NewSnapshot, index: JsonIndex | null) => Promise<T>,
) => Promise<T>

export function createPlace({ objects, admission, inlineMaxBytes }: PlaceOptions): Place {
  async function putObject({ input, payload, signal }: Streamed, stream: CaptureStream, onPut: () => void) {
    const rest = stream.rest()
    // What is small has come whole before it takes a place, however slow its sender is.
    const head = await readAhead(rest)
    const leave = await admission.uploads.enter(signal)
    try {
      onPut()
      const put = await objects.put(input.snapshotId, { ...payload, chunks: joined(head, rest) }, signal)
      return {
        ...describeCapture(input, stream.measured()),
        ...put,
        stored: stream.stored(),
        contentEncoding: payload.encoding ?? 'identity',
      }
    } finally {
      leave()
    }
  }

  return async ({ input, payload: given, signal }, store) => {
    if (
      Buffer.isBuffer(given) &&
      given.length <= FREE_BYTES &&
      placementOf(given.length, inlineMaxBytes) === 'INLINE'
    ) {
      return await store({ ...describeCapture(input, measureWhole(given)), payload: given.toString() }, null)
    }
    const payload = toStream(given)
    const isSized = payload.encoding === undefined && payload.sizeBytes !== undefined
    const maxBytes = Math.min(inlineMaxBytes, isSized ? (payload.sizeBytes ?? 0) : inlineMaxBytes)
    const held = createHeldBytes({ memory: admission.memory, maxBytes, signal })
    const stream = openCapture({ ...payload, chunks: held.admit(payload.chunks) })
    const fits = (sizeBytes: number) => {
      held.decoded(sizeBytes)
      return placementOf(sizeBytes, inlineMaxBytes) === 'INLINE'
    }
    try {
      const whole = await stream.readWhole(fits)
      const placed = whole
        ? { ...describeCapture(input, stream.measured()), payload: whole.toString() }
        : await putObject({ input, payload, signal }, stream, held.free)
      return await store(placed, whole ? null : stream.index())
    } finally {
      stream.close()
      held.free()
    }
  }
}

function toStream(payload: Buffer | PayloadStream): PayloadStream {
  return Buffer.isBuffer(payload) ? { chunks: chunksOf(payload), sizeBytes: payload.length } : payload
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

async function readAhead(chunks: AsyncGenerator<Uint8Array>): Promise<Uint8Array[]> {
  const head: Uint8Array[] = []
  for (let sizeBytes = 0; sizeBytes < FREE_BYTES; ) {
    const next = await chunks.next()
    if (next.done) break
    head.push(next.value)
    sizeBytes += next.value.length
  }
  return head
}

async function* joined(head: Uint8Array[], rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (let chunk = head.shift(); chunk; chunk = head.shift()) yield chunk
  yield* rest
}
