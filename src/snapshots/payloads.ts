import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import DataLoader from 'dataloader'
import type { ByteCache } from '../cache/byte-cache.ts'
import { createSingleFlight } from '../cache/single-flight.ts'
import type { Database } from '../db/connect.ts'
import { loadInlinePayloads, recordStorageState } from '../db/snapshots.ts'
import { AppError, isAppError } from '../errors.ts'
import type { Snapshot, StorageState } from '../model/snapshot.ts'
import type { ByteRange, GetOptions, StoredObject } from '../storage/backend.ts'
import type { Storage } from '../storage/registry.ts'
import { handedOnAs } from './encoding.ts'
import { createForeignJson, type OpenedObject } from './foreign-json.ts'
import { cutBody, verifiedBody } from './verified-body.ts'

/** A payload ready to be read, from whichever tier. Nothing can be missing any more; a stream can still break. */
export interface OpenPayload {
  /** Whole payload in bytes, even when a range was asked. */
  readonly sizeBytes: number
  /** Bytes at hand, or a stream that must be read to its end or destroyed. A broken or wrong stream never ends cleanly. */
  readonly body: Buffer | Readable
}

export interface OpenOptions {
  /** False reads through to storage. */
  readonly useCache?: boolean
  /** @throws AppError `PAYLOAD_TOO_LARGE` before any byte is read. */
  readonly maxBytes?: number
  readonly range?: ByteRange
  readonly signal?: AbortSignal
}

interface PinnedOptions extends OpenOptions {
  /** Version of the object. @throws AppError `CONFLICT` when it is another. What a digest vouches for needs none. */
  readonly ifMatch?: string
}

export interface Payloads {
  /**
   * Opens the payload's bytes, exactly as they were captured.
   * @throws AppError `OBJECT_MISSING`, `OBJECT_CORRUPT` (its size is not the row's), `STORAGE_URI_REJECTED`,
   * `UNSUPPORTED_STORAGE_SCHEME`, `STORAGE_UNAVAILABLE`, `STORAGE_TIMEOUT`, `PAYLOAD_TOO_LARGE`, `RANGE_NOT_SATISFIABLE`.
   */
  open(snapshot: Snapshot, options?: OpenOptions): Promise<OpenPayload>

  /**
   * Opens the object as it lies in storage, in its coding; null where `handedOnAs` says that it must not be handed on so.
   * `sizeBytes` is that of the stored bytes. The digest, which is of the payload, is not checked.
   * @throws as `open` does.
   */
  openCoded(snapshot: Snapshot, options?: Pick<OpenOptions, 'signal'>): Promise<OpenPayload | null>

  /**
   * Does as `open` for bytes that go into an answer: they are known to be JSON before the first one.
   * @throws as `open` does, and AppError `INVALID_PAYLOAD` when an object that this server did not write is not JSON.
   */
  openJson(snapshot: Snapshot, options?: Omit<OpenOptions, 'range'>): Promise<OpenPayload>
}

/** Of a coded object whose row knows no size, as only other writers leave one. */
const UNSIZED_MAX_BYTES = 67_108_864

export interface PayloadsOptions {
  readonly db: Database
  readonly storage: Storage
  readonly cache: ByteCache
}

