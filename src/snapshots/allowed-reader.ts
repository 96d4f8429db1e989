import type { Page, PageRequest } from '../model/page.ts'
import { RUN_FIELDS, type Run } from '../model/run.ts'
import { SNAPSHOT_FIELDS, type Snapshot } from '../model/snapshot.ts'
import type { Step } from '../model/step.ts'
import type { Allowed } from './authorize.ts'
import type { RunPageOptions, SnapshotPage, SnapshotReader } from './reader.ts'

const PLACE = RUN_FIELDS.pick(['createdAt', 'runId'])
const RUN_ID = SNAPSHOT_FIELDS.pick(['runId'])

const EMPTY: Page<never> = { items: [], hasNextPage: false, hasPreviousPage: false, totalCount: null }

/** The same reads, of the runs alone that are open to whoever asks: all else is as if it were not there. */
export function createAllowedReader(reader: SnapshotReader, allowed: Allowed): SnapshotReader {
  const mayRead = (runId: string) => allowed('read', runId)

  async function open<T extends { readonly runId: string }>(items: readonly T[]): Promise<T[]> {
    const verdicts = await Promise.all(items.map(({ runId }) => mayRead(runId)))
    return items.filter((_item, i) => verdicts[i])
  }

  /** What is read of those keys that are open, at their places; for the others what stands in for nothing. */
  async function each<Key, Value>(
    keys: readonly Key[],
    { runIdOf, none }: { readonly runIdOf: (key: Key) => string; readonly none: Value },
    read: (keys: readonly Key[]) => Promise<readonly Value[]>,
  ): Promise<Value[]> {
    const verdicts = await Promise.all(keys.map((key) => mayRead(runIdOf(key))))
    const values = await read(keys.filter((_key, i) => verdicts[i]))
    let next = 0
    return verdicts.map((isOpen) => (isOpen ? (values[next++] ?? none) : none))
  }

  const ofRun = { runIdOf: (runId: string) => runId }
  const ofKey = { runIdOf: ({ runId }: { readonly runId: string }) => runId }

  return {
    loadRuns: async (ids, fields) => open(await reader.loadRuns(ids, fields | PLACE)),
    loadSteps: async (keys, fields) => reader.loadSteps(await open(keys), fields),
    loadSnapshots: async (ids, fields) => open(await reader.loadSnapshots(ids, fields | RUN_ID)),
    pageRuns: (page, options) => pageOpenRuns(page, { reader, options, open }),
    loadRunWithSteps: async (runId, options) =>
      (await mayRead(runId)) ? await reader.loadRunWithSteps(runId, options) : null,
    pageSteps: (runIds, options) =>
      each<string, Page<Step>>(runIds, { ...ofRun, none: EMPTY }, (open) => reader.pageSteps(open, options)),
    pageSnapshots: (parents, options) =>
      each<(typeof parents)[number], SnapshotPage>(parents, { ...ofKey, none: EMPTY }, (open) =>
        reader.pageSnapshots(open, options),
      ),
    loadRunStats: (runIds, fields, options) =>
      each(runIds, { ...ofRun, none: NO_STATS }, (open) => reader.loadRunStats(open, fields, options)),
    loadNewestOfSteps: (keys, fields) =>
      each<(typeof keys)[number], Snapshot | null>(keys, { ...ofKey, none: null }, (open) =>
        reader.loadNewestOfSteps(open, fields),
      ),
    loadNewestOfRuns: (runIds, options) =>
      each<string, Snapshot | null>(runIds, { ...ofRun, none: null }, (open) => reader.loadNewestOfRuns(open, options)),
    loadNeighbours: (places, options) =>
      each<(typeof places)[number], Snapshot | null>(places, { ...ofKey, none: null }, (open) =>
        reader.loadNeighbours(open, options),
      ),
  }
}

const NO_STATS = { stepCount: 0, snapshotCount: 0, objectCount: 0, goldenCount: 0, totalBytes: 0 }

interface OpenPageOptions {
  readonly reader: SnapshotReader
  readonly options: RunPageOptions
  readonly open: (runs: readonly Run[]) => Promise<Run[]>
}

/** Reads on until the page is full, or the list at its end. Its total is not told: nobody counted which of them are open. */
async function pageOpenRuns(page: PageRequest, { reader, options, open }: OpenPageOptions): Promise<Page<Run>> {
  const { size, backward } = page
  const wanted = { ...options, fields: options.fields | PLACE }
  const found: Run[] = []
  let asked: PageRequest = { ...page, size: Math.max(size, 20), wantsEnds: true, wantsTotal: false }
  for (;;) {
    const read = await reader.pageRuns(asked, wanted)
    const runs = await open(read.items)
    if (backward) found.unshift(...runs)
    else found.push(...runs)
    const edge = read.items.at(backward ? 0 : -1)
    if (!edge || found.length > size || !(backward ? read.hasPreviousPage : read.hasNextPage)) break
    asked = { ...asked, [backward ? 'before' : 'after']: [edge.createdAt, edge.runId] }
  }
  const isMore = found.length > size
  const items = backward ? found.slice(Math.max(found.length - size, 0)) : found.slice(0, size)
  return {
    items,
    // At the side that it comes from, what is told is where it comes from, and not what is there.
    hasNextPage: backward ? page.before !== null : isMore,
    hasPreviousPage: backward ? isMore : page.after !== null,
    totalCount: null,
  }
}
