import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { AppError, isAppError } from '../../errors.ts'
import { createIndexer, type Indexer } from '../../json/parts/indexer.ts'
import type { JsonIndex } from '../../json/parts/json-index.ts'
import { createJsonScanner } from '../../json/scanner.ts'
import type { ObjectStat } from '../../storage/backend.ts'
import { formatDigest } from '../measure.ts'
import type { Gate } from '../source/gate.ts'
import type { ObjectSource } from '../source/source.ts'
import { createStoredBytesMeter, type StoredBytes, type StoredBytesMeter } from '../stored-bytes.ts'
import { verifiedBody } from '../views/verified-body.ts'
import type { VerifyOptions } from './verifier.ts'

/** What reading a payload to its end showed. */
export interface ReadThrough {
  /** Of the payload, in bytes. */
  readonly sizeBytes: number
  /** `sha256:<64 hex>` of it. */
  readonly digest: string
  /** False for what can be downloaded, and not be part of an answer. */
  readonly isJson: boolean
  /** Of the bytes as they lie, where nothing was known of them. */
  readonly stored?: StoredBytes | undefined
  /** The object as it lay there. */
  readonly version: ObjectStat
  /** Where one was wanted; null as well of a payload that is not JSON, or too small for one. */
  readonly index: JsonIndex | null
}

export interface ReadObjectOptions extends VerifyOptions {
  readonly gate: Gate | null
  /** Whether it is known what the bytes are as they lie. */
  readonly isMeasured: boolean
  /** Whether an index is to be made of it. */
  readonly wantsIndex: boolean
}

/**
 * Reads an object to its end, past every cache. One that is not coded goes on where a read broke, in whatever part of it that was.
 * @throws what the source throws; AppError `OBJECT_CORRUPT` when it cannot be decoded.
 */
export async function readObject(source: ObjectSource, options: ReadObjectOptions): Promise<ReadThrough> {
  const meter = options.isMeasured ? undefined : createStoredBytesMeter()
  const indexer = options.wantsIndex ? createIndexer() : undefined
  const json = source.kind === 'own' && !indexer ? undefined : createJsonCheck(indexer)
  const hash = createHash('sha256')
  const version = { etag: null, sizeBytes: 0 }
  let sizeBytes = 0
  for await (const chunk of decodedChunks(source, { ...options, version }, meter)) {
    options.signal?.throwIfAborted()
    sizeBytes += chunk.length
    hash.update(chunk)
    json?.write(chunk)
    await options.onBytes?.(chunk.length)
  }
  const digest = formatDigest(hash.digest())
  const isJson = json?.end() ?? true
  const index = isJson ? (indexer?.end() ?? null) : null
  return { sizeBytes, digest, isJson, stored: meter?.end(), version, index }
}

/** Its version is filled in by the first answer. */
type Reading = ReadObjectOptions & { readonly version: { etag: string | null; sizeBytes: number } }

function decodedChunks(
  source: ObjectSource,
  options: Reading,
  meter: StoredBytesMeter | undefined,
): AsyncIterable<Buffer> {
  const { contentEncoding, sizeBytes } = source
  const stored = measured(storedChunks(source, options), meter)
  if (contentEncoding === 'identity') return stored
  return verifiedBody(Readable.from(stored, { objectMode: false }), { contentEncoding, sizeBytes, digest: null })
}

async function* measured(chunks: AsyncIterable<Buffer>, meter: StoredBytesMeter | undefined): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    meter?.write(chunk)
    yield chunk
  }
}

async function* storedChunks(source: ObjectSource, options: Reading): AsyncGenerator<Buffer> {
  const { gate, signal, onBreak, version } = options
  let from = source
  let at = 0
  let end = Number.POSITIVE_INFINITY
  for (let fruitless = 0; at < end; fruitless++) {
    try {
      const object = await from.get({ gate, signal, range: at === 0 ? undefined : { start: at, end } })
      end = object.sizeBytes
      version.etag = object.etag
      version.sizeBytes = object.sizeBytes
      // Two versions are never read as one.
      if (object.etag !== null) from = source.pin(object.etag)
      for await (const chunk of object.body as AsyncIterable<Buffer>) {
        at += chunk.length
        fruitless = 0
        yield chunk
      }
    } catch (error) {
      if (isAppError(error, 'CONFLICT')) throw replaced(error)
      if (!onBreak || !isAppError(error) || !error.isRetryable) throw error
      await onBreak(error, fruitless)
    }
  }
}

function replaced(cause: AppError): AppError {
  return new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read', { cause })
}

/** Goes on after the first byte that is not JSON: the digest is of all of them. */
function createJsonCheck(indexer: Indexer | undefined) {
  const scanner = createJsonScanner({ scan: indexer?.scan })
  let isJson = true
  const attempt = (step: () => void) => {
    if (!isJson) return
    try {
      step()
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      isJson = false
    }
  }
  return {
    write: (chunk: Buffer) => attempt(() => scanner.write(chunk)),
    end(): boolean {
      attempt(() => scanner.end())
      return isJson
    },
  }
}