export function createPayloads({ db, storage, cache }: PayloadsOptions): Payloads {
  const inline = new DataLoader<string, Buffer | null>(
    async (ids) => {
      const found = await loadInlinePayloads(db, ids)
      return ids.map((id) => found.get(id) ?? null)
    },
    { cache: false },
  )
  const flights = createSingleFlight<Buffer>()
  const foreign = createForeignJson({ db, wholeMaxBytes: cache.maxEntryBytes })

  async function openObject(snapshot: Snapshot, storageUri: string, options: PinnedOptions): Promise<OpenedObject> {
    const { digest, sizeBytes } = snapshot
    const { range, ifMatch, signal, useCache = true } = options
    const small = digest !== null && sizeBytes !== null && sizeBytes <= cache.maxEntryBytes
    if (small && useCache) {
      const bytes =
        (await cache.get(digest)) ??
        (await flights.run(
          digest,
          async (flightSignal) => {
            const read = await readWhole(snapshot, storageUri, flightSignal)
            cache.set(digest, read)
            return read
          },
          signal,
        ))
      return slice(bytes, range)
    }
    if (small && !range) return slice(await readWhole(snapshot, storageUri, signal))
    if (snapshot.contentEncoding !== 'identity') return await openDecoded(snapshot, storageUri, options)
    const object = await getObject(snapshot, storageUri, { range, ifMatch, signal })
    refuseAbove(options.maxBytes, object.sizeBytes, object.body)
    return { ...object, body: range ? object.body : verifiedBody(object.body, snapshot) }
  }

  async function openDecoded(snapshot: Snapshot, storageUri: string, options: PinnedOptions): Promise<OpenedObject> {
    const { range, ifMatch, signal, maxBytes = UNSIZED_MAX_BYTES } = options
    const { body, etag } = await getObject(snapshot, storageUri, { ifMatch, signal })
    const decoded = verifiedBody(body, snapshot)
    const { sizeBytes } = snapshot
    // Only all of it tells how much it is.
    if (sizeBytes === null) return slice(await readAtMost(decoded, maxBytes), range)
    if (range && !isWithin(range, sizeBytes)) {
      decoded.destroy()
      throw notWithin(sizeBytes)
    }
    return { sizeBytes, etag, body: range ? cutBody(decoded, range) : decoded }
  }

  async function readWhole(snapshot: Snapshot, storageUri: string, signal?: AbortSignal): Promise<Buffer> {
    const { body } = await getObject(snapshot, storageUri, { signal })
    return await buffer(verifiedBody(body, snapshot))
  }

  async function getObject(snapshot: Snapshot, storageUri: string, options: GetOptions): Promise<StoredObject> {
    const { backend, uri } = storage.resolve(storageUri)
    const object = await backend.get(uri, options)
    const isPlain = snapshot.contentEncoding === 'identity'
    if (isPlain && snapshot.sizeBytes !== null && object.sizeBytes !== snapshot.sizeBytes) {
      object.body.destroy()
      throw new AppError('OBJECT_CORRUPT', `The object has ${object.sizeBytes} bytes, not ${snapshot.sizeBytes}`)
    }
    return object
  }

  async function isStill(snapshot: Snapshot, storageUri: string, options: GetOptions): Promise<boolean> {
    try {
      const first = getObject(snapshot, storageUri, { ...options, range: { start: 0, end: 1 } })
      const { body } = await recorded(snapshot, first)
      await buffer(body)
      return true
    } catch (error) {
      if (isAppError(error, 'CONFLICT') || isAppError(error, 'RANGE_NOT_SATISFIABLE')) return false
      throw error
    }
  }

  function record(snapshot: Snapshot, state: StorageState): void {
    // A reader never waits for this note, nor fails with it.
    if (snapshot.storageState !== state) recordStorageState(db, snapshot.snapshotId, state).catch(() => {})
  }

  async function recorded<T extends OpenPayload>(snapshot: Snapshot, opening: Promise<T>): Promise<T> {
    const recordFailure = (error: unknown) => {
      if (isAppError(error, 'OBJECT_MISSING')) record(snapshot, 'MISSING')
      if (isAppError(error, 'OBJECT_CORRUPT')) record(snapshot, 'CORRUPT')
    }
    try {
      const opened = await opening
      if (Buffer.isBuffer(opened.body)) record(snapshot, 'AVAILABLE')
      else opened.body.once('end', () => record(snapshot, 'AVAILABLE')).once('error', recordFailure)
      return opened
    } catch (error) {
      recordFailure(error)
      throw error
    }
  }

  const payloads: Payloads = {
    async open(snapshot, options = {}) {
      refuseAbove(options.maxBytes, snapshot.sizeBytes)
      if (snapshot.storageUri === null) {
        const bytes = await inline.load(snapshot.snapshotId)
        if (bytes === null) throw new AppError('OBJECT_MISSING', 'The snapshot has no payload')
        refuseAbove(options.maxBytes, bytes.length)
        return slice(bytes, options.range)
      }
      return await recorded(snapshot, openObject(snapshot, snapshot.storageUri, options))
    },
    async openCoded(snapshot, options = {}) {
      if (handedOnAs(snapshot) === null || snapshot.storageUri === null) return null
      return await recorded(snapshot, getObject(snapshot, snapshot.storageUri, options))
    },
    async openJson(snapshot, options = {}) {
      const { storageUri } = snapshot
      const { maxBytes, useCache, signal } = options
      if (snapshot.isOwn || storageUri === null) return await payloads.open(snapshot, options)
      refuseAbove(maxBytes, snapshot.sizeBytes)
      return await foreign.open({
        snapshot,
        // What one caller finds too large is no verdict for another.
        key: useCache === false ? null : `${maxBytes} ${snapshot.snapshotId}`,
        signal,
        open: (pin) => recorded(snapshot, openObject(snapshot, storageUri, { ...options, ...pin })),
        isStill: (etag) => isStill(snapshot, storageUri, { ifMatch: etag, signal }),
      })
    },
  }
  return payloads
}

function slice(bytes: Buffer, range?: ByteRange): OpenPayload {
  if (range && !isWithin(range, bytes.length)) throw notWithin(bytes.length)
  return { sizeBytes: bytes.length, body: range ? bytes.subarray(range.start, range.end) : bytes }
}

function isWithin({ start, end }: ByteRange, sizeBytes: number): boolean {
  return start >= 0 && start < end && end <= sizeBytes
}

function notWithin(sizeBytes: number): AppError {
  return new AppError('RANGE_NOT_SATISFIABLE', `The payload has ${sizeBytes} bytes`)
}

async function readAtMost(body: Readable, maxBytes: number): Promise<Buffer> {
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

function refuseAbove(maxBytes: number | undefined, sizeBytes: number | null, body?: Readable): void {
  if (maxBytes === undefined || sizeBytes === null || sizeBytes <= maxBytes) return
  body?.destroy()
  throw new AppError('PAYLOAD_TOO_LARGE', `The payload has ${sizeBytes} bytes, more than the ${maxBytes} allowed here`)
}
