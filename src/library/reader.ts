import { Readable } from 'node:stream'
import type { Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { requireOpaqueId } from '../model/ids.ts'
import type { Page, PageRequest } from '../model/page.ts'
import { RUN_FIELDS } from '../model/run.ts'
import { SNAPSHOT_METADATA } from '../model/snapshot.ts'
import { STEP_FIELDS, stepPosition } from '../model/step.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import type { Readers } from '../snapshots/readers.ts'
import type { Payloads } from '../snapshots/views/payloads.ts'
import { walkPages } from '../snapshots/walk-pages.ts'
import type { ReadOptions, StatelensReader } from './api.ts'
import { toRunRecord, toSnapshotRecord, toStepRecord } from './records.ts'

export interface ReaderOptions {
  readonly readers: Pick<Readers, 'forViewer'>
  readonly payloads: Pick<Payloads, 'resolve' | 'open'>
  readonly viewer: Viewer
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

export function createLibraryReader({ readers, payloads, viewer }: ReaderOptions): StatelensReader {
  const readAs = ({ signal }: ReadOptions) => {
    signal?.throwIfAborted()
    return readers.forViewer(viewer, signal)
  }

  async function findSnapshot(snapshotId: string, reader: SnapshotReader) {
    if (!UUID.test(snapshotId)) return undefined
    const [found] = await reader.loadSnapshots([snapshotId.toLowerCase()], SNAPSHOT_METADATA)
    return found
  }

  return {
    async run(runId, options = {}) {
      const [run] = await readAs(options).loadRuns([requireOpaqueId('runId', runId)], RUN_FIELDS.all)
      return run ? toRunRecord(run) : null
    },
    async *runs(filter = {}, options = {}) {
      const read = (page: PageRequest) =>
        readAs(options).pageRuns(page, { filter, order: 'CREATED_DESC', fields: RUN_FIELDS.all })
      for await (const run of walk(read, ({ createdAt, runId }) => [createdAt, runId])) yield toRunRecord(run)
    },
    async step(runId, stepId, options = {}) {
      const key = { runId: requireOpaqueId('runId', runId), stepId: requireOpaqueId('stepId', stepId) }
      const [step] = await readAs(options).loadSteps([key], STEP_FIELDS.all)
      return step ? toStepRecord(step) : null
    },
    async *steps(runId, options = {}) {
      const fields = { step: STEP_FIELDS.all, newest: null }
      const read = async (page: PageRequest) => (await readAs(options).pageSteps([runId], { page, fields }))[0]
      for await (const step of walk(read, stepPosition)) yield toStepRecord(step)
    },
    async snapshot(snapshotId, options = {}) {
      const found = await findSnapshot(snapshotId, readAs(options))
      return found ? toSnapshotRecord(found) : null
    },
    async *snapshots(runId, filter = {}, options = {}) {
      const asked = { filter, order: 'SEQ_ASC', fields: SNAPSHOT_METADATA } as const
      const read = async (page: PageRequest) =>
        (await readAs(options).pageSnapshots([{ runId }], { ...asked, page }))[0]
      for await (const found of walk(read, ({ seq }) => [String(seq)])) yield toSnapshotRecord(found)
    },
    async latest({ runId, stepId }, options = {}) {
      const reader = readAs(options)
      const [found] =
        stepId === undefined
          ? await reader.loadNewestOfRuns([runId], { point: {}, fields: SNAPSHOT_METADATA })
          : await reader.loadNewestOfSteps([{ runId, stepId }], SNAPSHOT_METADATA)
      return found ? toSnapshotRecord(found) : null
    },
    async open(snapshotId, options = {}) {
      const { signal } = options
      const found = await findSnapshot(snapshotId, readAs(options))
      if (!found) throw new AppError('NOT_FOUND', 'There is no such snapshot')
      const source = await payloads.resolve(found, { viewer, signal })
      const { sizeBytes, body, release } = await payloads.open(source, { signal })
      const stream = Buffer.isBuffer(body) ? Readable.from([body], { objectMode: false }) : body
      stream.once('close', release)
      return { snapshot: toSnapshotRecord(found), sizeBytes, body: stream }
    },
  }
}

async function* walk<T>(
  read: (page: PageRequest) => Promise<Page<T> | undefined>,
  positionOf: (item: T) => readonly string[],
): AsyncGenerator<T> {
  for await (const items of walkPages(read, positionOf)) yield* items
}
