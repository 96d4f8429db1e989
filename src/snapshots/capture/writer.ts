import type { ByteCache } from '../../cache/byte-cache.ts'
import type { Database } from '../../db/connect.ts'
import { findEarlierCapture, type NewSnapshot } from '../../db/queries/captures.ts'
import { type Deleted, deleteRun, deleteSnapshot } from '../../db/queries/deletions.ts'
import { type Approval, approveSnapshot, setLegalHold } from '../../db/queries/holds.ts'
import { upsertRun } from '../../db/queries/runs.ts'
import { upsertStep, upsertSteps, type WholeStep } from '../../db/queries/steps.ts'
import { AppError } from '../../errors.ts'
import { isUuid, requireOpaqueId, requireText } from '../../model/ids.ts'
import { mendText } from '../../model/mended-text.ts'
import { type ErrorInfo, type Run, type RunChange, requireTags } from '../../model/run.ts'
import type { Captured, CaptureInput, Snapshot } from '../../model/snapshot.ts'
import type { Step, StepChange } from '../../model/step.ts'
import type { Storage } from '../../storage/registry.ts'
import { subjectOfDigest } from '../indexes/index-subject.ts'
import type { StateIndexes } from '../indexes/state-indexes.ts'
import { formatDigest } from '../measure.ts'
import type { Admission } from '../source/admission.ts'
import type { Sweeper } from '../upkeep/sweeper.ts'
import {
  checkInput,
  checkJson,
  deletedBefore,
  describeCapture,
  findEarlier,
  insertOrFind,
  measureWhole,
  type NamedInput,
  nameInput,
  repeatOf,
  requireAttempt,
} from './capture-rules.ts'
import { type Measured, openCapture, type PayloadStream } from './capture-stream.ts'
import { outOfTime } from './lease.ts'
import { createObjectPut } from './object-put.ts'
import { createPlace } from './place.ts'

/** Names are indexed, and an index has room for little. */
const NAME_MAX_BYTES = 1024
/** Smaller payloads are sent to the database before it is known whether they were captured before. */
const SMALL_BYTES = 65_536
/** Of each part of an error. */
const ERROR_MAX_BYTES = 65_536

export interface DeleteResult {
  /** False when there was nothing to delete. */
  readonly deleted: boolean
  /** Null for more than 10,000, which are not counted. */
  readonly snapshotCount: number | null
}

/**
 * Everything that changes the store.
 *
 * A capture writes in this order, so that an acknowledged snapshot is always readable and a crash leaves no row without its
 * object: intent (`pending` object row), bytes, then in one transaction object `live` and snapshot row. What a crash leaves
 * between is an object without a snapshot, and the sweeper's.
 */
export interface SnapshotWriter {
  upsertRun(change: RunChange): Promise<Run>
  upsertStep(change: StepChange): Promise<Step>
  /** Many steps at once, all of them or none; what they are called is shortened where it is too long. */
  upsertSteps(steps: readonly WholeStep[]): Promise<void>
  /**
   * Stores a payload that is at hand, or streams one of any size to its place in constant memory. Inline it is stored decoded;
   * an object keeps the coding that it came in. Only what is on its way into storage takes one of the uploads' places, and a payload
   * that comes slowly holds none before a quarter of a MiB of it has come.
   * @throws what the stream throws; AppError `INVALID_PAYLOAD` when the bytes are not JSON; `CONFLICT` when the id or the idempotency key is taken by
   * other content, or its snapshot was deleted; `BAD_REQUEST`; `STORAGE_UNAVAILABLE`; `OVERLOADED`; `DATABASE_UNAVAILABLE` (the
   * outcome is then unknown: repeat with the same key).
   */
  capture(input: CaptureInput, payload: Buffer | PayloadStream, signal?: AbortSignal): Promise<Captured>
  /** @throws AppError `CONFLICT` where it is under legal hold; so does `deleteRun`. */
  deleteSnapshot(snapshotId: string): Promise<DeleteResult>
  deleteRun(runId: string): Promise<DeleteResult>
  /** @throws AppError `NOT_FOUND` when there is no such run; a name is not held for a run to come. */
  holdRun(runId: string, hold: boolean): Promise<Run>
  /** @throws AppError `NOT_FOUND`; `BAD_REQUEST` for texts that cannot be stored. */
  markGolden(snapshotId: string, approval: Approval): Promise<Snapshot>
}

export interface WriterOptions {
  readonly db: Database
  readonly storage: Storage
  readonly cache: ByteCache
  readonly sweeper: Sweeper
  readonly indexes: Pick<StateIndexes, 'keepSoon'>
  readonly inlineMaxBytes: number
  /** Bounds what is on its way into storage, and what is held until it is clear where it goes. */
  readonly admission: Pick<Admission, 'uploads' | 'memory'>
  /** Seconds between signs of life of a capture that is under way; default three minutes. */
  readonly renewSeconds?: number
}

