import { createHash } from 'node:crypto'
import { AppError } from '../../errors.ts'
import { createIndexer, type Indexer } from '../../json/parts/indexer.ts'
import { INDEX_ABOVE_BYTES, type JsonIndex } from '../../json/parts/json-index.ts'
import { previewOf } from '../../json/preview.ts'
import { createJsonScanner } from '../../json/scanner.ts'
import { streamed } from '../../storage/streamed-bytes.ts'
import type { Encoding } from '../encoding.ts'
import { PREVIEW_MAX_BYTES } from '../measure.ts'
import { createStoredBytesMeter, type StoredBytes } from '../stored-bytes.ts'
import { createDecodingTap, type DecodingTap } from './decoding-tap.ts'

/** A payload on its way in, of any size. */
export interface PayloadStream {
  /** Single use. An error of it is the capture's error; its `return` may be called before its end. */
  readonly chunks: AsyncIterable<Uint8Array>
  /** Length of `chunks` in bytes; left out when it is not known. */
  readonly sizeBytes?: number
  /** What `chunks` are coded in; left out when they are the payload itself. */
  readonly encoding?: Encoding
}

/** What one pass over a payload teaches; of the payload itself, whatever it is coded in. */
export interface Measured {
  readonly sizeBytes: number
  /** SHA-256. */
  readonly contentDigest: Buffer
  readonly preview: string
}

/** One pass over a payload that is captured: it is checked, measured, and held until it is clear where it goes. */
export interface CaptureStream {
  /**
   * Reads while the payload read so far has a size that `fits`.
   * @returns the whole payload; null when it is larger: then `rest` has all of it.
   * @throws AppError `INVALID_PAYLOAD` at the first byte that is not JSON, and what the tap of its coding and its source throw.
   */
  readWhole(fits: (sizeBytes: number) => boolean): Promise<Buffer | null>
  /** All chunks as they came, from the first one on, in constant memory. Throws as `readWhole` does, before its end. */
  rest(): AsyncGenerator<Uint8Array, void, undefined>
  /** Of a payload that was read to its end. */
  measured(): Measured
  /** Of the same payload; null where it is small enough to be read whole. */
  index(): JsonIndex | null
  /** Of the chunks as they came; null where `rest` did not give them: they are in no object then. */
  stored(): StoredBytes | null
  /** Lets everything go; to be called on every way out. */
  close(): void
}

export function openCapture({ chunks, encoding, sizeBytes }: PayloadStream): CaptureStream {
  const source = chunks[Symbol.asyncIterator]()
  const isSmall = encoding === undefined && sizeBytes !== undefined && sizeBytes <= INDEX_ABOVE_BYTES
  // It holds more than most small payloads have.
  const indexer = isSmall ? undefined : createIndexer()
  const meter = createMeter(indexer)
  /** As they came; and what they decode to, while that fits. */
  let held: Uint8Array[] = []
  let whole: Uint8Array[] = []
  let fitsYet: (sizeBytes: number) => boolean = () => false
  let measured: Measured | undefined
  let stored: StoredBytes | null = null

  const tap = createTap(encoding, (bytes) => {
    meter.write(bytes)
    // Here and not after the chunk: few bytes may decode to very many.
    if (fitsYet(meter.sizeBytes())) whole.push(bytes)
    else whole = []
  })

  async function next(): Promise<Uint8Array | undefined> {
    const result = await source.next()
    if (!result.done) {
      streamed(result.value.length)
      await tap.write(result.value)
      return result.value
    }
    await tap.end()
    measured = meter.end()
    return undefined
  }

  return {
    async readWhole(fits) {
      fitsYet = fits
      while (fits(meter.sizeBytes())) {
        const chunk = await next()
        if (chunk === undefined) return Buffer.concat(whole)
        held.push(chunk)
      }
      fitsYet = () => false
      return null
    },
    async *rest() {
      const first = held
      held = []
      // As they came is as they are, without a coding: they have one digest.
      const asTheyCame = createStoredBytesMeter({ isDigestKnown: encoding === undefined })
      for (const chunk of first) {
        asTheyCame.write(chunk)
        yield chunk
      }
      for (let chunk = await next(); chunk !== undefined; chunk = await next()) {
        asTheyCame.write(chunk)
        yield chunk
      }
      stored = asTheyCame.end(encoding === undefined ? measured?.contentDigest : undefined)
    },
    measured() {
      if (!measured) throw new AppError('INTERNAL_SERVER_ERROR', 'The payload was not read to its end')
      return measured
    },
    index: () => indexer?.end() ?? null,
    stored: () => stored,
    close() {
      tap.close()
      // Not awaited: a source that waits for a byte would keep us waiting.
      if (!measured) source.return?.().catch(() => {})
    },
  }
}

function createTap(encoding: Encoding | undefined, onBytes: (bytes: Uint8Array) => void): DecodingTap {
  if (encoding !== undefined) return createDecodingTap(encoding, onBytes)
  return { write: async (chunk) => onBytes(chunk), end: async () => {}, close() {} }
}

function createMeter(indexer: Indexer | undefined) {
  const scanner = createJsonScanner({ scan: indexer?.scan })
  const hash = createHash('sha256')
  const head = Buffer.alloc(PREVIEW_MAX_BYTES)
  let sizeBytes = 0
  return {
    sizeBytes: () => sizeBytes,
    write(bytes: Uint8Array): void {
      scanner.write(bytes)
      hash.update(bytes)
      if (sizeBytes < head.length) head.set(bytes.subarray(0, head.length - sizeBytes), sizeBytes)
      sizeBytes += bytes.length
    },
    end(): Measured {
      scanner.end()
      const preview = previewOf(head.subarray(0, sizeBytes), sizeBytes)
      return { sizeBytes, contentDigest: hash.digest(), preview }
    },
  }
}
