import type { Database } from '../db/connect.ts'
import { restoreRun } from '../db/queries/transfers.ts'
import { RUN_FIELDS } from '../model/run.ts'
import { STEP_FIELDS } from '../model/step.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import type { SnapshotReader } from '../snapshots/reader.ts'
import { DamagedFileError } from './damaged.ts'
import { importSnapshot } from './import-snapshot.ts'
import type { Taken } from './outcomes.ts'
import { checkFormat, readRun, readSnapshot, readStep } from './run-file.ts'
import { readTar, type TarEntry } from './tar-read.ts'

export interface ImportParts {
  readonly db: Database
  readonly reader: SnapshotReader
  readonly writer: SnapshotWriter
}

export interface ImportOptions extends ImportParts {
  /** The run is called so here; as in the file when left out. */
  readonly runId?: string | undefined
  /** Only look. */
  readonly isDryRun: boolean
  readonly signal: AbortSignal
  readonly onTaken: (taken: Taken) => void
}

const TEXT_MAX_BYTES = 16 * 1_048_576

/**
 * Brings a run back from its file, in order, in constant memory. What is there already stays as it is, and is passed over: the same file
 * again goes on where it ended. A file that is damaged ends it there.
 * @throws DamagedFileError; AppError `CONFLICT` where a snapshot of the run is there with another state; what writing throws.
 */
export async function importRun(chunks: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<void> {
  const { signal } = options
  let runId: string | undefined
  let isKnown = false
  let next: { readonly name: string; readonly content: Buffer } | undefined
  for await (const entry of readTar(chunks)) {
    signal.throwIfAborted()
    const { name } = entry
    if (!isKnown) {
      if (name !== 'manifest.json') throw new DamagedFileError('The file is no export of a run')
      checkFormat(await entry.whole(TEXT_MAX_BYTES))
      isKnown = true
    } else if (name === 'run.json') runId = await takeRun(entry, options)
    else if (/^steps\/\d+\.jsonl$/.test(name)) await takeSteps(entry, options, requireRun(runId))
    else if (/^snapshots\/\d+\.meta\.json$/.test(name)) {
      next = { name, content: await entry.whole(TEXT_MAX_BYTES) }
      const told = readSnapshot(next.content, name)
      if (told.lost === null) continue
      next = undefined
      options.onTaken({ outcome: 'not in the file', name: told.input.snapshotId, runId: requireRun(runId) })
    } else if (/^snapshots\/\d+\.state\.json$/.test(name)) {
      if (next?.name !== name.replace(/state\.json$/, 'meta.json'))
        throw new DamagedFileError(`The file is damaged: ${name}`)
      const told = readSnapshot(next.content, next.name)
      await importSnapshot({ told, entry, runId: requireRun(runId) }, options)
    }
  }
  requireRun(runId)
}

function requireRun(runId: string | undefined): string {
  if (runId === undefined) throw new DamagedFileError('The file is damaged: there is no run in it')
  return runId
}

async function takeRun(entry: TarEntry, { reader, writer, db, isDryRun, ...options }: ImportOptions): Promise<string> {
  const { change, createdAt, legalHold } = readRun(await entry.whole(TEXT_MAX_BYTES))
  const runId = options.runId ?? change.runId
  const [found] = await reader.loadRuns([runId], RUN_FIELDS.all)
  if (!found && !isDryRun) {
    await writer.upsertRun({ ...change, runId })
    if (createdAt !== null) await restoreRun(db, { runId, createdAt, legalHold })
  }
  return runId
}

async function takeSteps(entry: TarEntry, { reader, writer, isDryRun }: ImportOptions, runId: string): Promise<void> {
  const lines = (await entry.whole(TEXT_MAX_BYTES)).toString().split('\n')
  const steps = lines.filter((line) => line !== '').map((line) => ({ ...readStep(line, entry.name), runId }))
  const found = await reader.loadSteps(steps, STEP_FIELDS.all)
  const known = new Set(found.map(({ stepId }) => stepId))
  for (const step of steps) if (!known.has(step.stepId) && !isDryRun) await writer.upsertStep(step)
}
