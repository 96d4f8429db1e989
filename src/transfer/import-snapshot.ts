import { type EarlierCapture, findEarlierCapture } from '../db/queries/captures.ts'
import { restoreSnapshot } from '../db/queries/transfers.ts'
import { AppError, isAppError } from '../errors.ts'
import { isUuid } from '../model/ids.ts'
import type { CaptureInput } from '../model/snapshot.ts'
import type { PayloadStream } from '../snapshots/capture/capture-stream.ts'
import type { Encoding } from '../snapshots/encoding.ts'
import { coded } from './coded-stream.ts'
import { DamagedFileError } from './damaged.ts'
import type { ImportOptions } from './import-run.ts'
import type { ReadSnapshot } from './run-file.ts'
import { NO_ID } from './take-state.ts'
import type { TarEntry } from './tar-read.ts'

export interface SnapshotOfFile {
  readonly told: ReadSnapshot
  /** The state. */
  readonly entry: TarEntry
  readonly runId: string
}

/** States up to this size are at hand, so that one that is interrupted can be begun again. */
const AT_HAND_BYTES = 65_536

/** Captures it, unless it is there: by its own id where that is free, otherwise by a key that is made of it. */
export async function importSnapshot({ told, entry, runId }: SnapshotOfFile, options: ImportOptions): Promise<void> {
  const { db, writer, isDryRun, signal, onTaken } = options
  const name = told.input.snapshotId
  if (!isUuid(name)) throw new DamagedFileError('The file is damaged: a snapshotId in it')
  const place = await placeOf({ ...told.input, runId }, options)
  if (place.found) {
    if (place.found.digest !== told.digest) {
      throw new AppError('CONFLICT', `Snapshot ${place.found.snapshotId} is there with another state than in the file`)
    }
    if (!isDryRun) await restore(place.found.snapshotId)
    onTaken({ outcome: 'there already', name, runId })
    return
  }
  const { sizeBytes } = entry
  if (isDryRun) {
    for await (const _chunk of entry.body());
    onTaken({ outcome: 'taken', name, runId, sizeBytes })
    return
  }
  try {
    const payload = sizeBytes <= AT_HAND_BYTES ? await entry.whole(AT_HAND_BYTES) : streamOf(entry, told.encoding)
    const { snapshot } = await writer.capture(place.input, payload, signal)
    await restore(snapshot.snapshotId)
    onTaken({ outcome: 'taken', name, runId, sizeBytes })
  } catch (error) {
    // Another writer's state may be no JSON at all: it came here as it was, and cannot be kept.
    if (!isAppError(error, 'INVALID_PAYLOAD')) throw error
    onTaken({ outcome: 'refused', name, runId, code: error.code })
  }

  async function restore(snapshotId: string): Promise<void> {
    const { createdAt, isGolden, approval } = told
    if (createdAt !== null) await restoreSnapshot(db, { snapshotId, createdAt, isGolden, approval })
  }
}

type Place =
  | { readonly found: { readonly snapshotId: string; readonly digest: string | null }; readonly input?: undefined }
  | { readonly found?: undefined; readonly input: CaptureInput }

async function placeOf(input: ReadSnapshot['input'], { db }: ImportOptions): Promise<Place> {
  const { snapshotId, runId, stepId } = input
  const earlier = async (key: string | null): Promise<EarlierCapture | null> =>
    await findEarlierCapture(db, { snapshotId, runId, stepId, idempotencyKey: key })
  const own = await earlier(input.idempotencyKey ?? null)
  const isHere = (capture: EarlierCapture) =>
    capture.state === 'stored' && capture.snapshot.runId === runId && capture.snapshot.stepId === (stepId ?? null)
  if (!own) return { input: { ...input, idempotencyKey: input.idempotencyKey ?? `import ${snapshotId}` } }
  if (own.state === 'stored' && isHere(own)) return { found: own.snapshot }
  // The id is another run's, or of a snapshot that was deleted: each time it was, another key is taken.
  for (let times = 1; ; times++) {
    const idempotencyKey = `import ${snapshotId}${times === 1 ? '' : ` ${times}`}`
    const made = await earlierByKey({ runId, stepId, idempotencyKey })
    if (!made) return { input: { ...input, snapshotId: null, idempotencyKey } }
    if (made.state === 'stored') return { found: made.snapshot }
  }

  async function earlierByKey(key: Pick<CaptureInput, 'runId' | 'stepId' | 'idempotencyKey'>) {
    return await findEarlierCapture(db, { ...key, snapshotId: NO_ID })
  }
}

/** In the coding that it was stored in. */
function streamOf(entry: TarEntry, encoding: Encoding | undefined): PayloadStream {
  return encoding === undefined
    ? { chunks: entry.body(), sizeBytes: entry.sizeBytes }
    : { chunks: coded(entry.body(), encoding), encoding }
}
