import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { ANYONE } from '../auth/viewer.ts'
import { createMemoryCache } from '../cache/memory.ts'
import type { Config } from '../config.ts'
import { createDatabase, type Database } from '../db/connect.ts'
import { isUuid } from '../model/ids.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../model/snapshot.ts'
import { createKeyTables } from '../snapshots/indexes/key-tables.ts'
import { createStateIndexes } from '../snapshots/indexes/state-indexes.ts'
import { createReader } from '../snapshots/reader.ts'
import { createAdmission } from '../snapshots/source/admission.ts'
import { createStoredReads } from '../snapshots/upkeep/stored-reads.ts'
import { createParts, type RequestParts } from '../snapshots/views/parts.ts'
import { createPayloads } from '../snapshots/views/payloads.ts'
import { DIFF_LIMITS, openStateDiff, type StateDiff } from '../snapshots/views/state-diff.ts'
import type { StateDocument } from '../snapshots/views/state-document.ts'
import { openStorage } from '../stores.ts'
import { type ChangeLines, createChangeLines } from './change-lines.ts'
import { StartError } from './start-error.ts'

export interface DiffCommand {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  /** One snapshot, or the old one and the new one. */
  readonly snapshotIds: readonly string[]
  readonly pointer: string
  /** Whether a patch of RFC 6902 is written, and nothing else. */
  readonly asPatch: boolean
  readonly isColoured: boolean
  readonly output: Writable
  readonly signal: AbortSignal
}

/** States up to so many bytes are decoded into memory. */
const WHOLE_MAX_BYTES = 4 * 1_048_576
const PAGE_SIZE = 100

/**
 * The command `diff`: tells what leads from one state to another.
 * @returns the exit code. 0: they are the same. 1: they are not.
 * @throws StartError when a snapshot is not there; what reading throws.
 */
export async function runDiff(command: DiffCommand): Promise<number> {
  const { config, snapshotIds, signal } = command
  const db = createDatabase({ url: config.databaseUrl })
  const storage = openStorage(config, db)
  const parts = createStateParts(db, storage)
  const reads = parts.forViewer(ANYONE, signal)
  try {
    const [old, made] = await loadBoth(db, snapshotIds)
    return await tell(command, reads, [old, made])
  } finally {
    reads.close()
    parts.close()
    await db.close()
    storage.close()
  }
}

function createStateParts(db: Database, storage: ReturnType<typeof openStorage>) {
  const cache = createMemoryCache({ maxBytes: 1, maxEntryBytes: 1, ttlSeconds: 1 })
  const admission = createAdmission()
  const payloads = createPayloads({ db, storage, cache, admission })
  const indexes = createStateIndexes(db)
  const keyTables = createKeyTables(db, indexes)
  const reads = createStoredReads({ db, indexes })
  // A command waits for the index of a state as long as it takes.
  const waitMillis = 2_000_000_000
  return createParts({ payloads, indexes, keyTables, reads, admission, wholeMaxBytes: WHOLE_MAX_BYTES, waitMillis })
}

async function loadBoth(db: Database, ids: readonly string[]): Promise<readonly [Snapshot | null, Snapshot]> {
  const reader = createReader(db)
  const wrong = ids.find((id) => !isUuid(id))
  if (wrong !== undefined || ids.length < 1 || ids.length > 2) {
    throw new StartError(
      'Name one snapshot, or the old one and the new one, by their UUIDs.\nSee: statelens diff --help',
    )
  }
  const found = await reader.loadSnapshots(ids, SNAPSHOT_METADATA)
  const [first, second] = ids.map((id) => {
    const snapshot = found.find(({ snapshotId }) => snapshotId === id.toLowerCase())
    if (!snapshot) throw new StartError(`There is no snapshot ${id}`)
    return snapshot
  })
  if (!first) throw new StartError('There is no such snapshot')
  if (second) return [first, second]
  const [previous = null] = await reader.loadNeighbours([first], { side: 'previous', fields: SNAPSHOT_METADATA })
  return [previous, first]
}

async function tell(
  { pointer, asPatch, isColoured, output }: DiffCommand,
  reads: RequestParts,
  [old, made]: readonly [Snapshot | null, Snapshot],
): Promise<number> {
  const from = old && (await reads.open(old))
  const to = await reads.open(made)
  const diff = await openStateDiff({ from, to, pointer })
  if (asPatch) return await writePatch(diff, output)
  const lines = createChangeLines(isColoured)
  if (!old) await write(output, 'There is no snapshot before it in its run: all of it is new.\n')
  return await writeChanges(diff, { from, to }, { output, lines })
}

async function writePatch(diff: StateDiff, output: Writable): Promise<number> {
  let first = ''
  for await (const piece of diff.patch()) {
    first ||= piece.toString()
    await write(output, piece)
  }
  await write(output, '\n')
  return first === '[]' ? 0 : 1
}

interface Documents {
  readonly from: StateDocument | null
  readonly to: StateDocument
}

interface Telling {
  readonly output: Writable
  readonly lines: ChangeLines
}

async function writeChanges(diff: StateDiff, { from, to }: Documents, { output, lines }: Telling): Promise<number> {
  let [count, isApproximate] = [0, false]
  let after: Awaited<ReturnType<StateDiff['changes']>>['end'] = null
  const summary = await diff.summary()
  for (;;) {
    const page = await diff.changes({ ...DIFF_LIMITS, first: PAGE_SIZE, after })
    if (count === 0 && page.changes.length > 0 && summary) await write(output, lines.ofSummary(summary))
    for (const change of page.changes) {
      const before = change.before && from ? await from.preview(change.before) : null
      const now = change.after && (await to.preview(change.after))
      await write(output, lines.ofChange(change, { before, now }))
    }
    count += page.changes.length
    isApproximate ||= page.isApproximate
    after = page.end
    if (!page.hasNext) break
  }
  const fewer = isApproximate ? '; fewer might have done' : ''
  await write(output, count === 0 ? 'The same.\n' : `${count} ${count === 1 ? 'change' : 'changes'}${fewer}\n`)
  return count === 0 ? 0 : 1
}

async function write(output: Writable, piece: string | Buffer): Promise<void> {
  if (!output.write(piece) && !output.destroyed) await Promise.race([once(output, 'drain'), once(output, 'close')])
}
