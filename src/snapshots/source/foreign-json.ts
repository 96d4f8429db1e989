import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import { createSingleFlight } from '../../cache/single-flight.ts'
import type { Database } from '../../db/connect.ts'
import { recordJsonVerdict } from '../../db/queries/snapshot-findings.ts'
import { AppError, isAppError } from '../../errors.ts'
import { createJsonScanner } from '../../json/scanner.ts'
import type { JsonVerdict, Snapshot } from '../../model/snapshot.ts'
import { chunksOf } from '../views/payload-bytes.ts'

export interface OpenedObject {
  readonly sizeBytes: number
  readonly body: Buffer | Readable
  /** Version of the object that a stream comes from; absent or null where nothing tells it from another. */
  readonly etag?: string | null
  /** Whether storage was not asked: the bytes are right, and say nothing of what lies there. */
  readonly isCached?: boolean
}

/** One object of another writer, as one caller may read it. */
export interface ForeignObject {
  readonly snapshot: Pick<Snapshot, 'snapshotId' | 'jsonVerdict'>
  /** Callers with the same one share a check. Null: this caller wants one of its own. */
  readonly key: string | null
  readonly signal?: AbortSignal
  /** @throws AppError `CONFLICT` when the object is another version than `ifMatch`. */
  open(options: { readonly ifMatch?: string; readonly signal?: AbortSignal }): Promise<OpenedObject>
  /** Whether the object is still this version. */
  isStill(etag: string): Promise<boolean>
}

export interface ForeignJson {
  /**
   * Opens an object that this server did not write, once it is known to be JSON. A small one is read whole; a larger one is read
   * twice the first time, and the verdict is kept with the version that it holds for.
   * @throws AppError `INVALID_PAYLOAD` when it is not; `STORAGE_UNAVAILABLE` when it is replaced meanwhile; as `open` does.
   */
  open(object: ForeignObject): Promise<OpenedObject>
}

export interface ForeignJsonOptions {
  readonly db: Database
  /** Objects up to so many bytes are handed on from memory. */
  readonly wholeMaxBytes: number
}

const RECENT = 1000

type Checked = { readonly whole: Buffer } | { readonly etag: string }

export function createForeignJson({ db, wholeMaxBytes }: ForeignJsonOptions): ForeignJson {
  const checks = createSingleFlight<Checked>()
  /** Verdicts of rows that were read before theirs was noted there. */
  const recent = new LRUCache<string, JsonVerdict>({ max: RECENT })

  async function check({ snapshot, open }: ForeignObject, signal?: AbortSignal): Promise<Checked> {
    const { sizeBytes, body, etag = null } = await open({ signal })
    if (Buffer.isBuffer(body)) {
      await scan(chunksOf(body))
      return { whole: body }
    }
    if (etag === null || sizeBytes <= wholeMaxBytes) return { whole: await readScanned(body) }
    try {
      await scan(body)
    } catch (error) {
      if (isAppError(error, 'INVALID_PAYLOAD')) keep(snapshot, { isJson: false, etag })
      throw error
    }
    keep(snapshot, { isJson: true, etag })
    return { etag }
  }

  function keep({ snapshotId }: Pick<Snapshot, 'snapshotId'>, verdict: JsonVerdict): void {
    recent.set(snapshotId, verdict)
    // A reader never waits for this note, nor fails with it.
    recordJsonVerdict(db, snapshotId, verdict).catch(() => {})
  }

  return {
    async open(object) {
      const { snapshot, key, signal } = object
      const verdict = recent.get(snapshot.snapshotId) ?? snapshot.jsonVerdict
      const known = verdict && (await openKnown(object, verdict))
      if (known) return known
      const checked = await (key === null
        ? check(object, signal)
        : checks.run(key, (flightSignal) => check(object, flightSignal), signal))
      if ('whole' in checked) return { sizeBytes: checked.whole.length, body: checked.whole }
      const opened = await openKnown(object, { isJson: true, etag: checked.etag })
      if (!opened) throw new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was checked')
      return opened
    },
  }
}

/** Null when the object is another version by now, of which the verdict says nothing. */
async function openKnown(object: ForeignObject, { isJson, etag }: JsonVerdict): Promise<OpenedObject | null> {
  if (!isJson) {
    if (await object.isStill(etag)) throw new AppError('INVALID_PAYLOAD', 'The object is not JSON')
    return null
  }
  try {
    return await object.open({ ifMatch: etag, signal: object.signal })
  } catch (error) {
    if (isAppError(error, 'CONFLICT')) return null
    throw error
  }
}

async function readScanned(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  await scan(body, (chunk) => chunks.push(chunk))
  return Buffer.concat(chunks)
}

/** Leaving the loop destroys the body. */
async function scan(body: AsyncIterable<Buffer>, onChunk?: (chunk: Buffer) => void): Promise<void> {
  const scanner = createJsonScanner()
  for await (const chunk of body) {
    scanner.write(chunk)
    onChunk?.(chunk)
  }
  scanner.end()
}
