import type { Viewer } from '../../auth/viewer.ts'
import type { ByteCache } from '../../cache/byte-cache.ts'
import type { Database, Rows } from '../../db/connect.ts'
import { AppError } from '../../errors.ts'
import { rowOf, type Snapshot } from '../../model/snapshot.ts'
import type { ByteRange } from '../../storage/backend.ts'
import type { Storage } from '../../storage/registry.ts'
import { createMayRead, type MayRead, type Reading } from '../may-read.ts'
import { type Admission, createAdmission } from '../source/admission.ts'
import { type Codings, createCodings } from '../source/coding.ts'
import { isMasked, isObject, type MaskedSource, type Served, type Source } from '../source/source.ts'
import { createSources, type ResolveOptions } from '../source/sources.ts'
import { type CodedPayload, createCodedView } from './coded.ts'
import { createJsonView } from './json.ts'
import { createMaskedView, maskedSource } from './masked.ts'
import { discard, type OpenOptions, type OpenPayload, type UnmeasuredPayload } from './open-payload.ts'
import { createRangeView } from './range.ts'
import { createWholeView } from './whole.ts'

export type { ByteRange, CodedPayload, MaskedSource, OpenOptions, OpenPayload, Served, Source, UnmeasuredPayload }

/**
 * Payloads, and what can be done with them: a row is resolved to its source once, and each view is made of that.
 *
 * Opening takes room where bytes are held and places where storage is opened, and gives both back when the last byte has left.
 * All methods reject with AppError: `OBJECT_MISSING`, `OBJECT_CORRUPT`, `STORAGE_URI_REJECTED`, `UNSUPPORTED_STORAGE_SCHEME`,
 * `STORAGE_UNAVAILABLE`, `STORAGE_TIMEOUT`, `PAYLOAD_TOO_LARGE`, `OVERLOADED`, and what the database rejects with.
 */
export interface Payloads {
  /**
   * Which bytes are the payload, as far as the viewer may read them: whole, or masked. Of a state that another writer left twice it
   * reads one, the first time. Everything that is done with a payload for a viewer begins here.
   * @throws as well AppError `FORBIDDEN` where he may not read it.
   */
  resolve(snapshot: Snapshot, options: ViewOptions): Promise<Served>
  /** What lies in storage, or in the row where there is no object, past every copy. */
  resolveStored(snapshot: Snapshot): Source

  /** Does something with a source, in the coding that its bytes turn out to have. */
  read: Codings['read']

  /** All of it, exactly as it was captured, but for what is masked; of that the size is told where it is small. */
  open(source: Source, options?: OpenOptions): Promise<OpenPayload>
  open(source: Served, options?: OpenOptions): Promise<OpenPayload | UnmeasuredPayload>
  /**
   * The same, known to be JSON before its first byte, and of known size: what is masked is read twice for that, the first time.
   * @throws as well AppError `INVALID_PAYLOAD`.
   */
  openJson(source: Served, options?: OpenOptions): Promise<OpenPayload>
  /** Size of all of it in bytes, where the row does not know it: as cheaply as the source can tell. */
  sizeOf(source: Source, options?: OpenOptions): Promise<number>
  /** Whether parts of it can be had, each held to its own digest. */
  hasRanges(source: Source, options?: OpenOptions): Promise<boolean>
  /** A part of it, where there are parts. @throws as well AppError `RANGE_NOT_SATISFIABLE`. */
  openRange(source: Source, range: ByteRange, options?: OpenOptions): Promise<OpenPayload>
  /** As it lies in storage, in its coding; null where it must not be handed on so. */
  coded(source: Source): Promise<CodedPayload | null>
}

export interface ViewOptions extends ResolveOptions {
  readonly viewer: Viewer
}

/** A state that somebody asked for, and did not get whole. */
export interface Withheld {
  readonly viewer: Viewer
  readonly snapshotId: string
  /** Undefined: he got nothing. */
  readonly policy?: string
}

export interface PayloadsOptions {
  readonly db: Database
  /** Where what never changes is read first; `db` when left out. */
  readonly unchanging?: Rows | undefined
  readonly storage: Storage
  readonly cache: ByteCache
  /** One of its own when left out. */
  readonly admission?: Admission
  /** By scopes alone, without any policy, when left out. */
  readonly mayRead?: MayRead
  readonly onWithheld?: ((withheld: Withheld) => void) | undefined
}

export function createPayloads(options: PayloadsOptions): Payloads {
  const { db, unchanging, storage, cache, admission = createAdmission() } = options
  const { mayRead = createMayRead(() => new Map()), onWithheld } = options
  const openWhole = createWholeView({ cache, admission })
  const json = createJsonView({ db, openWhole, admission, wholeMaxBytes: cache.maxEntryBytes })
  const ranges = createRangeView({ openWhole, admission, cache })
  const codings = createCodings(db)
  const sources = createSources({ db, unchanging, storage, codings, check: json.check })
  const masked = createMaskedView((asked, given) => codings.read(asked, (source) => json.open(source, given)))

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

  async function resolveLess(snapshot: Snapshot, reading: Exclude<Reading, 'whole'>, options: ViewOptions) {
    const { snapshotId } = snapshot
    const { viewer } = options
    if (reading === 'no') {
      onWithheld?.({ viewer, snapshotId })
      throw new AppError('FORBIDDEN', 'That state holds personal data: it needs the scope pii:read')
    }
    onWithheld?.({ viewer, snapshotId, policy: reading.masked.name })
    return maskedSource(await sources.resolve(snapshot, options), reading.masked)
  }

  function open(asked: Source, given?: OpenOptions): Promise<OpenPayload>
  function open(asked: Served, given?: OpenOptions): Promise<OpenPayload | UnmeasuredPayload>
  function open(asked: Served, given?: OpenOptions): Promise<OpenPayload | UnmeasuredPayload> {
    return isMasked(asked) ? masked.open(asked, given) : codings.read(asked, (source) => openWhole(source, given))
  }

  return {
    resolve(asked, options) {
      const snapshot = rowOf(asked)
      const reading = mayRead(options.viewer, snapshot)
      // Not a turn more for who may have all.
      return reading === 'whole' ? sources.resolve(snapshot, options) : resolveLess(snapshot, reading, options)
    },
    resolveStored: sources.resolveStored,
    read: codings.read,
    sizeOf: (asked, given) => codings.read(asked, (source) => sizeOf(source, given)),
    open,
    openJson: (asked, given) =>
      isMasked(asked) ? masked.openJson(asked, given) : codings.read(asked, (source) => json.open(source, given)),
    hasRanges: (asked, given) => codings.read(asked, (source) => ranges.has(source, given)),
    openRange: (asked, range, given) => codings.read(asked, (source) => ranges.open(source, range, given)),
    coded: createCodedView(admission),
  }
}
