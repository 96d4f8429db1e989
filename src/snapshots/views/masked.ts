import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { LRUCache } from 'lru-cache'
import { AppError, type ErrorCode, isAppError } from '../../errors.ts'
import { createMasker } from '../../json/mask/masker.ts'
import type { Policy } from '../policies.ts'
import type { MaskedSource, Source } from '../source/source.ts'
import { discard, nothingHeld, type OpenOptions, type OpenPayload, type UnmeasuredPayload } from './open-payload.ts'
import { chunksOf } from './payload-bytes.ts'
import { ONE_CHUNK } from './verified-body.ts'

/** What is left of a payload under a policy, masked while it is read: nothing of it is kept, and nothing is shared with those who may have all. */
export interface MaskedView {
  /** @throws AppError `INVALID_PAYLOAD` for what is not JSON: of that nothing can be masked. What opening the whole throws. */
  open(source: MaskedSource, options?: OpenOptions): Promise<OpenPayload | UnmeasuredPayload>
  /** The same with its size, which is counted by reading it once more. @throws as well AppError `PAYLOAD_TOO_LARGE`. */
  openJson(source: MaskedSource, options?: OpenOptions): Promise<OpenPayload>
}

/** Opens all of a payload that is known to be JSON. */
export type OpenUnder = (source: Source, options: OpenOptions) => Promise<OpenPayload>

/** Up to here it is masked at once. */
const SMALL_BYTES = 65_536
const SIZES_MAX = 1000
/** Failures whose words tell of sizes and places in the whole. */
const TELLING: readonly ErrorCode[] = ['OBJECT_CORRUPT', 'INVALID_PAYLOAD', 'PAYLOAD_TOO_LARGE']

export function maskedSource(under: Source, mask: Policy): MaskedSource {
  const { snapshotId, contentType, digest } = under.snapshot
  // Of content that has a digest there is no other version.
  const tag = digest === null ? null : `${snapshotId}-${mask.version}`
  return { kind: 'masked', snapshotId, contentType, sizeBytes: null, tag, mask, under }
}

export function createMaskedView(openUnder: OpenUnder): MaskedView {
  /** Of what cannot become another. */
  const sizes = new LRUCache<string, number>({ max: SIZES_MAX })

  async function openWhole({ under }: MaskedSource, { useCache, signal }: OpenOptions): Promise<OpenPayload> {
    try {
      // No limit: whether the whole is above it is not for this viewer.
      return await openUnder(under, { useCache, signal })
    } catch (error) {
      throw withoutTelling(error)
    }
  }

  async function measure({ tag, mask }: MaskedSource, opened: OpenPayload, maxBytes?: number): Promise<number> {
    let sizeBytes = 0
    // Leaving the loop destroys the stream, and lets go of what it holds.
    for await (const part of streamOf(opened, mask, null)) {
      sizeBytes += part.length
      refuseAbove(maxBytes, sizeBytes)
    }
    if (tag !== null) sizes.set(tag, sizeBytes)
    return sizeBytes
  }

  return {
    async open(source, options = {}) {
      const opened = await openWhole(source, options)
      return maskSmall(opened, source.mask) ?? unmeasured(streamOf(opened, source.mask, null))
    },
    async openJson(source, options = {}) {
      const { tag, mask } = source
      let sizeBytes = tag === null ? undefined : sizes.get(tag)
      if (sizeBytes === undefined) {
        const opened = await openWhole(source, options)
        const small = maskSmall(opened, mask)
        refuseAbove(options.maxBytes, small?.sizeBytes ?? null)
        if (small) return small
        sizeBytes = await measure(source, opened, options.maxBytes)
      }
      refuseAbove(options.maxBytes, sizeBytes)
      return { sizeBytes, body: streamOf(await openWhole(source, options), mask, sizeBytes), release: nothingHeld }
    },
  }
}

/** @throws AppError `PAYLOAD_TOO_LARGE`, which says what takes all of it: there are no parts of what is masked while it passes. */
function refuseAbove(maxBytes: number | undefined, sizeBytes: number | null): void {
  if (maxBytes === undefined || sizeBytes === null || sizeBytes <= maxBytes) return
  throw new AppError(
    'PAYLOAD_TOO_LARGE',
    `What may be read of the payload is more than the ${maxBytes} bytes allowed here: GET …/payload streams all of it`,
  )
}

/** Null for what is masked while it is sent. */
function maskSmall({ body, release }: OpenPayload, { start }: Policy): OpenPayload | null {
  if (!Buffer.isBuffer(body) || body.length > SMALL_BYTES) return null
  try {
    const masker = createMasker(start)
    const masked = masker.write(body)
    masker.end()
    return { sizeBytes: masked.length, body: masked, release: nothingHeld }
  } finally {
    release()
  }
}

function unmeasured(body: Readable): UnmeasuredPayload {
  return { sizeBytes: null, body, release: nothingHeld }
}

/** @param expectedBytes what was counted before; null where nobody did. A stream of another size never ends cleanly. */
function streamOf(opened: OpenPayload, { start }: Policy, expectedBytes: number | null): Readable {
  const { body } = opened
  const masker = createMasker(start)
  let left = expectedBytes ?? Number.POSITIVE_INFINITY
  const masked = new Transform({
    ...ONE_CHUNK,
    transform(chunk: Buffer, _encoding, done) {
      try {
        const bytes = masker.write(chunk)
        left -= bytes.length
        if (left < 0) done(replaced())
        else done(null, bytes)
      } catch (error) {
        done(error as Error)
      }
    },
    flush(done) {
      try {
        masker.end()
        done(expectedBytes !== null && left > 0 ? replaced() : null)
      } catch (error) {
        done(error as Error)
      }
    },
  })
  // The failure reaches the reader on `masked`; here it would only be reported twice.
  pipeline([Buffer.isBuffer(body) ? Readable.from(chunksOf(body), { objectMode: false }) : body, masked]).catch(
    () => {},
  )
  return masked.once('close', () => discard(opened))
}

function replaced(): AppError {
  return new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read')
}

function withoutTelling(error: unknown): unknown {
  if (!isAppError(error) || !TELLING.includes(error.code)) return error
  return new AppError(
    error.code,
    'The payload cannot be masked: it is not what it should be, or too large to be checked',
  )
}
