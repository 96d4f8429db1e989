import type { Database } from '../../db/connect.ts'
import { deleteBatch } from '../../db/queries/deletions.ts'
import { isAppError } from '../../errors.ts'

/** Rows of a batch stay locked while it lasts: batches grow and shrink towards this time. */
const BATCH_MILLIS = 200
const FIRST_BATCH = 500
const BATCH_MAX = 5000
/** Of what was too much for one statement. */
const SMALLER = 10

export interface DeletionSweepOptions {
  readonly db: Database
  /** Ends it between two batches; what is done stays done. */
  readonly signal?: AbortSignal
}

/** Takes away the rows of deleted runs, and the traces of deletions that are over. @throws database errors. */
export async function sweepDeletions({ db, signal }: DeletionSweepOptions): Promise<void> {
  let limit = FIRST_BATCH
  for (let done = false; !done && !signal?.aborted; ) {
    const began = performance.now()
    try {
      done = (await deleteBatch(db, { limit, signal })).done
    } catch (error) {
      if (!isAppError(error, 'DATABASE_TIMEOUT') || limit === 1) throw error
      limit = Math.max(1, Math.floor(limit / SMALLER))
      continue
    }
    const millis = Math.max(performance.now() - began, BATCH_MILLIS / 2)
    limit = Math.min(BATCH_MAX, Math.max(1, Math.round((limit * BATCH_MILLIS) / millis)))
  }
}
