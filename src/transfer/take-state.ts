import { findEarlierCapture } from '../db/queries/captures.ts'
import { restoreSnapshot } from '../db/queries/transfers.ts'
import { type AppError, isAppError } from '../errors.ts'
import { createJsonScanner } from '../json/scanner.ts'
import type { Instant } from '../model/instant.ts'
import type { CaptureInput, Snapshot } from '../model/snapshot.ts'
import type { Encoding } from '../snapshots/encoding.ts'
import { coded } from './coded-stream.ts'
import type { ImportOptions } from './import-run.ts'

/** A state from elsewhere, under a key of its own. */
export interface StateToTake {
  readonly input: CaptureInput & { readonly idempotencyKey: string }
  readonly createdAt?: Instant | null
  /** Of the state; undefined where only reading it tells. */
  readonly sizeBytes?: number
  /** Reads it from its beginning. */
  readonly open: () => AsyncIterable<Uint8Array>
  /** What an object of it is stored in. */
  readonly encoding?: Encoding
  /** What it is called where it comes from. */
  readonly name: string
}

export type TakeOptions = Pick<ImportOptions, 'db' | 'writer' | 'isDryRun' | 'signal' | 'onTaken'>

/** States up to this size are at hand. */
const AT_HAND_BYTES = 65_536

/**
 * Captures it, unless that was done before. What cannot be kept is told, and left out.
 * @returns null where it was refused, and where nothing is written.
 * @throws AppError where nothing could be kept now: the database or the storage is away.
 */
export async function takeState(state: StateToTake, options: TakeOptions): Promise<Snapshot | null> {
  const { input, name } = state
  const { signal, onTaken } = options
  const { runId } = input
  signal.throwIfAborted()
  try {
    if (options.isDryRun) {
      await tryState(state, options)
      return null
    }
    const { snapshot, created } = await options.writer.capture(input, await payloadOf(state), signal)
    if (state.createdAt != null) {
      await restoreSnapshot(options.db, { ...snapshot, createdAt: state.createdAt })
    }
    onTaken({ outcome: created ? 'taken' : 'there already', name, runId, sizeBytes: snapshot.sizeBytes ?? 0 })
    return snapshot
  } catch (error) {
    if (!isRefusal(error)) throw error
    onTaken({ outcome: 'refused', name, runId, code: error.code })
    return null
  }
}

async function payloadOf({ sizeBytes, open, encoding }: StateToTake) {
  if (sizeBytes === undefined || sizeBytes > AT_HAND_BYTES) {
    return encoding === undefined ? { chunks: open(), sizeBytes } : { chunks: coded(open(), encoding), encoding }
  }
  return Buffer.concat(await Array.fromAsync(open()))
}

/** Reads it, and stores nothing. */
async function tryState({ input, name, open }: StateToTake, { db, onTaken }: TakeOptions): Promise<void> {
  const { runId, stepId, snapshotId } = input
  const key = { runId, stepId, idempotencyKey: input.idempotencyKey, snapshotId: snapshotId ?? NO_ID }
  if (await findEarlierCapture(db, key)) {
    onTaken({ outcome: 'there already', name, runId })
    return
  }
  const scanner = createJsonScanner()
  let sizeBytes = 0
  for await (const chunk of open()) {
    scanner.write(chunk)
    sizeBytes += chunk.length
  }
  scanner.end()
  onTaken({ outcome: 'taken', name, runId, sizeBytes })
}

/** Of no snapshot. */
export const NO_ID = '00000000-0000-0000-0000-000000000000'

/** Whether it is this state that cannot be kept, now or later. */
export function isRefusal(error: unknown): error is AppError {
  return isAppError(error) && !error.isRetryable && REFUSALS.has(error.code)
}

const REFUSALS: ReadonlySet<string> = new Set(['BAD_REQUEST', 'INVALID_PAYLOAD', 'CONFLICT', 'PAYLOAD_TOO_LARGE'])
