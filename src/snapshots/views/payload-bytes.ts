import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import type { ByteRange } from '../../storage/backend.ts'

const SLICE_BYTES = 262_144

/** Bytes at hand as an opened payload. @throws AppError `RANGE_NOT_SATISFIABLE`. */
export function slice(bytes: Buffer, range?: ByteRange): { readonly sizeBytes: number; readonly body: Buffer } {
  if (range) requireWithin(range, bytes.length)
  return { sizeBytes: bytes.length, body: range ? bytes.subarray(range.start, range.end) : bytes }
}

/** @throws AppError `RANGE_NOT_SATISFIABLE` when the range is empty or reaches outside the payload. */
export function requireWithin({ start, end }: ByteRange, sizeBytes: number): void {
  if (start >= 0 && start < end && end <= sizeBytes) return
  throw new AppError('RANGE_NOT_SATISFIABLE', `The payload has ${sizeBytes} bytes`)
}

/** @throws AppError `PAYLOAD_TOO_LARGE`; the body is then destroyed. */
export function refuseAbove(maxBytes: number | undefined, sizeBytes: number | null, body?: Readable): void {
  if (maxBytes === undefined || sizeBytes === null || sizeBytes <= maxBytes) return
  body?.destroy()
  throw new AppError('PAYLOAD_TOO_LARGE', `The payload has ${sizeBytes} bytes, more than the ${maxBytes} allowed here`)
}

/** @throws AppError `PAYLOAD_TOO_LARGE` as soon as there is more. */
export async function readAtMost(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  // Leaving the loop destroys the body.
  for await (const chunk of body) {
    sizeBytes += chunk.length
    refuseAbove(maxBytes, sizeBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The chunks of a body; of bytes at hand in slices, so that others have their turn between two of them. */
export async function* chunksOf(body: Buffer | Readable): AsyncGenerator<Buffer> {
  if (!Buffer.isBuffer(body)) return yield* body as AsyncIterable<Buffer>
  for (let at = 0; at < body.length; at += SLICE_BYTES) {
    if (at > 0) await setImmediate()
    yield body.subarray(at, at + SLICE_BYTES)
  }
}
