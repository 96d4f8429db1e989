import DataLoader from 'dataloader'
import { LRUCache } from 'lru-cache'
import { unlessAborted } from '../../abort.ts'
import type { Database } from '../../db/connect.ts'
import { hasStateIndex, keepStateIndex, loadStateIndexes } from '../../db/queries/state-indexes.ts'
import { decodeIndex, encodeIndex } from '../../json/parts/index-codec.ts'
import type { JsonIndex } from '../../json/parts/json-index.ts'
import { type IndexSubject, nameOf } from './index-subject.ts'

const MIB = 1_048_576
const HOT_BYTES = 64 * MIB
/** An entry takes so many times more in memory than where it is kept. */
const DECODED_FACTOR = 8
/** Of what `index-codec.ts` writes: what has another one is made anew. */
const INDEX_VERSION = 1
/** Indexes of one statement: each may have a MiB. */
const BATCH = 16
/** How long a capture waits for its index. */
const MOMENT_MILLIS = 1000

/** The indexes of states above 1 MiB: in the database, and hot ones in this process. */
export interface StateIndexes {
  /** Null where there is none, or it is of no use. @throws what the database rejects with. */
  find(subject: IndexSubject): Promise<JsonIndex | null>
  /** Whether it is in the database. */
  has(subject: IndexSubject): Promise<boolean>
  /** From now on it is found, in this process at least. @throws what the database rejects with. */
  keep(subject: IndexSubject, index: JsonIndex): Promise<void>
  /** The same for who waits a moment for it and no longer, and does not fail with it: it can be made anew. */
  keepSoon(subject: IndexSubject, index: JsonIndex): Promise<void>
}

export function createStateIndexes(db: Database): StateIndexes {
  const hot = new LRUCache<string, { readonly index: JsonIndex; readonly bytes: number }>({
    maxSize: HOT_BYTES,
    sizeCalculation: ({ bytes }) => bytes,
  })
  const stored = new DataLoader(async (keys: readonly Buffer[]) => await loadStateIndexes(db, keys, INDEX_VERSION), {
    cache: false,
    maxBatchSize: BATCH,
  })

  function remember(name: string, index: JsonIndex, keptBytes: number): void {
    hot.set(name, { index, bytes: DECODED_FACTOR * keptBytes + 256 })
  }

  async function keep(subject: IndexSubject, index: JsonIndex): Promise<void> {
    const entries = encodeIndex(index, nameOf(subject))
    remember(nameOf(subject), index, entries.length)
    const { key, snapshotId } = subject
    await keepStateIndex(db, { key, snapshotId, sizeBytes: index.sizeBytes, version: INDEX_VERSION, entries })
  }

  return {
    async find(subject) {
      const name = nameOf(subject)
      const known = hot.get(name)
      if (known) return known.index
      const found = await stored.load(subject.key)
      if (!found || (subject.sizeBytes !== null && subject.sizeBytes !== found.sizeBytes)) return null
      const index = decodeIndex(found.entries, { sizeBytes: found.sizeBytes, digest: name })
      if (index) remember(name, index, found.entries.length)
      return index
    },
    has: (subject) => hasStateIndex(db, subject, INDEX_VERSION),
    keep,
    async keepSoon(subject, index) {
      const moment = AbortSignal.timeout(MOMENT_MILLIS)
      await unlessAborted(keep(subject, index), moment).catch(() => {})
    },
  }
}
