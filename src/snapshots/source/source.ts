import type { Readable } from 'node:stream'
import type { Snapshot } from '../../model/snapshot.ts'
import type { ByteRange, ObjectStat, StoredObject } from '../../storage/backend.ts'
import type { Policy } from '../policies.ts'
import type { StoredBytes } from '../stored-bytes.ts'
import type { Gate } from './gate.ts'

/**
 * Where the bytes of one payload are read from, and what may be promised of them. A row has one: which of two copies is read is
 * settled when it is resolved, and everything that is done with a payload afterwards is a view of its source.
 */
export type Source = RowSource | ObjectSource

interface AnySource {
  /** As it is with this source alone: its size, and whether the digest is of it. */
  readonly snapshot: Snapshot
  /** Of the payload, in bytes; null where only reading it tells. */
  readonly sizeBytes: number | null
}

/** The payload lies in the row: this server put it there, or it is the copy that another writer left. */
export interface RowSource extends AnySource {
  readonly kind: 'row' | 'copy'
  /** Reads all of it. @throws AppError `OBJECT_MISSING` when the row has none, or is gone. */
  load(): Promise<Buffer>
}

/** The payload lies in storage. `foreign`: another writer put it there, and may replace it. */
export interface ObjectSource extends AnySource {
  readonly kind: 'own' | 'foreign'
  readonly storageUri: string
  /** `sha256:<64 hex>` of the payload, which whoever reads it whole holds it to; null where there is none. */
  readonly digest: string | null
  /** What the stored bytes are coded in; `identity` where they are the payload. */
  readonly contentEncoding: string
  /** Whether it is known to be JSON: this server wrote it, or the pinned version was checked. */
  readonly isJson: boolean
  /** Whether one version of it is read and no other, which was once read whole and found to be right. */
  readonly isPinned: boolean
  /** The same, of this version alone, which was checked and is JSON; null where its digest vouches for that. */
  pin(etag: string | null): ObjectSource
  /** The same, in the coding that its bytes were found to have. */
  recoded(coding: string): ObjectSource
  /** What was noted of the bytes as they lie in storage; null where nothing was: then no part of them can be checked. */
  stored(): Promise<StoredBytes | null>
  /** @throws as `StorageBackend.stat` does; `Recoded` where the store, or the name, tells of a coding that the source has not. */
  stat(signal?: AbortSignal): Promise<ObjectStat>
  /**
   * Opens the bytes as they lie, unchecked, and holds a place until the body is closed.
   * @throws as `StorageBackend.get` does; `Recoded`; `OBJECT_CORRUPT` for another size than is known; `OVERLOADED`.
   */
  get(options: SourceGet): Promise<StoredObject>
  /** Notes in the row what reading this place showed. A reader never waits for that, nor fails with it. */
  note(opening: Promise<Opening>, options: NoteOptions): void
}

export interface SourceGet {
  /** Where the place is taken; null for whoever is bounded by other means. */
  readonly gate: Gate | null
  readonly range?: ByteRange | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a read may end in: bytes that are right, or a stream that still may break. */
export interface Opening {
  readonly body: Buffer | Readable
}

export interface NoteOptions {
  /** Whether it compares what it reads. One that does not cannot tell that what was corrupt no longer is. */
  readonly checks: boolean
}

/**
 * A payload of which its viewer may have what a policy leaves. It is read from its beginning to its end, and by `views/masked.ts` alone:
 * how much it is only reading it tells, no digest is of it, no store has it, and no part of it can be opened by its place.
 */
export interface MaskedSource {
  readonly kind: 'masked'
  readonly snapshotId: string
  readonly contentType: string
  readonly sizeBytes: null
  /** Names what this policy leaves of this payload, and tells nothing of the rest; null where the payload may become another. */
  readonly tag: string | null
  readonly mask: Policy
  /** The whole. Whoever reads it hands on no byte of it, and nothing that was found out by it. */
  readonly under: Source
}

/** What a viewer may read of a payload. */
export type Served = Source | MaskedSource

export function isMasked(source: Served): source is MaskedSource {
  return source.kind === 'masked'
}

export function isObject(source: Source): source is ObjectSource {
  return source.kind === 'own' || source.kind === 'foreign'
}
