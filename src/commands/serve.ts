import { setTimeout as delay } from 'node:timers/promises'
import { type App, type AppOptions, createApp } from '../app.ts'
import type { Config } from '../config.ts'
import type { Logger } from '../log.ts'
import { type CloseOptions, listen } from '../server/listen.ts'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import { createLook, type Look } from './look.ts'
import { openDatabase, revivalIn } from './open-database.ts'
import { listensOnAfter, warnAboutSettings } from './serve-settings.ts'

/** What the parts may take to close after the last connection, whatever they wait for: with it a stop takes 25 seconds at most. */
const CLOSE_MILLIS = 4000
/** How long the database is waited for before the server listens without it. */
const LOOK_MILLIS = 2000

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
  close(options?: Closing): Promise<void>
}

export interface Closing extends CloseOptions {
  /** Another process goes on behind the same port: the server is as ready as it was. */
  readonly isReplaced?: boolean
}

export interface ServiceOptions extends Omit<AppOptions, 'publicUrl'> {
  /** Most connections at once; what a server takes when left out. */
  readonly connectionsMax?: number
}

/** Builds the whole server, and only then listens. What fails leaves nothing open. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { port, host, keepAliveSeconds, publicUrl: told } = options.config
  let publicUrl = told ?? ''
  const app = createApp({ ...options, publicUrl: () => publicUrl })
  const listening = listen(app.handler, {
    port,
    host,
    keepAliveMillis: keepAliveSeconds * 1000,
    connectionsMax: options.connectionsMax,
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
    async close({ isReplaced = false, ...closing } = {}) {
      if (isReplaced) app.retire()
      else app.drain()
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
    const service = await startLooking(look, { config: { ...config, databaseUrl: database.url }, log })
    let listenOnMillis = 0
    try {
      log.info({ url: `${service.publicUrl}/graphql` }, 'listening')
      warnAboutSettings(config, log)
      warnAboutStorage(service, log)
      const told = await Promise.race([stopping, look.refusal])
      listenOnMillis = listensOnAfter(told, config)
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

/** Listens when the database was looked at, or after a while. @throws StartError when it lacks its tables. */
export async function startLooking(look: Look, options: ServiceOptions): Promise<Service> {
  await within(look.first, LOOK_MILLIS)
  return await startService({ ...options, isMigrated: look.isMigrated })
}

export function warnAboutStorage(service: Service, log: Logger): void {
  service.checkStorage().catch((error: unknown) => log.warn({ err: error }, 'nothing can be stored'))
}
