import { buffer } from 'node:stream/consumers'
import type { ByteCache } from '../../cache/byte-cache.ts'
import type { Admission } from '../source/admission.ts'
import { bytesAtHand, type GrowingBytes, growBytes } from '../source/growing-bytes.ts'
import { createHeldFlights, type Flight } from '../source/held-flights.ts'
import { isObject, type ObjectSource, type RowSource, type Source } from '../source/source.ts'
import { nothingHeld, type OpenOptions, type OpenPayload } from './open-payload.ts'
import { readAtMost, refuseAbove } from './payload-bytes.ts'
import { verifiedBody } from './verified-body.ts'

const MIB = 1_048_576
/** Less than this is held without being counted. */
const FREE_BYTES = 262_144
/** Objects up to here are read once for all who ask at the same time, where there is room; larger ones are streamed to each. */
const SHARED_MAX_BYTES = 16 * MIB
/** Of a coded object whose row knows no size, as only other writers leave one. */
const UNSIZED_MAX_BYTES = 64 * MIB

/** All of a payload, decoded, counted and held to its digest: a wrong one never ends as if it were whole. */
export type OpenWhole = (source: Source, options?: OpenOptions) => Promise<OpenPayload>

export interface WholeOptions {
  readonly cache: ByteCache
  readonly admission: Admission
}

/** What a flight brings. */
interface Loaded extends GrowingBytes {
  /** Whether it was read from where it lies, and tells of that place. */
  readonly isFresh?: boolean
}

/** An object of which everything is known. */
type KnownObject = ObjectSource & { readonly digest: string; readonly sizeBytes: number }

export function createWholeView({ cache, admission }: WholeOptions): OpenWhole {
  const flights = createHeldFlights<Loaded>(admission.memory, FREE_BYTES)

  async function openRow(source: RowSource, { signal, maxBytes }: OpenOptions): Promise<OpenPayload> {
    const { snapshotId, inlinePayload, isOwn } = source.snapshot
    if (inlinePayload) return { sizeBytes: inlinePayload.length, body: inlinePayload, release: nothingHeld }
    const load = async ({ reserve }: Flight) => {
      await reserve(source.sizeBytes ?? MIB)
      return bytesAtHand(await source.load())
    }
    const { value, release } = await flights.run(snapshotId, load, { signal, isShared: isOwn })
    const body = await value.whole()
    try {
      refuseAbove(maxBytes, body.length)
    } catch (error) {
      release()
      throw error
    }
    return { sizeBytes: body.length, body, release }
  }

  /** Read as fast as the store gives it, and kept: whoever takes it may take its time. */
  async function openSmall(source: KnownObject, { useCache = true, signal }: OpenOptions): Promise<OpenPayload> {
    const { digest, sizeBytes, storageUri } = source
    const isCounted = sizeBytes > FREE_BYTES
    // What needs no room is looked for without a flight.
    const near = useCache && !isCounted ? await cache.get(digest) : undefined
    if (near) return { sizeBytes, body: near, release: nothingHeld }
    const load = async (flight: Flight) => {
      await flight.reserve(sizeBytes)
      const known = useCache && isCounted ? await cache.get(digest) : undefined
      if (known) return bytesAtHand(known)
      const object = await source.get({ gate: admission.reads, signal: flight.signal })
      const bytes = await buffer(verifiedBody(object.body, source))
      cache.set(digest, bytes)
      return { ...bytesAtHand(bytes), isFresh: true }
    }
    const { value, release } = await flights.run(useCache ? storageUri : null, load, { signal, isShared: true })
    const body = await value.whole()
    if (value.isFresh) source.note(Promise.resolve({ body }), { checks: true })
    return { sizeBytes, body, release }
  }

  /** Read once for all who read at the same time, each as it comes. */
  async function openShared(source: KnownObject, { signal }: OpenOptions): Promise<OpenPayload> {
    const { sizeBytes, storageUri } = source
    const load = async (flight: Flight) => {
      await flight.reserve(sizeBytes)
      const object = await source.get({ gate: admission.reads, signal: flight.signal })
      return growBytes(verifiedBody(object.body, source), sizeBytes)
    }
    const { value, release } = await flights.run(storageUri, load, { signal, isShared: true })
    const body = value.read().once('close', release)
    source.note(Promise.resolve({ body }), { checks: true })
    return { sizeBytes, body, release: nothingHeld }
  }

  async function openStream(source: ObjectSource, { maxBytes, signal }: OpenOptions): Promise<OpenPayload> {
    const { sizeBytes, contentEncoding, digest } = source
    const object = await source.get({ gate: admission.streams, signal })
    const decodedBytes = contentEncoding === 'identity' ? object.sizeBytes : sizeBytes
    refuseAbove(maxBytes, decodedBytes, object.body)
    const body = verifiedBody(object.body, source)
    // Of a row without a size: a small one that is wrong is refused in words rather than by a broken connection.
    const isSmall = sizeBytes === null && digest !== null && (decodedBytes ?? 0) <= cache.maxEntryBytes
    if (decodedBytes !== null && !isSmall) {
      source.note(Promise.resolve({ body }), { checks: true })
      return { sizeBytes: decodedBytes, body, release: nothingHeld }
    }
    // Of an unsized coded one only all of it tells how much it is.
    const most = decodedBytes ?? Math.min(maxBytes ?? UNSIZED_MAX_BYTES, UNSIZED_MAX_BYTES)
    const load = async ({ reserve }: Flight) => {
      await reserve(most).catch((error: unknown) => {
        body.destroy()
        throw error
      })
      return bytesAtHand(await readAtMost(body, most))
    }
    const { value, release } = await flights.run(null, load, { signal, isShared: false })
    const bytes = await value.whole()
    source.note(Promise.resolve({ body: bytes }), { checks: true })
    return { sizeBytes: bytes.length, body: bytes, release }
  }

  async function openObject(source: ObjectSource, options: OpenOptions): Promise<OpenPayload> {
    if (!isKnown(source)) return await openStream(source, options)
    const { sizeBytes, storageUri } = source
    // Where slow clients hold all the room, a stream needs none.
    const fits = sizeBytes <= FREE_BYTES || flights.isHeld(storageUri) || admission.memory.hasRoom(sizeBytes)
    if (fits && sizeBytes <= cache.maxEntryBytes) return await openSmall(source, options)
    const isSharable = fits && options.useCache !== false && sizeBytes <= SHARED_MAX_BYTES
    return isSharable ? await openShared(source, options) : await openStream(source, options)
  }

  return async (source, options = {}) => {
    refuseAbove(options.maxBytes, source.sizeBytes)
    if (!isObject(source)) return await openRow(source, options)
    const opening = openObject(source, options)
    opening.catch((error: unknown) => source.note(Promise.reject(error), { checks: true }))
    return await opening
  }
}

function isKnown(source: ObjectSource): source is KnownObject {
  return source.digest !== null && source.sizeBytes !== null
}
