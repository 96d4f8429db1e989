import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import DataLoader from 'dataloader'
import type { ByteCache } from '../../cache/byte-cache.ts'
import type { Database } from '../../db/connect.ts'
import { recordStorageState } from '../../db/queries/snapshot-findings.ts'
import { loadInlinePayloads } from '../../db/queries/snapshots.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Snapshot, StorageState } from '../../model/snapshot.ts'
import type { ByteRange } from '../../storage/backend.ts'
import type { Storage } from '../../storage/registry.ts'
import { handedOnAs } from '../encoding.ts'
import { createForeignJson, type OpenedObject } from '../source/foreign-json.ts'
import { createStoredObjects, type ObjectOptions, type ObjectRow } from '../source/stored-objects.ts'
import { createTwoCopies } from '../source/two-copies.ts'
import { refuseAbove, slice } from './payload-bytes.ts'

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

export interface Payloads {
  /**
   * Opens the payload's bytes, exactly as they were captured. Of a state that another writer left twice, the object is opened
   * if it is JSON and has the row's digest, and otherwise the copy in the row.
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

  /**
   * The snapshot with one source alone, and what is known of that one: its size, and whether the digest is of it. Reads a state
   * that another writer left twice; any other comes back as it is. @throws as `open` does.
   */
  settle(snapshot: Snapshot, options?: Pick<OpenOptions, 'signal'>): Promise<Snapshot>

  /**
   * Opens what lies in storage, past every cache and every copy, and leaves no note of what it showed: for whoever checks it.
   * @throws as `open` does.
   */
  openStored(snapshot: Snapshot, options?: Pick<OpenOptions, 'signal'>): Promise<OpenPayload>
}

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
  const objects = createStoredObjects({ storage, cache })
  const foreign = createForeignJson({ db, wholeMaxBytes: cache.maxEntryBytes })
  const openOneOfTwo = createTwoCopies({
    db,
    loadCopy: (snapshotId) => inline.load(snapshotId),
    openObject: (snapshot, options) =>
      openChecked(snapshot, options, (pinned) => objects.open(rowOf(snapshot), { ...options, ...pinned })),
  })

  /** A range is of an object that was checked before. */
  async function openChecked(
    snapshot: Snapshot,
    { useCache, maxBytes, range, signal }: ObjectOptions,
    open: (options: ObjectOptions) => Promise<OpenedObject>,
  ): Promise<OpenedObject> {
    const opened = await foreign.open({
      snapshot,
      // What one caller finds too large is no verdict for another.
      key: useCache === false ? null : `${maxBytes} ${snapshot.snapshotId}`,
      signal,
      open: (pinned) => open({ ...pinned, range: pinned.ifMatch === undefined ? undefined : range }),
      isStill: (etag) => isStill(etag, open),
    })
    const { body } = opened
    const isWhole = Buffer.isBuffer(body) && body.length === opened.sizeBytes
    return isWhole ? { ...opened, ...slice(body, range) } : opened
  }

  async function isStill(etag: string, open: (options: ObjectOptions) => Promise<OpenedObject>): Promise<boolean> {
    try {
      const { body } = await open({ ifMatch: etag, range: { start: 0, end: 1 } })
      if (!Buffer.isBuffer(body)) await buffer(body)
      return true
    } catch (error) {
      if (isAppError(error, 'CONFLICT') || isAppError(error, 'RANGE_NOT_SATISFIABLE')) return false
      throw error
    }
  }

  async function openInline(snapshot: Snapshot, { range, maxBytes }: OpenOptions): Promise<OpenPayload> {
    const bytes = snapshot.inlinePayload ?? (await inline.load(snapshot.snapshotId))
    if (bytes === null) throw new AppError('OBJECT_MISSING', 'The snapshot has no payload')
    refuseAbove(maxBytes, bytes.length)
    return slice(bytes, range)
  }

  function record(snapshot: Snapshot, state: StorageState): void {
    // A reader never waits for this note, nor fails with it.
    if (snapshot.storageState !== state) recordStorageState(db, snapshot.snapshotId, state).catch(() => {})
  }

  /** Notes what a read shows. One that checks nothing cannot tell that what was corrupt no longer is. */
  async function recorded<T extends OpenedObject>(
    snapshot: Snapshot,
    opening: Promise<T>,
    { checks }: { readonly checks: boolean },
  ): Promise<T> {
    const recordFailure = (error: unknown) => {
      if (isAppError(error, 'OBJECT_MISSING')) record(snapshot, 'MISSING')
      if (isAppError(error, 'OBJECT_CORRUPT')) record(snapshot, 'CORRUPT')
    }
    const recordSuccess = () => {
      if (checks || snapshot.storageState !== 'CORRUPT') record(snapshot, 'AVAILABLE')
    }
    try {
      const opened = await opening
      if (!Buffer.isBuffer(opened.body)) opened.body.once('end', recordSuccess).once('error', recordFailure)
      else if (!opened.isCached) recordSuccess()
      return opened
    } catch (error) {
      recordFailure(error)
      throw error
    }
  }

  const openRecorded = (snapshot: Snapshot, options: ObjectOptions) =>
    recorded(snapshot, objects.open(rowOf(snapshot), options), { checks: options.range === undefined })

  const payloads: Payloads = {
    async open(snapshot, options = {}) {
      refuseAbove(options.maxBytes, snapshot.sizeBytes)
      if (snapshot.storageUri === null) return await openInline(snapshot, options)
      if (snapshot.hasInlineCopy) return (await openOneOfTwo(snapshot, options)).opened
      return await openRecorded(snapshot, options)
    },
    async openCoded(snapshot, options = {}) {
      if (handedOnAs(snapshot) === null) return null
      return await recorded(snapshot, objects.openCoded(rowOf(snapshot), options), { checks: false })
    },
    async openJson(snapshot, options = {}) {
      const { isOwn, storageUri, hasInlineCopy } = snapshot
      if (isOwn || storageUri === null || hasInlineCopy) return await payloads.open(snapshot, options)
      refuseAbove(options.maxBytes, snapshot.sizeBytes)
      return await openChecked(snapshot, options, (pinned) => openRecorded(snapshot, { ...options, ...pinned }))
    },
    async settle(snapshot, options = {}) {
      if (!snapshot.hasInlineCopy) return snapshot
      const settled = await openOneOfTwo(snapshot, options)
      const { body } = settled.opened
      if (!Buffer.isBuffer(body)) body.destroy()
      return settled.snapshot
    },
    async openStored(snapshot, { signal } = {}) {
      if (snapshot.storageUri === null) return await openInline({ ...snapshot, inlinePayload: null }, {})
      return await objects.open(rowOf(snapshot), { useCache: false, signal })
    },
  }
  return payloads
}

/** @throws Error for an inline payload, which has no object. */
function rowOf({ storageUri, ...snapshot }: Snapshot): ObjectRow {
  if (storageUri === null) throw new Error('an inline payload has no object')
  return { ...snapshot, storageUri }
}
