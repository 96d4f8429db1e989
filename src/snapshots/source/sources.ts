import DataLoader from 'dataloader'
import type { Database, Rows } from '../../db/connect.ts'
import { settleOnCopy, settleOnObject } from '../../db/queries/snapshot-findings.ts'
import { loadInlinePayloads, measureInlinePayload } from '../../db/queries/snapshots.ts'
import { AppError, type ErrorCode, isAppError } from '../../errors.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Storage } from '../../storage/registry.ts'
import type { Codings } from './coding.ts'
import { createObjectSources, type OpenObjectSource } from './object-source.ts'
import type { ObjectSource, RowSource, Source } from './source.ts'

/** What the copy in the row stands in for: the object is gone, is not what the digest says, or can never be read. */
const LOST: readonly ErrorCode[] = [
  'OBJECT_MISSING',
  'OBJECT_CORRUPT',
  'INVALID_PAYLOAD',
  'STORAGE_URI_REJECTED',
  'UNSUPPORTED_STORAGE_SCHEME',
]
/** The object may be right, and another time it can be had. */
const AWAY: readonly ErrorCode[] = ['STORAGE_UNAVAILABLE', 'STORAGE_TIMEOUT']

/** Whether a failure to read the object says that it is of no use, now and later. */
export function isLost(error: unknown): error is AppError {
  return isAppError(error) && LOST.includes(error.code)
}

export interface ResolveOptions {
  /** False reads through to storage. */
  readonly useCache?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Sources {
  /**
   * Which bytes are the payload of a row. Of a state that another writer left twice the object is, if it is JSON and has the row's
   * digest, and otherwise the copy in the row; what was found out is noted there, unless the store may only be away.
   * @throws AppError `OBJECT_MISSING` when two copies were there and neither is, `STORAGE_URI_REJECTED`,
   * `UNSUPPORTED_STORAGE_SCHEME`; what checking an object throws but for what the copy stands in for.
   */
  resolve(snapshot: Snapshot, options?: ResolveOptions): Promise<Source>
  /** What lies in storage or in the row, whatever else there is, and without a note of what it shows: for whoever checks it. */
  resolveStored(snapshot: Snapshot): Source
  /** The object of a row. @throws Error when it has none. */
  objectOf: OpenObjectSource
}

export interface SourcesOptions {
  readonly db: Database
  /** Where what never changes is read first; `db` when left out. */
  readonly unchanging?: Rows | undefined
  readonly storage: Storage
  readonly codings: Codings
  /** The same source, pinned to a version that is known to be JSON and to have its digest. */
  readonly check: (source: ObjectSource, options: ResolveOptions) => Promise<ObjectSource>
}

export function createSources({ db, unchanging = db, storage, codings, check }: SourcesOptions): Sources {
  const objectOf = createObjectSources({ db, storage })
  const inline = new DataLoader<string, Buffer | null>(
    async (ids) => {
      const found = await loadInlinePayloads(unchanging, ids)
      const others = ids.filter((id) => !found.has(id))
      // A standby may not have them yet.
      if (unchanging !== db && others.length > 0) {
        for (const [id, payload] of await loadInlinePayloads(db, others)) found.set(id, payload)
      }
      return ids.map((id) => found.get(id) ?? null)
    },
    { cache: false },
  )
  // A reader never waits for such a note, nor fails with it.
  const settle = (snapshot: Snapshot) => void settleOnCopy(db, snapshot).catch(() => {})

  function rowOf(snapshot: Snapshot, kind: RowSource['kind']): RowSource {
    return {
      kind,
      snapshot,
      sizeBytes: snapshot.sizeBytes,
      async load() {
        const bytes = await inline.load(snapshot.snapshotId)
        if (bytes === null) throw new AppError('OBJECT_MISSING', 'The snapshot has no payload')
        return bytes
      },
    }
  }

  async function openObject(snapshot: Snapshot, options: ResolveOptions): Promise<ObjectSource> {
    const note: ObjectSource['note'] = (opening) => {
      // From then on the copy is read.
      const failed = (error: unknown) => isAppError(error, 'OBJECT_CORRUPT') && settle(snapshot)
      opening.then(({ body }) => Buffer.isBuffer(body) || body.once('error', failed), failed)
    }
    const checked = await codings.read(objectOf(withUri(snapshot), note), (source) => check(source, options))
    const { sizeBytes } = checked
    if (snapshot.sizeBytes !== sizeBytes || snapshot.storageState !== 'AVAILABLE') {
      settleOnObject(db, snapshot, sizeBytes).catch(() => {})
    }
    return { ...checked, snapshot: { ...snapshot, hasInlineCopy: false, sizeBytes, digestOf: 'PAYLOAD' } }
  }

  async function openCopy(snapshot: Snapshot): Promise<RowSource> {
    const sizeBytes = await measureInlinePayload(db, snapshot.snapshotId)
    if (sizeBytes === null) throw new AppError('OBJECT_MISSING', 'The snapshot has no payload')
    const digestOf = snapshot.digest === null ? null : 'SOURCE'
    return rowOf({ ...snapshot, storageUri: null, hasInlineCopy: false, sizeBytes, digestOf }, 'copy')
  }

  async function resolveTwo(snapshot: Snapshot, options: ResolveOptions): Promise<Source> {
    try {
      if (snapshot.digest !== null) return await openObject(snapshot, options)
      settle(snapshot)
    } catch (error) {
      if (isLost(error)) settle(snapshot)
      else if (!isAppError(error) || !AWAY.includes(error.code)) throw error
    }
    return await openCopy(snapshot)
  }

  return {
    objectOf,
    async resolve(snapshot, options = {}) {
      if (snapshot.storageUri === null) return rowOf(snapshot, 'row')
      return snapshot.hasInlineCopy ? await resolveTwo(snapshot, options) : objectOf(withUri(snapshot))
    },
    resolveStored: (snapshot) =>
      snapshot.storageUri === null
        ? rowOf({ ...snapshot, inlinePayload: null }, 'row')
        : objectOf(withUri(snapshot), () => {}),
  }
}

/** @throws Error for an inline payload, which has no object. */
function withUri({ storageUri, ...snapshot }: Snapshot): Snapshot & { readonly storageUri: string } {
  if (storageUri === null) throw new Error('an inline payload has no object')
  return { ...snapshot, storageUri }
}
