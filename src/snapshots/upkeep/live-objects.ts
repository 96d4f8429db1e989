import { setTimeout as delay } from 'node:timers/promises'
import { isStillLive, type LiveObject, loadLiveObjects } from '../../db/queries/audit.ts'
import { isAppError } from '../../errors.ts'
import type { StorageBackend, StorageUri } from '../../storage/backend.ts'
import { chunkCountOf, createChunkCheck } from '../stored-bytes.ts'
import { chunksOf } from '../views/payload-bytes.ts'
import type { AuditKind, AuditOptions, Counting } from './audit-findings.ts'

const AT_ONCE = 200
const PARALLEL = 4

/** Asks the stores for every object that the ledger keeps: whether it is there, as long as it was, and of some whether it is the same. */
export async function checkLiveObjects(options: AuditOptions, counts: Counting, tell: () => void): Promise<void> {
  const { db, perSecond, signal, onFinding } = options
  const began = performance.now()
  for (let after = '', read = AT_ONCE; read === AT_ONCE; ) {
    const objects = await loadLiveObjects(db, after, AT_ONCE)
    const work = objects.values()
    const look = async () => {
      for (const object of work) {
        const due = began + (1000 * counts.checked) / perSecond
        counts.checked += 1
        await delay(Math.max(0, due - performance.now()), undefined, { signal })
        const kind = await checkOne(object, options, counts)
        // It may have been deleted while it was looked at.
        if (kind && (kind === 'unnamed' || (await isStillLive(db, object)))) {
          const { storageUri, snapshotId } = object
          onFinding({ kind, storageUri, snapshotId })
        }
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, look))
    after = objects.at(-1)?.storageUri ?? after
    read = objects.length
    tell()
  }
}

async function checkOne(object: LiveObject, options: AuditOptions, counts: Counting): Promise<AuditKind | null> {
  const { storage, samplePercent, signal } = options
  try {
    const { backend, uri } = storage.resolve(object.storageUri)
    const { sizeBytes } = await backend.stat(uri, { signal })
    if (object.storedSizeBytes !== null && sizeBytes !== object.storedSizeBytes) return 'size'
    if (Math.random() * 100 < samplePercent && object.chunkDigests && sizeBytes > 0) {
      counts.sampled += 1
      if (!(await isRightChunk(object, { backend, uri, signal }))) return 'corrupt'
    }
    return object.isNamed ? null : 'unnamed'
  } catch (error) {
    signal.throwIfAborted()
    if (!isAppError(error)) throw error
    return error.code === 'OBJECT_MISSING' ? 'missing' : 'unreadable'
  }
}

interface Source {
  readonly backend: StorageBackend
  readonly uri: StorageUri
  readonly signal: AbortSignal
}

/** Reads one chunk, whichever: day by day all of them have their turn. */
async function isRightChunk(object: LiveObject, { backend, uri, signal }: Source): Promise<boolean> {
  const { storedSizeBytes, chunkSizeBytes, chunkDigests } = object
  if (storedSizeBytes === null || chunkSizeBytes === null || chunkDigests === null) return true
  const index = Math.floor(Math.random() * chunkCountOf({ sizeBytes: storedSizeBytes, chunkSizeBytes }))
  const start = index * chunkSizeBytes
  const range = { start, end: Math.min(start + chunkSizeBytes, storedSizeBytes) }
  const check = createChunkCheck({ chunkDigests })
  const { body } = await backend.get(uri, { range, signal })
  for await (const chunk of chunksOf(body)) check.write(chunk)
  return check.isChunk(index)
}
