import { Readable } from 'node:stream'
import type { ByteCache } from '../../cache/byte-cache.ts'
import { AppError } from '../../errors.ts'
import type { ByteRange } from '../../storage/backend.ts'
import type { Admission } from '../source/admission.ts'
import { isObject, type ObjectSource, type Source } from '../source/source.ts'
import { createChunkCheck, type StoredBytes } from '../stored-bytes.ts'
import { discard, nothingHeld, type OpenOptions, type OpenPayload } from './open-payload.ts'
import { requireWithin, slice } from './payload-bytes.ts'
import { corrupt } from './verified-body.ts'
import type { OpenWhole } from './whole.ts'

/** Parts of a payload, held to what is known of them before they are handed on. */
export interface RangeView {
  /** Whether parts of it can be had. Those of a coded object cannot, nor those of a large one that was never measured. */
  has(source: Source, options?: OpenOptions): Promise<boolean>
  /** @throws AppError `RANGE_NOT_SATISFIABLE`; what opening the whole throws. */
  open(source: Source, range: ByteRange, options?: OpenOptions): Promise<OpenPayload>
}

export interface RangeOptions {
  readonly openWhole: OpenWhole
  readonly admission: Admission
  readonly cache: Pick<ByteCache, 'maxEntryBytes'>
}

export function createRangeView({ openWhole, admission, cache }: RangeOptions): RangeView {
  /** Read whole, and cut. */
  const isSmall = ({ sizeBytes, digest }: ObjectSource) =>
    digest !== null && sizeBytes !== null && sizeBytes <= cache.maxEntryBytes

  /** What a digest vouches for has the size that it has now. */
  async function sized(source: ObjectSource, signal?: AbortSignal): Promise<ObjectSource> {
    const { digest, sizeBytes, contentEncoding } = source
    if (digest === null || sizeBytes !== null || contentEncoding !== 'identity') return source
    const looking = source.stat(signal)
    looking.catch((error: unknown) => source.note(Promise.reject(error), { checks: false }))
    return { ...source, sizeBytes: (await looking).sizeBytes }
  }

  async function openPart(source: ObjectSource, range: ByteRange, options: OpenOptions): Promise<OpenPayload> {
    const stored = promisesNothing(source) ? null : await source.stored()
    const { signal } = options
    const object = await source.get({
      gate: admission.streams,
      signal,
      range: stored ? wholeChunks(range, stored) : range,
    })
    const body = stored ? checkedPart(object.body, range, stored) : object.body
    return { sizeBytes: object.sizeBytes, body, release: nothingHeld }
  }

  return {
    async has(source, { signal } = {}) {
      if (!isObject(source) || isSmall(await sized(source, signal))) return true
      if (promisesNothing(source)) return source.contentEncoding === 'identity'
      return await hasChunks(source)
    },
    async open(asked, range, options = {}) {
      const source = isObject(asked) ? await sized(asked, options.signal) : asked
      if (source.sizeBytes !== null) requireWithin(range, source.sizeBytes)
      // Of a coded one there are no parts: that it is one was just found out.
      if (!isObject(source) || isSmall(source) || source.contentEncoding !== 'identity') {
        const whole = await openWhole(source, options)
        if (Buffer.isBuffer(whole.body)) return { ...whole, ...cut(whole, range) }
        // There was no room for all of it; by its chunks it can be had without.
        discard(whole)
        if (!isObject(source) || !(await hasChunks(source)))
          throw new AppError('OVERLOADED', 'Too many payloads are held: try again')
      }
      const opening = openPart(source, range, options)
      source.note(opening, { checks: false })
      return await opening
    },
  }
}

/** There is no digest that a part could belie, or the version that is read was held to it. */
function promisesNothing({ digest, isPinned }: ObjectSource): boolean {
  return digest === null || isPinned
}

async function hasChunks(source: ObjectSource): Promise<boolean> {
  return source.contentEncoding === 'identity' && (await source.stored()) !== null
}

/** @throws AppError `RANGE_NOT_SATISFIABLE`; the payload is then let go. */
function cut({ body, release }: OpenPayload, range: ByteRange) {
  try {
    return slice(body as Buffer, range)
  } catch (error) {
    release()
    throw error
  }
}

/** The chunks that a range touches. */
function wholeChunks({ start, end }: ByteRange, { chunkSizeBytes, sizeBytes }: StoredBytes): ByteRange {
  return {
    start: start - (start % chunkSizeBytes),
    end: Math.min(Math.ceil(end / chunkSizeBytes) * chunkSizeBytes, sizeBytes),
  }
}

/** The bytes of a range out of the chunks that it touches, each chunk handed on once it is known to be right. */
export function checkedPart(chunks: Readable, range: ByteRange, stored: StoredBytes): Readable {
  const { chunkSizeBytes, sizeBytes } = stored
  const check = createChunkCheck(stored)
  async function* parts(): AsyncGenerator<Buffer> {
    let at = wholeChunks(range, stored).start
    let held: Buffer[] = []
    for await (const piece of chunks as AsyncIterable<Buffer>) {
      for (let from = 0; from < piece.length; ) {
        const part = piece.subarray(from, from + chunkSizeBytes - (at % chunkSizeBytes))
        check.write(part)
        held.push(within(part, at, range))
        from += part.length
        at += part.length
        if (at % chunkSizeBytes !== 0 && at !== sizeBytes) continue
        if (!check.isChunk(Math.ceil(at / chunkSizeBytes) - 1)) throw corrupt()
        yield* held.filter(({ length }) => length > 0)
        held = []
      }
    }
    // The end of a stream inside of a chunk is one that its source did not mean.
    if (held.length > 0) throw new AppError('STORAGE_UNAVAILABLE', 'Storage sent fewer bytes than it announced')
  }
  const body = Readable.from(parts(), { objectMode: false })
  // A generator that waits for a chunk does not hear that its reader has gone.
  return body.once('close', () => chunks.destroy())
}

/** What a range has of bytes that begin at a place. */
function within(bytes: Buffer, at: number, { start, end }: ByteRange): Buffer {
  return bytes.subarray(Math.max(start - at, 0), Math.max(end - at, 0))
}
