import { setTimeout as delay } from 'node:timers/promises'
import { findUnknown, loadNow, loadObjectRoots, loadUncovered } from '../../db/queries/audit.ts'
import { isAppError } from '../../errors.ts'
import type { ListedObject, StorageBackend, StorageUri } from '../../storage/backend.ts'
import type { Storage } from '../../storage/registry.ts'
import { formatStorageUri } from '../../storage/uri.ts'
import { objectKey } from '../capture/capture-rules.ts'
import type { AuditCounts, AuditOptions, Counting } from './audit-findings.ts'
import { checkLiveObjects } from './live-objects.ts'

const DAY_MILLIS = 86_400_000
const STATES_AT_ONCE = 5000
/** Our keys, and those of an earlier version, which had a folder each. */
const OWN_KEY =
  /^snapshots\/\d{4}\/\d\d\/\d\d\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[-/][0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json(?:\.gz|\.zst)?$/
const PREFIX = 'snapshots/'

/**
 * Compares stores and ledger in both directions, slowly. It changes nothing.
 * @throws the signal's reason; database errors, and what a store cannot even list.
 */
export async function audit(options: AuditOptions): Promise<AuditCounts> {
  const counts = { listed: 0, young: 0, checked: 0, sampled: 0, states: 0 }
  const tell = () => options.onProgress({ ...counts })
  await findOrphans(options, counts, tell)
  await checkLiveObjects(options, counts, tell)
  await findUncovered(options, counts, tell)
  return counts
}

async function findOrphans(options: AuditOptions, counts: Counting, tell: () => void): Promise<void> {
  const { db, storage, minAgeDays, onFinding, signal } = options
  const youngest = Date.parse(await loadNow(db)) - minAgeDays * DAY_MILLIS
  for (const { backend, prefix } of await placesOf(options)) {
    for await (const page of backend.list?.(prefix, { signal }) ?? []) {
      const own = page.flatMap(toOwn)
      counts.listed += own.length
      const unknown = own.length === 0 ? new Set() : await findUnknown(db, own)
      for (const object of own.filter(({ storageUri }) => unknown.has(storageUri))) {
        // The clock of the store: minAgeDays is a day at the least, and clocks are not that wrong.
        if (object.modifiedAt.getTime() > youngest) counts.young += 1
        else if (await isStillThere(storage, object, signal)) onFinding({ ...object, kind: 'orphan' })
      }
      tell()
    }
  }
}

interface OwnObject {
  readonly storageUri: string
  readonly snapshotId: string
  readonly sizeBytes: number
  readonly modifiedAt: Date
  readonly isHidden: boolean
}

/** Other writers have objects below the same prefix. */
function toOwn({ uri, ...object }: ListedObject): OwnObject[] {
  const [, snapshotId] = OWN_KEY.exec(uri.key) ?? []
  return snapshotId === undefined ? [] : [{ ...object, snapshotId, storageUri: formatStorageUri(uri) }]
}

/** A sweeper may have taken it between the list and the look into the ledger. */
async function isStillThere(storage: Storage, object: OwnObject, signal: AbortSignal): Promise<boolean> {
  if (object.isHidden) return true
  const { backend, uri } = storage.resolve(object.storageUri)
  try {
    await backend.stat(uri, { signal })
    return true
  } catch (error) {
    if (isAppError(error, 'OBJECT_MISSING')) return false
    throw error
  }
}

interface Place {
  readonly backend: StorageBackend
  readonly prefix: StorageUri
}

/** Where new objects go, and where objects of ours lie that the settings still allow. */
async function placesOf({ db, storage }: AuditOptions): Promise<readonly Place[]> {
  const newest = formatStorageUri(storage.newUri(objectKey('x')))
  const roots = new Set([newest.slice(0, newest.indexOf(PREFIX)), ...(await loadObjectRoots(db))])
  return [...roots].flatMap((root) => {
    try {
      const { backend, uri } = storage.resolve(`${root}${PREFIX}x`)
      return [{ backend, prefix: { ...uri, key: PREFIX } }]
    } catch {
      // What lies there is told object by object.
      return []
    }
  })
}

async function findUncovered(options: AuditOptions, counts: Counting, tell: () => void): Promise<void> {
  const { db, onFinding, signal } = options
  for (let after: string | null = '-1'; after !== null; ) {
    signal.throwIfAborted()
    const page = await loadUncovered(db, after, STATES_AT_ONCE)
    for (const one of page.uncovered) onFinding({ ...one, kind: 'uncovered' })
    counts.states += page.seen
    after = page.next
    tell()
    await delay(10, undefined, { signal })
  }
}
