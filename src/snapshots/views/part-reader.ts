import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { LRUCache } from 'lru-cache'
import { AppError, isAppError } from '../../errors.ts'
import type { ByteRange, StoredObject } from '../../storage/backend.ts'
import type { Gate } from '../source/gate.ts'
import type { ObjectSource } from '../source/source.ts'
import { readAtMost } from './payload-bytes.ts'
import { corrupt, verifiedBody } from './verified-body.ts'

/** Ranges of one version of a payload, decoded and unchecked. */
export interface PartReader {
  /**
   * @param ranges in order, none reaching into another.
   * @returns the bytes of each; one may fail without the others.
   * @throws AppError `STORAGE_UNAVAILABLE` once the object is another version; what the source throws.
   */
  readAll(ranges: readonly ByteRange[], signal?: AbortSignal): readonly Promise<Buffer>[]
  /** Left early, it lets go. Others have their turn between two chunks. */
  stream(range: ByteRange, signal?: AbortSignal): AsyncGenerator<Buffer>
}

export interface PartAccess {
  readonly etags: KnownEtags
  /** Of ranges that are read as fast as the store gives them. */
  readonly reads: Gate
  /** Of streams that a client takes; null for whoever is bounded by other means. */
  readonly streams: Gate | null
}

/** Where a place of a coded state lies further behind than this, it is not looked for: each look decodes all that is before it. */
const REACH_MAX_BYTES = 4 * 2 ** 30

export function createPartReader(source: ObjectSource, access: PartAccess): PartReader {
  const open = createOpening(source, access.etags)
  return source.contentEncoding === 'identity' ? plainReader(open, access) : codedReader(open, source, access)
}

/** Bytes that are all here. */
export function readerOfBytes(bytes: Buffer): PartReader {
  return {
    readAll: (ranges) => ranges.map(async ({ start, end }) => bytes.subarray(start, end)),
    async *stream({ start, end }) {
      for (let at = start; at < end; at += SLICE_BYTES) {
        if (at > start) await setImmediate()
        yield bytes.subarray(at, Math.min(at + SLICE_BYTES, end))
      }
    },
  }
}

const SLICE_BYTES = 262_144

type Opening = (options: Parameters<ObjectSource['get']>[0]) => Promise<StoredObject>

/** Tags of objects that were read lately, by their URIs: so also the first read of a request is of one version. */
export type KnownEtags = LRUCache<string, string>

/** Every read is of the version that the first one found. */
function createOpening(source: ObjectSource, etags: KnownEtags): Opening {
  const { storageUri } = source
  let pinned = source
  /** Whether it is only thought to be that version: it may have been moved, or restored, with the same bytes. */
  let isGuessed = false
  const known = source.isPinned ? undefined : etags.get(storageUri)
  if (known !== undefined) {
    pinned = source.pin(known)
    isGuessed = true
  }

  return async function open(options) {
    try {
      const object = await pinned.get(options)
      isGuessed = false
      if (!pinned.isPinned && object.etag !== null) {
        pinned = source.pin(object.etag)
        etags.set(storageUri, object.etag)
      }
      return object
    } catch (error) {
      if (!isAppError(error, 'CONFLICT')) throw error
      if (!isGuessed) {
        throw new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read', { cause: error })
      }
      isGuessed = false
      etags.delete(storageUri)
      pinned = source
      return await open(options)
    }
  }
}

function plainReader(open: Opening, { reads, streams }: PartAccess): PartReader {
  async function read(range: ByteRange, signal?: AbortSignal): Promise<Buffer> {
    const { body } = await open({ gate: reads, range, signal })
    const bytes = await readAtMost(body, range.end - range.start)
    if (bytes.length < range.end - range.start) throw corrupt()
    return bytes
  }
  return {
    readAll: (ranges, signal) => ranges.map((range) => read(range, signal)),
    async *stream(range, signal) {
      const { body } = await open({ gate: streams, range, signal })
      yield* inTurns(body)
    },
  }
}

/** There is no way into the middle: it is decoded from its beginning up to the last place that is asked for. */
function codedReader(open: Opening, { contentEncoding }: ObjectSource, { reads, streams }: PartAccess): PartReader {
  async function* decoded(gate: Gate | null, end: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
    if (end > REACH_MAX_BYTES) throw outOfReach()
    const { body } = await open({ gate, signal })
    const plain = verifiedBody(body, { contentEncoding, sizeBytes: null, digest: null })
    plain.once('close', () => body.destroy())
    let at = 0
    for await (const chunk of inTurns(plain)) {
      yield chunk
      at += chunk.length
      if (at >= end) return
    }
  }

  async function pass(ranges: readonly ByteRange[], signal?: AbortSignal): Promise<Buffer[]> {
    const found = ranges.map((): Buffer[] => [])
    let at = 0
    for await (const chunk of decoded(reads, ranges.at(-1)?.end ?? 0, signal)) {
      for (const [i, range] of ranges.entries()) found[i]?.push(copyWithin(chunk, at, range))
      at += chunk.length
    }
    return found.map((pieces) => Buffer.concat(pieces))
  }

  return {
    readAll(ranges, signal) {
      const passing = pass(ranges, signal)
      return ranges.map(async ({ start, end }, i) => {
        const bytes = (await passing)[i]
        if (bytes?.length !== end - start) throw corrupt()
        return bytes
      })
    },
    async *stream(range, signal) {
      let at = 0
      for await (const chunk of decoded(streams, range.end, signal)) {
        const part = copyWithin(chunk, at, range)
        at += chunk.length
        if (part.length > 0) yield part
      }
    },
  }
}

async function* inTurns(body: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      yield chunk
      await setImmediate()
    }
  } finally {
    body.destroy()
  }
}

/** What a range has of a chunk that begins at a place. */
function copyWithin(chunk: Buffer, at: number, { start, end }: ByteRange): Buffer {
  return chunk.subarray(Math.max(start - at, 0), Math.max(end - at, 0))
}

function outOfReach(): AppError {
  return new AppError(
    'PAYLOAD_TOO_LARGE',
    `The state is coded, and the place lies behind more than ${REACH_MAX_BYTES} bytes of it: read it whole`,
  )
}
