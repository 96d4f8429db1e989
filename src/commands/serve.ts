import { setTimeout as delay } from 'node:timers/promises'
import { type App, type AppOptions, createApp } from '../app.ts'
import type { Config } from '../config.ts'
import { isAppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { isAnyAddress } from '../server/hosts.ts'
import { type CloseOptions, listen } from '../server/listen.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import { explainDatabase } from './database-trouble.ts'
import { openDatabase, requireMigrated, revivalIn } from './open-database.ts'

/** What the parts may take to close after the last connection, whatever they wait for: with it a stop takes 25 seconds at most. */
const CLOSE_MILLIS = 4000
/** How long the database is waited for before the server listens without it, and between two looks for it afterwards. */
const LOOK_MILLIS = 2000
const RETRY_MILLIS = 1000
/** The same reason is told again after so long. */
const TELL_MILLIS = 30_000

/** A server that listens. */
export interface Service {
  /** Base of its links. */
  readonly publicUrl: string
  /** Where it listens. */
  readonly port: number
  readonly writer: SnapshotWriter
  /** Whether new objects can be stored; rejects with why not. */
  checkStorage(): Promise<void>
  /** What this process has collected, for another that answers for several. */
  collectMetrics: App['collectMetrics']
  /** Is not ready any more, lets what is under way end for up to 20 seconds, cuts the rest, and lets go of all that it holds. */
  close(options?: CloseOptions): Promise<void>
}

/** Builds the whole server, and only then listens. What fails leaves nothing open. */
export async function startService(options: Omit<AppOptions, 'publicUrl'>): Promise<Service> {
  const { port, host, keepAliveSeconds, publicUrl: told } = options.config
  let publicUrl = told ?? ''
  const app = createApp({ ...options, publicUrl: () => publicUrl })
  const listening = listen(app.handler, {
    port,
    host,
    keepAliveMillis: keepAliveSeconds * 1000,
    onUpgrade: app.onUpgrade,
  })
  const listener = await listening.catch(async (error: unknown) => {
    await app.close()
    throw error
  })
  publicUrl ||= listener.url
  return {
    publicUrl,
    port: listener.port,
    writer: app.writer,
    checkStorage: app.checkStorage,
    collectMetrics: app.collectMetrics,
    async close(closing) {
      app.drain()
      await listener.close(closing)
      await within(app.close(), CLOSE_MILLIS)
    },
  }
}

/** Resolves with the work, or when its time is over. */
async function within(work: Promise<void>, millis: number): Promise<void> {
  const over = new AbortController()
  try {
    await Promise.race([work, delay(millis, undefined, { signal: over.signal })])
  } finally {
    over.abort()
  }
}

export interface ServeCommand {
  readonly config: Config
  readonly log: Logger
  /** Resolves when the process is told to stop: with the signal, or what else ended it. */
  readonly stopping: Promise<string>
}

/**
 * The command `serve`. A database that cannot be reached is waited for, while the server is not ready; one without this version's
 * tables ends it.
 *
 * After SIGTERM, as whoever runs many servers sends it, new connections are taken for some seconds more, so that a balancer
 * reads `draining` before it is refused. Ctrl-C waits for nobody.
 * @throws StartError, also later: when the database is there, and lacks its tables.
 */
export async function runServe({ config, log, stopping }: ServeCommand): Promise<void> {
  const database = await openDatabase(config, revivalIn(log))
  try {
    const look = createLook(database.url, log)
    await within(look.first, LOOK_MILLIS)
    const service = await startService({
      config: { ...config, databaseUrl: database.url },
      log,
      isMigrated: look.isMigrated,
    })
    let listenOnMillis = 0
    try {
      log.info({ url: `${service.publicUrl}/graphql` }, 'listening')
      if (config.publicUrl === undefined && isAnyAddress(config.host)) {
        log.warn('PUBLIC_URL is not set: nobody is served who comes by an address or name of a network')
      }
      if (config.databaseUrl !== undefined && config.storageBackend === 'filesystem') {
        log.warn(
          'large states go to a folder of this machine: every server on this database must have that same folder',
        )
      }
      service.checkStorage().catch((error: unknown) => log.warn({ err: error }, 'nothing can be stored'))
      const told = await Promise.race([stopping, look.refusal])
      if (told === 'SIGTERM') listenOnMillis = config.drainDelaySeconds * 1000
      log.info({ reason: told, listensOnSeconds: listenOnMillis / 1000 }, 'draining')
    } finally {
      look.end()
      await service.close({ listenOnMillis })
      log.info('ended')
    }
  } finally {
    await database.stop()
  }
}

interface Look {
  /** Resolves when the database was looked at once, whether it answered or not. @throws StartError when it lacks its tables. */
  readonly first: Promise<void>
  /** Never resolves. @throws StartError when it lacks its tables. */
  readonly refusal: Promise<never>
  isMigrated(): boolean
  end(): void
}

/** Looks for the tables until the database says that they are there, or that they are not. */
function createLook(databaseUrl: string, log: Logger): Look {
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
