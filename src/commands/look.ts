import { setTimeout as delay } from 'node:timers/promises'
import { isAppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { explainDatabase } from './database-trouble.ts'
import { requireMigrated } from './open-database.ts'

/** Between two looks for the database. */
const RETRY_MILLIS = 1000
/** The same reason is told again after so long. */
const TELL_MILLIS = 30_000

export interface Look {
  /** Resolves when the database was looked at once, whether it answered or not. @throws StartError when it lacks its tables. */
  readonly first: Promise<void>
  /** Never resolves. @throws StartError when it lacks its tables. */
  readonly refusal: Promise<never>
  isMigrated(): boolean
  end(): void
}

/** Looks for the tables until the database says that they are there, or that they are not. */
export function createLook(databaseUrl: string, log: Logger): Look {
  const ended = new AbortController()
  let isMigrated = false
  let told = ''
  let toldAt = 0

  async function tryOnce(): Promise<void> {
    try {
      await requireMigrated(databaseUrl)
      isMigrated = true
    } catch (error) {
      if (!isAppError(error) || !error.isRetryable) throw error
      const why = explainDatabase(error) ?? error.message
      if (why !== told || Date.now() - toldAt >= TELL_MILLIS) {
        told = why
        toldAt = Date.now()
        log.warn({ err: error, why }, 'the database cannot be used: waiting for it')
      }
    }
  }

  async function tryAgain(): Promise<never> {
    await first
    while (!isMigrated && !ended.signal.aborted) {
      await delay(RETRY_MILLIS, undefined, { signal: ended.signal }).catch(() => {})
      if (!ended.signal.aborted) await tryOnce()
    }
    return await new Promise<never>(() => {})
  }

  const first = tryOnce()
  const refusal = tryAgain()
  // Whoever waits for it hears of it; nobody waits any more once the server stops.
  refusal.catch(() => {})
  return { first, refusal, isMigrated: () => isMigrated, end: () => ended.abort() }
}
