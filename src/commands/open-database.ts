import type { Config } from '../config.ts'
import type { Revival } from '../db/embedded/revival.ts'
import { migrate, pendingMigrations } from '../db/migrate.ts'
import type { Logger } from '../log.ts'
import { StartError } from './start-error.ts'

export interface OpenDatabase {
  readonly url: string
  /** Ends what was started for it. */
  stop(): Promise<void>
}

/** Tells the log when an embedded server died, and when it is back. */
export function revivalIn(log: Logger): Revival {
  return {
    died: () => log.error('the embedded database ended by itself: starting it again'),
    isBack: () => log.warn('the embedded database is back'),
  }
}

/**
 * The database of a command: an embedded one is started and made ready, a configured one is as it is.
 * @param revival has an embedded one started again when it dies.
 */
export async function openDatabase({ databaseUrl, dataDir }: Config, revival?: Revival): Promise<OpenDatabase> {
  if (databaseUrl !== undefined) return { url: databaseUrl, stop: async () => {} }
  const { startEmbeddedPostgres } = await import('../db/embedded/embedded.ts')
  const embedded = await startEmbeddedPostgres({ dataDir, revival })
  await migrate(embedded.url).catch(async (error: unknown) => {
    await embedded.stop()
    throw error
  })
  return { url: embedded.url, stop: () => embedded.stop() }
}

/** @throws StartError when the database has not this version's tables; AppError when it cannot be asked. */
export async function requireMigrated(databaseUrl: string): Promise<void> {
  const pending = await pendingMigrations(databaseUrl)
  if (pending.length === 0) return
  const [first, ...others] = pending
  const what = others.length === 0 ? first : `${first} and ${others.length} more`
  throw new StartError(`The database needs a migration (${what}). Run "statelens migrate" with the same DATABASE_URL.`)
}
