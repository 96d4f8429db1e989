import type { ByteCache } from '../../cache/byte-cache.ts'
import type { Database } from '../../db/connect.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { ByteRange } from '../../storage/backend.ts'
import type { Storage } from '../../storage/registry.ts'
import { type Admission, createAdmission } from '../source/admission.ts'
import { type Codings, createCodings } from '../source/coding.ts'
import { isObject, type Source } from '../source/source.ts'
import { createSources, type ResolveOptions } from '../source/sources.ts'
import { type CodedPayload, createCodedView } from './coded.ts'
import { createJsonView } from './json.ts'
import { discard, type OpenOptions, type OpenPayload } from './open-payload.ts'
import { createRangeView } from './range.ts'
import { createWholeView } from './whole.ts'

export type { ByteRange, CodedPayload, OpenOptions, OpenPayload, Source }

/**
 * Payloads, and what can be done with them: a row is resolved to its source once, and each view is made of that.
 *
 * Opening takes room where bytes are held and places where storage is opened, and gives both back when the last byte has left.
 * All methods reject with AppError: `OBJECT_MISSING`, `OBJECT_CORRUPT`, `STORAGE_URI_REJECTED`, `UNSUPPORTED_STORAGE_SCHEME`,
 * `STORAGE_UNAVAILABLE`, `STORAGE_TIMEOUT`, `PAYLOAD_TOO_LARGE`, `OVERLOADED`, and what the database rejects with.
 */
export interface Payloads {
  /** Which bytes are the payload. Of a state that another writer left twice it reads one, the first time. */
  resolve(snapshot: Snapshot, options?: ResolveOptions): Promise<Source>
  /** What lies in storage, or in the row where there is no object, past every copy. */
  resolveStored(snapshot: Snapshot): Source

  /** Does something with a source, in the coding that its bytes turn out to have. */
  read: Codings['read']

  /** All of it, exactly as it was captured. */
  open(source: Source, options?: OpenOptions): Promise<OpenPayload>
  /** The same, known to be JSON before its first byte. @throws as well AppError `INVALID_PAYLOAD`. */
  openJson(source: Source, options?: OpenOptions): Promise<OpenPayload>
  /** Size of all of it in bytes, where the row does not know it: as cheaply as the source can tell. */
  sizeOf(source: Source, options?: OpenOptions): Promise<number>
  /** Whether parts of it can be had, each held to its own digest. */
  hasRanges(source: Source, options?: OpenOptions): Promise<boolean>
  /** A part of it, where there are parts. @throws as well AppError `RANGE_NOT_SATISFIABLE`. */
  openRange(source: Source, range: ByteRange, options?: OpenOptions): Promise<OpenPayload>
  /** As it lies in storage, in its coding; null where it must not be handed on so. */
  coded(source: Source): Promise<CodedPayload | null>
}

export interface PayloadsOptions {
  readonly db: Database
  readonly storage: Storage
  readonly cache: ByteCache
  /** One of its own when left out. */
  readonly admission?: Admission
}

export function createPayloads(options: PayloadsOptions): Payloads {
  const { db, storage, cache, admission = createAdmission() } = options
  const openWhole = createWholeView({ cache, admission })
  const json = createJsonView({ db, openWhole, admission, wholeMaxBytes: cache.maxEntryBytes })
  const ranges = createRangeView({ openWhole, admission, cache })
  const codings = createCodings(db)
  const sources = createSources({ db, storage, codings, check: json.check })
  async function sizeOf(source: Source, openOptions?: OpenOptions): Promise<number> {
    if (source.sizeBytes !== null) return source.sizeBytes
    if (isObject(source) && source.contentEncoding === 'identity') {
      const looking = source.stat(openOptions?.signal)
      looking.catch((error: unknown) => source.note(Promise.reject(error), { checks: false }))
      return (await looking).sizeBytes
    }
    const opened = await openWhole(source, openOptions)
    discard(opened)
    return opened.sizeBytes
  }

  return {
    resolve: sources.resolve,
    resolveStored: sources.resolveStored,
    read: codings.read,
    sizeOf: (asked, given) => codings.read(asked, (source) => sizeOf(source, given)),
    open: (asked, given) => codings.read(asked, (source) => openWhole(source, given)),
    openJson: (asked, given) => codings.read(asked, (source) => json.open(source, given)),
    hasRanges: (asked, given) => codings.read(asked, (source) => ranges.has(source, given)),
    openRange: (asked, range, given) => codings.read(asked, (source) => ranges.open(source, range, given)),
    coded: createCodedView(admission),
  }
}
