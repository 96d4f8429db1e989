import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { badRequest, StatelensError } from './errors.ts'

/** Large enough to cost little, small enough to leave others their turn. */
const SLICE_BYTES = 262_144

export type ByteStream = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/**
 * The state to capture. Bytes, blobs and streams hold one JSON document in UTF-8, which is kept byte for byte.
 *
 * - `value` is written by `JSON.stringify`.
 * - `blob` may be a file of any size, by `openAsBlob` of `node:fs`: it is read as often as needed, never whole.
 * - `stream` is read once; a function that makes a new one lets a broken upload be repeated. `sizeBytes`, and `digest` as
 *   `sha256:<64 hex>`, are checked where they are given. The server ends an upload that sends nothing for 30 seconds.
 */
export type Payload =
  | { readonly value: unknown }
  | { readonly bytes: Uint8Array }
  | { readonly blob: Blob }
  | {
      readonly stream: ByteStream | (() => ByteStream)
      readonly sizeBytes?: number | undefined
      readonly digest?: string | undefined
      /** What the stream is coded in, which size and digest are then of. A large state is stored so, and read decoded. */
      readonly encoding?: 'gzip' | 'zstd' | undefined
    }

/** A payload that can be read again, in any part. */
export interface WholeSource {
  readonly kind: 'value' | 'bytes'
  readonly sizeBytes: number
  /** A half-open range; all of it unless told. */
  read(start?: number, end?: number): AsyncIterable<Uint8Array>
}

export interface StreamSource {
  readonly kind: 'stream'
  readonly sizeBytes: number | undefined
  readonly digest: string | undefined
  readonly encoding: 'gzip' | 'zstd' | undefined
  /** False once a stream that cannot be made again was begun. */
  canRead(): boolean
  read(): AsyncIterable<Uint8Array>
}

export type Source = WholeSource | StreamSource

/** @throws StatelensError `BAD_REQUEST` for what is no payload; `INVALID_PAYLOAD` for a value that JSON cannot say. */
export function openPayload(payload: Payload): Source {
  if ('value' in payload) return wholeOf('value', Buffer.from(jsonOf(payload.value)))
  if ('bytes' in payload && payload.bytes instanceof Uint8Array) return wholeOf('bytes', payload.bytes)
  if ('blob' in payload && payload.blob instanceof Blob) {
    const { blob } = payload
    const read = (start = 0, end = blob.size) => inSlices(blob.slice(start, end).stream())
    return { kind: 'bytes', sizeBytes: blob.size, read }
  }
  if ('stream' in payload) return streamOf(payload)
  throw badRequest('The payload must be a value, bytes, a blob or a stream')
}

/** `sha256:<64 hex>`. */
export async function digestOf(source: WholeSource, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of source.read()) {
    signal?.throwIfAborted()
    hash.update(chunk)
    if (chunk.length === SLICE_BYTES) await nextTurn()
  }
  return `sha256:${hash.digest('hex')}`
}

function wholeOf(kind: 'value' | 'bytes', bytes: Uint8Array): WholeSource {
  return { kind, sizeBytes: bytes.length, read: (start, end) => inSlices([bytes.subarray(start, end)]) }
}

/** Blobs that are in memory come in one piece, too. */
async function* inSlices(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += SLICE_BYTES) yield piece.subarray(at, at + SLICE_BYTES)
  }
}

function streamOf({ stream, sizeBytes, digest, encoding }: Extract<Payload, { stream: unknown }>): StreamSource {
  if (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw badRequest('The digest must be sha256: and 64 hexadecimal digits in lower case')
  }
  if (sizeBytes !== undefined && !(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0)) {
    throw badRequest('sizeBytes must be a number of bytes')
  }
  let begun = false
  return {
    kind: 'stream',
    sizeBytes,
    digest,
    encoding,
    canRead: () => typeof stream === 'function' || !begun,
    async *read() {
      begun = true
      yield* typeof stream === 'function' ? stream() : stream
    },
  }
}

function jsonOf(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new StatelensError('INVALID_PAYLOAD', 'JSON cannot say that value', { cause })
  }
  if (text === undefined) throw new StatelensError('INVALID_PAYLOAD', 'JSON cannot say that value')
  return text
}
