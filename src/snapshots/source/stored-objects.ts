import { buffer } from 'node:stream/consumers'
import type { ByteCache } from '../../cache/byte-cache.ts'
import { createSingleFlight } from '../../cache/single-flight.ts'
import { AppError } from '../../errors.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { ByteRange, GetOptions, StoredObject } from '../../storage/backend.ts'
import type { Storage } from '../../storage/registry.ts'
import { readAtMost, refuseAbove, requireWithin, slice } from '../views/payload-bytes.ts'
import { cutBody, verifiedBody } from '../views/verified-body.ts'
import type { OpenedObject } from './foreign-json.ts'

/** What a snapshot tells of its object. */
export type ObjectRow = Pick<Snapshot, 'digest' | 'sizeBytes' | 'contentEncoding'> & { readonly storageUri: string }

export interface ObjectOptions {
  /** False reads through to storage. */
  readonly useCache?: boolean
  readonly maxBytes?: number
  readonly range?: ByteRange
  readonly signal?: AbortSignal
  /** Version of the object. @throws AppError `CONFLICT` when it is another. What a digest vouches for needs none. */
  readonly ifMatch?: string
}

/** Payloads in storage, decoded, counted and checked by what their rows promise. */
export interface StoredObjects {
  /** A range of a large object is the one thing that comes unchecked. @throws as `Payloads.open` does. */
  open(row: ObjectRow, options: ObjectOptions): Promise<OpenedObject>
  /** The object as it lies in storage, in its coding, unchecked. */
  openCoded(row: ObjectRow, options: GetOptions): Promise<StoredObject>
}

/** Of a coded object whose row knows no size, as only other writers leave one. */
const UNSIZED_MAX_BYTES = 67_108_864

export interface StoredObjectsOptions {
  readonly storage: Storage
  readonly cache: ByteCache
}

export function createStoredObjects({ storage, cache }: StoredObjectsOptions): StoredObjects {
  const flights = createSingleFlight<Buffer>()

  async function openCached(row: ObjectRow, digest: string, { range, signal }: ObjectOptions): Promise<OpenedObject> {
    const known = await cache.get(digest)
    if (known) return { ...slice(known, range), isCached: true }
    const read = await flights.run(
      digest,
      async (flightSignal) => {
        const bytes = await readWhole(row, flightSignal)
        cache.set(digest, bytes)
        return bytes
      },
      signal,
    )
    return slice(read, range)
  }

  async function openDecoded(row: ObjectRow, options: ObjectOptions): Promise<OpenedObject> {
    const { range, ifMatch, signal, maxBytes = UNSIZED_MAX_BYTES } = options
    const { body, etag } = await get(row, { ifMatch, signal })
    const decoded = verifiedBody(body, row)
    const { sizeBytes } = row
    // Only all of it tells how much it is.
    if (sizeBytes === null) return slice(await readAtMost(decoded, maxBytes), range)
    try {
      if (range) requireWithin(range, sizeBytes)
    } catch (error) {
      decoded.destroy()
      throw error
    }
    return { sizeBytes, etag, body: range ? cutBody(decoded, range) : decoded }
  }

  async function readWhole(row: ObjectRow, signal?: AbortSignal): Promise<Buffer> {
    const { body } = await get(row, { signal })
    return await buffer(verifiedBody(body, row))
  }

  async function get(
    { storageUri, contentEncoding, sizeBytes }: ObjectRow,
    options: GetOptions,
  ): Promise<StoredObject> {
    const { backend, uri } = storage.resolve(storageUri)
    const object = await backend.get(uri, options)
    if (contentEncoding === 'identity' && sizeBytes !== null && object.sizeBytes !== sizeBytes) {
      object.body.destroy()
      throw new AppError('OBJECT_CORRUPT', `The object has ${object.sizeBytes} bytes, not ${sizeBytes}`)
    }
    return object
  }

  return {
    async open(row, options) {
      const { range, ifMatch, signal, useCache = true } = options
      const { digest, sizeBytes } = row
      if (digest !== null && sizeBytes !== null && sizeBytes <= cache.maxEntryBytes) {
        if (useCache) return await openCached(row, digest, options)
        if (!range) return slice(await readWhole(row, signal))
      }
      if (row.contentEncoding !== 'identity') return await openDecoded(row, options)
      const object = await get(row, { range, ifMatch, signal })
      refuseAbove(options.maxBytes, object.sizeBytes, object.body)
      if (range) return object
      const body = verifiedBody(object.body, row)
      // Of a row without a size: a small one that is wrong is refused in words rather than by a broken connection.
      const isSmall = digest !== null && object.sizeBytes <= cache.maxEntryBytes
      return { ...object, body: isSmall ? await buffer(body) : body }
    },
    openCoded: get,
  }
}
