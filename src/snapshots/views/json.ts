import { LRUCache } from 'lru-cache'
import type { Database } from '../../db/connect.ts'
import { recordJsonVerdict } from '../../db/queries/snapshot-findings.ts'
import { AppError, isAppError } from '../../errors.ts'
import { createJsonScanner } from '../../json/scanner.ts'
import type { JsonVerdict } from '../../model/snapshot.ts'
import type { StoredObject } from '../../storage/backend.ts'
import type { Admission } from '../source/admission.ts'
import { createHeldFlights, type Flight, type Held } from '../source/held-flights.ts'
import { isObject, type ObjectSource, type Source } from '../source/source.ts'
import { discard, type OpenOptions, type OpenPayload } from './open-payload.ts'
import { chunksOf, readAtMost, refuseAbove } from './payload-bytes.ts'
import { verifiedBody } from './verified-body.ts'
import type { OpenWhole } from './whole.ts'

const MIB = 1_048_576
const FREE_BYTES = 262_144
/** Of an object of which nothing tells one version from another: all of it is held while it is checked and sent. */
const UNPINNED_MAX_BYTES = 64 * MIB
const RECENT = 1000

/** All of a payload that is known to be JSON before its first byte, as what goes into an answer must be. */
export interface JsonView {
  /**
   * A small object that this server did not write is read whole; a larger one is read twice the first time, and the verdict is
   * kept with the version that it holds for.
   * @throws AppError `INVALID_PAYLOAD` when it is not JSON; `STORAGE_UNAVAILABLE` when it is replaced meanwhile; what opening the
   * whole throws.
   */
  open(source: Source, options?: OpenOptions): Promise<OpenPayload>
  /** The same source, pinned to a version that is JSON and has its digest. @throws as `open` does. */
  check(source: ObjectSource, options?: OpenOptions): Promise<ObjectSource>
}

export interface JsonViewOptions {
  readonly db: Database
  readonly openWhole: OpenWhole
  readonly admission: Admission
  /** Objects up to so many bytes are handed on from memory. */
  readonly wholeMaxBytes: number
}

/** The bytes themselves, or the version that can be opened now. */
type Checked = { readonly whole: Buffer } | { readonly etag: string | null }
type Verdict = Pick<JsonVerdict, 'isJson'> & { readonly etag: string | null }