export function createWriter(options: WriterOptions): SnapshotWriter {
  const { db, storage, cache, sweeper, indexes, inlineMaxBytes, admission, renewSeconds } = options
  const objects = createObjectPut({ db, storage, sweeper, renewSeconds })
  const place = createPlace({ objects, admission, inlineMaxBytes })

  async function store(input: NamedInput, payload: Buffer | PayloadStream, signal?: AbortSignal): Promise<Captured> {
    // A sweeper that took the object for abandoned wins; its key is never used again. A stream cannot be read again either.
    for (let attempts = Buffer.isBuffer(payload) ? 3 : 1; attempts > 0; attempts--) {
      const captured = await place({ input, payload, signal }, async (placed, index) => {
        const captured = await insert(placed)
        if (!captured) return await settle(placed)
        if (captured.created && index) await indexes.keepSoon(subjectOfDigest(captured.snapshot), index)
        if (placed.storageUri !== null && Buffer.isBuffer(payload)) {
          cache.set(formatDigest(placed.contentDigest), payload)
        }
        return captured
      })
      if (captured) return captured
    }
    throw outOfTime()
  }

  /** @returns what was stored before; null when there is nothing, and the capture may begin again. */
  async function settle(placed: NewSnapshot): Promise<Captured | null> {
    if (placed.storageUri !== null) await objects.abandon(placed.storageUri, placed.snapshotId)
    const earlier = await findEarlierCapture(db, placed)
    return earlier ? repeatOf(earlier, placed) : null
  }

  async function insert(snapshot: NewSnapshot) {
    try {
      const captured = await insertOrFind(db, snapshot)
      // Where the outcome was in doubt, another capture may have been first: this one's bytes are nobody's.
      if (captured && snapshot.storageUri !== null && captured.snapshot.storageUri !== snapshot.storageUri) {
        await objects.abandon(snapshot.storageUri, snapshot.snapshotId)
      }
      return captured
    } catch (error) {
      // An object that a commit made live after all is not taken away by this.
      if (snapshot.storageUri !== null) await objects.abandon(snapshot.storageUri, snapshot.snapshotId)
      throw error
    }
  }

  async function erase(deletion: Promise<Deleted>) {
    const { found, snapshotCount } = await deletion
    sweeper.wake()
    return { deleted: found, snapshotCount }
  }

  return {
    async upsertRun(change) {
      requireOpaqueId('runId', change.runId)
      if (change.parentRunId != null) requireOpaqueId('parentRunId', change.parentRunId)
      checkTexts({ workflowName: change.workflowName }, NAME_MAX_BYTES)
      requireTags(change.tags ?? [])
      return await upsertRun(db, { ...change, error: mendError(change.error) })
    },
    async upsertStep(change) {
      requireOpaqueId('runId', change.runId)
      requireOpaqueId('stepId', change.stepId)
      requireAttempt(change.attempt)
      checkTexts({ name: change.name, kind: change.kind }, NAME_MAX_BYTES)
      return await upsertStep(db, { ...change, error: mendError(change.error) })
    },
    async upsertSteps(steps) {
      for (const { runId, stepId } of steps) {
        requireOpaqueId('runId', runId)
        requireOpaqueId('stepId', stepId)
      }
      const mend = (text: string | null) => text && mendText(text, NAME_MAX_BYTES)
      const mended = steps.map(({ name, kind, error, ...step }) => ({
        ...step,
        name: mend(name),
        kind: mend(kind),
        error: mendError(error),
      }))
      await upsertSteps(db, mended)
    },
    async capture(input, payload, signal) {
      checkInput(input)
      const named = nameInput(input)
      // What goes into the row is there before a look would be back: storing it tells as much.
      const earlier = isSmall(payload, inlineMaxBytes) ? null : await findEarlier(db, input, named)
      if (!earlier) return await store(named, payload, signal)
      if (earlier.state === 'deleted') throw deletedBefore()
      return repeatOf(
        earlier,
        describeCapture(named, Buffer.isBuffer(payload) ? measureWhole(payload) : await measure(payload)),
      )
    },
    deleteSnapshot: async (snapshotId) => await erase(deleteSnapshot(db, snapshotId)),
    deleteRun: async (runId) => await erase(deleteRun(db, requireOpaqueId('runId', runId))),
    async holdRun(runId, hold) {
      const run = await setLegalHold(db, requireOpaqueId('runId', runId), hold)
      if (!run) throw new AppError('NOT_FOUND', 'There is no such run')
      return run
    },
    async markGolden(snapshotId, approval) {
      requireText('approvalSource', approval.source, NAME_MAX_BYTES)
      if (approval.source === '')
        throw new AppError('BAD_REQUEST', 'approvalSource says by whom or what it is approved')
      if (approval.metadata !== null) checkJson(Buffer.from(approval.metadata))
      const snapshot = isUuid(snapshotId) ? await approveSnapshot(db, snapshotId, approval) : null
      if (!snapshot) throw new AppError('NOT_FOUND', 'There is no such snapshot')
      return snapshot
    },
  }
}

function checkTexts(texts: Readonly<Record<string, string | null | undefined>>, maxBytes: number): void {
  for (const [name, text] of Object.entries(texts)) if (text != null) requireText(name, text, maxBytes)
}

function isSmall(payload: Buffer | PayloadStream, maxBytes: number): boolean {
  const sizeBytes = Buffer.isBuffer(payload) ? payload.length : payload.encoding === undefined && payload.sizeBytes
  return typeof sizeBytes === 'number' && sizeBytes <= Math.min(maxBytes, SMALL_BYTES)
}

/** The news that something failed is not refused for the text that comes with it. */
function mendError<Told extends ErrorInfo | null | undefined>(error: Told): Told | ErrorInfo {
  if (!error) return error
  const mend = (text: string | null | undefined) => text && mendText(text, ERROR_MAX_BYTES)
  return { message: mendText(error.message, ERROR_MAX_BYTES), type: mend(error.type), stack: mend(error.stack) }
}

/** Reads a payload that is not kept. */
async function measure(payload: PayloadStream): Promise<Measured> {
  const stream = openCapture(payload)
  try {
    for await (const _chunk of stream.rest());
    return stream.measured()
  } finally {
    stream.close()
  }
}
