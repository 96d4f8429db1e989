import { setTimeout } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'

/** No statement of an adoption keeps a writer waiting for longer: it gives up, lets the others pass, and tries again. */
export const LOCK_MILLIS = 300
const PAUSE_MILLIS = 200
const PAUSE_MAX_MILLIS = 3000
const TRIES = 100

export interface Waiting {
  /** Ends it where it can go on the next time. */
  readonly signal?: AbortSignal
  /** Called when something else holds a lock that is needed. */
  readonly onBlocked?: () => void
}

/**
 * Does work that needs a lock, again and again until it gets the lock in time. Below `deadlock_timeout`, so that in a deadlock it
 * is never the other one who is sent away.
 * @throws what the work throws; its last error after some five minutes, or the signal's reason.
 */
export async function withBriefLock<T>(work: () => Promise<T>, { signal, onBlocked }: Waiting = {}): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!isLockProblem(error) || attempt === TRIES) throw error
      onBlocked?.()
      await pause(Math.min(PAUSE_MILLIS * attempt, PAUSE_MAX_MILLIS), signal)
    }
  }
}

/** @throws the signal's reason. */
export async function pause(millis: number, signal?: AbortSignal): Promise<void> {
  await setTimeout(millis, undefined, { signal }).catch(() => signal?.throwIfAborted())
}

/** One statement with a brief lock. In a transaction, for behind a pooler that is what the limit for locks belongs to. */
export async function runBriefly(db: Kysely<unknown>, statement: string, waiting?: Waiting): Promise<void> {
  await withBriefLock(() => db.transaction().execute((tx) => run(tx, statement)), waiting)
}

/** For locks that keep nobody else waiting, however long they are waited for: SHARE UPDATE EXCLUSIVE, which no writer takes. */
export async function runPatiently(db: Kysely<unknown>, statement: string): Promise<void> {
  await run(db, 'set lock_timeout = 0')
  try {
    await run(db, statement)
  } finally {
    await run(db, `set lock_timeout = ${LOCK_MILLIS}`)
  }
}

export async function run(db: Kysely<unknown>, statement: string): Promise<void> {
  await sql.raw(statement).execute(db)
}

function isLockProblem(error: unknown): boolean {
  // lock_not_available, deadlock_detected
  return error instanceof Error && 'code' in error && (error.code === '55P03' || error.code === '40P01')
}