export function createJsonView({ db, openWhole, admission, wholeMaxBytes }: JsonViewOptions): JsonView {
  const flights = createHeldFlights<Checked>(admission.memory, FREE_BYTES)
  /** Verdicts of rows that were read before theirs was noted there. */
  const recent = new LRUCache<string, Verdict>({ max: RECENT })

  function keep({ snapshot }: ObjectSource, verdict: Verdict): void {
    recent.set(snapshot.snapshotId, verdict)
    const { etag, isJson } = verdict
    // A reader never waits for this note, nor fails with it.
    if (etag !== null) recordJsonVerdict(db, snapshot, { isJson, etag }).catch(() => {})
  }

  async function checkOnce(source: ObjectSource, { maxBytes }: OpenOptions, flight: Flight): Promise<Checked> {
    const object = await source.get({ gate: admission.streams, signal: flight.signal })
    const isPlain = source.contentEncoding === 'identity'
    if (isPlain) refuseAbove(maxBytes, object.sizeBytes, object.body)
    const body = verifiedBody(object.body, source)
    const isPinnable = object.etag !== null || source.digest !== null
    if (isPinnable && !(isPlain && object.sizeBytes <= wholeMaxBytes)) return await checkPassing(source, object, body)
    const most = isPlain ? object.sizeBytes : UNPINNED_MAX_BYTES
    try {
      refuseAbove(UNPINNED_MAX_BYTES, most)
      await flight.reserve(most)
    } catch (error) {
      body.destroy()
      throw error
    }
    const whole = await readAtMost(body, Math.min(maxBytes ?? most, most))
    await scan(chunksOf(whole))
    return { whole }
  }

  async function checkPassing(source: ObjectSource, { etag }: StoredObject, body: AsyncIterable<Buffer>) {
    try {
      await scan(body)
    } catch (error) {
      if (isAppError(error, 'INVALID_PAYLOAD')) keep(source, { isJson: false, etag })
      throw error
    }
    keep(source, { isJson: true, etag })
    return { etag }
  }

  /** What the object is, to one caller or to all that come meanwhile. */
  async function checked(source: ObjectSource, options: OpenOptions): Promise<Held<Checked>> {
    const { snapshot } = source
    // What one caller finds too large is no verdict for another.
    const key = options.useCache === false ? null : `${options.maxBytes} ${snapshot.snapshotId}`
    const { signal } = options
    const checking = flights.run(key, (flight) => checkOnce(source, options, flight), { signal, isShared: false })
    checking.catch((error: unknown) => source.note(Promise.reject(error), { checks: true }))
    return await checking
  }

  /** Null when the object is another version by now, of which the verdict says nothing. */
  async function openKnown(source: ObjectSource, { isJson, etag }: Verdict, options: OpenOptions) {
    if (!isJson) {
      if ((await source.stat(options.signal)).etag === etag)
        throw new AppError('INVALID_PAYLOAD', 'The object is not JSON')
      return null
    }
    try {
      return await openWhole(source.pin(etag), options)
    } catch (error) {
      if (isAppError(error, 'CONFLICT')) return null
      throw error
    }
  }

  /** Of which a digest tells that it is what was checked, wherever it is read from. */
  async function openDigested(source: ObjectSource, options: OpenOptions): Promise<OpenPayload> {
    const opened = await openWhole(source, options)
    try {
      if (!Buffer.isBuffer(opened.body)) throw new AppError('OVERLOADED', 'Too many payloads are held: try again')
      await scan(chunksOf(opened.body))
      return opened
    } catch (error) {
      discard(opened)
      throw error
    }
  }

  const isSmall = ({ digest, sizeBytes }: ObjectSource) =>
    digest !== null && sizeBytes !== null && sizeBytes <= wholeMaxBytes

  async function openForeign(source: ObjectSource, options: OpenOptions): Promise<OpenPayload> {
    if (isSmall(source)) return await openDigested(source, options)
    const verdict = recent.get(source.snapshot.snapshotId) ?? source.snapshot.jsonVerdict
    const known = verdict && (await openKnown(source, verdict, options))
    if (known) return known
    const { value, release } = await checked(source, options)
    if ('whole' in value) {
      source.note(Promise.resolve({ body: value.whole }), { checks: true })
      return { sizeBytes: value.whole.length, body: value.whole, release }
    }
    release()
    const opened = await openKnown(source, { isJson: true, etag: value.etag }, options)
    if (!opened) throw new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was checked')
    return opened
  }

  return {
    async open(source, options = {}) {
      if (!isObject(source) || source.isJson) return await openWhole(source, options)
      refuseAbove(options.maxBytes, source.sizeBytes)
      return await openForeign(source, options)
    },
    async check(source, options = {}) {
      if (isSmall(source)) {
        discard(await openDigested(source, options))
        return source.pin(null)
      }
      const verdict = recent.get(source.snapshot.snapshotId) ?? source.snapshot.jsonVerdict
      // An object that is another version by now is checked anew.
      const now = verdict && (await source.stat(options.signal))
      if (verdict && now && now.etag === verdict.etag) {
        if (!verdict.isJson) throw new AppError('INVALID_PAYLOAD', 'The object is not JSON')
        return withSize(source.pin(verdict.etag), now.sizeBytes)
      }
      const { value, release } = await checked(source, options)
      release()
      return 'whole' in value
        ? withSize(source.pin(null), value.whole.length)
        : withSize(source.pin(value.etag), (await source.stat(options.signal)).sizeBytes)
    },
  }
}

function withSize(source: ObjectSource, sizeBytes: number): ObjectSource {
  return source.sizeBytes === null && source.contentEncoding === 'identity' ? { ...source, sizeBytes } : source
}

/** Leaving the loop destroys the body. */
async function scan(body: AsyncIterable<Buffer>): Promise<void> {
  const scanner = createJsonScanner()
  for await (const chunk of body) scanner.write(chunk)
  scanner.end()
}
