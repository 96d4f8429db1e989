import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '../../db/connect.ts'
import { loadForVerification } from '../../db/queries/snapshot-findings.ts'
import { type ErrorCode, isAppError } from '../../errors.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Storage } from '../../storage/registry.ts'
import type { VerifyOptions } from './verifier.ts'

/** What came of one snapshot: what its visit found, or why its payload cannot be read. */
export interface Visited<Found> {
  readonly snapshot: Pick<Snapshot, 'snapshotId' | 'runId' | 'seq'>
  readonly found: Found | { readonly code: ErrorCode }
}

export interface EverySnapshotOptions<Found> {
  readonly db: Database
  readonly storage: Storage
  /** Reads the payload of one, within what it is given. */
  readonly visit: (snapshot: Snapshot, options: VerifyOptions) => Promise<Found>
  /** Snapshots up to this one are left out. */
  readonly afterSeq: string | number
  /** Of this run alone. */
  readonly runId?: string
  /** Bytes of payloads; as fast as it goes when left out. */
  readonly maxBytesPerSecond?: number
  readonly signal: AbortSignal
  /** Milliseconds before the first of four more attempts, doubled for each after it; 500 when left out. */
  readonly pauseMs?: number
  readonly onResult: (result: Visited<Found>) => void
}

const BATCH = 100
const RETRIES = 4
/** Waits shorter than this are added to the next one. */
const LEAST_WAIT_MS = 5

/**
 * Visits every snapshot in the order of `seq`, one after the other.
 * @throws the failure of a storage or a database that does not come back: what was not read is not called missing. Also the
 * signal's reason. The last result then tells from where to go on.
 */
export async function visitEverySnapshot<Found>(options: EverySnapshotOptions<Found>): Promise<void> {
  const { db, runId, signal, onResult } = options
  const onBytes = createPace(options)
  let { afterSeq } = options
  for (let read = BATCH; read === BATCH; ) {
    const batch = await patiently(options, () => loadForVerification(db, { afterSeq, runId, limit: BATCH }))
    for (const snapshot of batch) {
      signal.throwIfAborted()
      onResult({ snapshot, found: await visitOne(snapshot, options, onBytes) })
      afterSeq = snapshot.seq
    }
    read = batch.length
  }
}

type OnBytes = (count: number) => Promise<void>

async function visitOne<Found>(
  snapshot: Snapshot,
  options: EverySnapshotOptions<Found>,
  onBytes: OnBytes,
): Promise<Visited<Found>['found']> {
  const { visit, signal } = options
  try {
    // Within an object it goes on where it broke; what breaks before is begun again.
    const onBreak = async (error: unknown, fruitless: number) => {
      if (fruitless >= RETRIES) throw error
      await delay((options.pauseMs ?? 500) * 2 ** fruitless, undefined, { signal })
    }
    return await patiently(options, () => visit(snapshot, { signal, onBytes, onBreak }))
  } catch (error) {
    signal.throwIfAborted()
    if (!isAppError(error) || error.code.startsWith('DATABASE_') || error.code === 'OVERLOADED') throw error
    if (error.isRetryable && !(await isUp(snapshot, options))) throw error
    return { code: error.code }
  }
}

/** Whether the store of a payload answers: then it is this payload that cannot be read. */
async function isUp(
  { storageUri }: Snapshot,
  { storage, signal }: Pick<EverySnapshotOptions<unknown>, 'storage' | 'signal'>,
): Promise<boolean> {
  if (storageUri === null) return true
  return await storage
    .resolve(storageUri)
    .backend.check({ signal })
    .then(
      () => true,
      () => false,
    )
}

/** What storage fails with is waited for where it is read. */
function isOfDatabase(error: unknown): boolean {
  return isAppError(error) && error.isRetryable && error.code.startsWith('DATABASE_')
}

type Patient = Pick<EverySnapshotOptions<unknown>, 'signal' | 'pauseMs'>

async function patiently<T>({ signal, pauseMs = 500 }: Patient, work: () => Promise<T>): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      if (!isOfDatabase(error) || retry === RETRIES) throw error
      await delay(pauseMs * 2 ** retry, undefined, { signal })
    }
  }
}

/** A wait after each chunk that came too early; time in which nothing came is not made up for. */
function createPace({
  maxBytesPerSecond,
  signal,
}: Pick<EverySnapshotOptions<unknown>, 'maxBytesPerSecond' | 'signal'>): OnBytes {
  if (maxBytesPerSecond === undefined) return async () => {}
  let due = 0
  return async (count) => {
    const now = performance.now()
    due = Math.max(due, now) + (1000 * count) / maxBytesPerSecond
    if (due - now >= LEAST_WAIT_MS) await delay(due - now, undefined, { signal })
  }
}
