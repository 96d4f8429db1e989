import type { RequestListener } from 'node:http'
import { openAccess } from './access.ts'
import { createRoutes, GRAPHQL_PATH } from './app-routes.ts'
import { type Built, build, servicesOf } from './app-services.ts'
import type { Authenticate } from './auth/authenticate.ts'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'
import { createCors } from './server/cors.ts'
import { serveSocket } from './server/graphql-socket.ts'
import { createHosts } from './server/hosts.ts'
import { createFront } from './server/http.ts'
import { paceOfReaders } from './server/pace.ts'
import { createRateLimit } from './server/rate-limit.ts'
import { createStreams, type StreamLimits } from './server/streams.ts'
import { createUpgradeFront, type UpgradeListener } from './server/upgrade.ts'
import { createGraphqlServer, type GraphqlServer } from './server/yoga.ts'
import type { Authorize } from './snapshots/authorize.ts'
import type { SnapshotWriter } from './snapshots/capture/writer.ts'
import type { Readers } from './snapshots/readers.ts'
import type { AdmissionOptions } from './snapshots/source/admission.ts'
import type { RetentionTimerOptions } from './snapshots/upkeep/retention-timer.ts'
import type { Payloads } from './snapshots/views/payloads.ts'

/** The server without a socket: whoever listens hands requests to it. */
export interface App {
  /** Answers `request`, and `checkContinue` as well, of a `node:http` server. */
  readonly handler: RequestListener
  /** Takes the connections over that ask for a WebSocket. */
  readonly onUpgrade: UpgradeListener
  readonly writer: SnapshotWriter
  readonly readers: Readers
  readonly payloads: Payloads
  /** Whether new objects can be stored; rejects with why not. */
  checkStorage(): Promise<void>
  /** From now on it is not ready, and each answer ends its connection: whoever listens is about to stop. */
  drain(): void
  /** Lets go of all that it holds. Requests that are still under way fail. */
  close(): Promise<void>
}

export interface AppOptions {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  readonly log: Logger
  /** Base of the server's links, without a trailing slash: asked for when the first request is there. */
  readonly publicUrl: () => string
  /** Whether the database is known to have this version's tables; without it the server is not ready. */
  readonly isMigrated?: () => boolean
  /** Told the text of every SQL statement. */
  readonly onStatement?: (text: string) => void
  /** Over the limits of the settings. */
  readonly admission?: AdmissionOptions
  /** How often retention looks and passes, in seconds; what is usual when left out. */
  readonly retention?: Pick<RetentionTimerOptions, 'everySeconds' | 'lookSeconds'>
  /** Over the limits of the settings. */
  readonly streams?: Partial<StreamLimits>
  /** Milliseconds since 1970, for links to this server; the clock of the process when left out. */
  readonly now?: () => number
  /** How long a request waits for the index of a state, in milliseconds; what is usual when left out. */
  readonly partsWaitMillis?: number
  /** After so many milliseconds whoever gets events is asked again who he is; what is usual when left out. */
  readonly recheckMillis?: number
  /** Decides by run, beside the scopes; lists then hold only the runs that it allows. Left out: scopes alone decide. */
  readonly authorize?: Authorize
  /** Tells who asks, instead of what the settings say; given what they say. */
  readonly identify?: (bySettings: Authenticate | undefined) => Authenticate | undefined
}

/** Builds every part once. @throws ConfigError for what is wrong with the files that the settings name. */
export function createApp(options: AppOptions): App {
  const { config, log } = options
  const draining = new AbortController()
  // First: what is wrong with it leaves nothing open.
  const opened = openAccess(options)
  const authenticate = options.identify ? options.identify(opened.authenticate) : opened.authenticate
  const access = { ...opened, authenticate }
  const built = build(options, access)
  const { db, watching, events, storage, cache, sweeper, retention, writer, readers, payloads, uploads } = built
  const front = {
    log,
    logRequests: config.logRequests,
    cors: createCors(config.corsOrigins),
    basePath: built.basePath,
    hosts: createHosts(config),
    authenticate,
    draining: draining.signal,
  }
  const rateLimit = config.rateLimitPerMinute ? createRateLimit({ perMinute: config.rateLimitPerMinute }) : undefined
  const live = {
    authenticate,
    rateLimit,
    documents: access.documents,
    graphql: createGraphql(built, options),
    streams: createStreams({ ...streamLimitsOf(config), ...options.streams, draining: draining.signal }),
  }
  return {
    handler: createFront({
      ...front,
      routes: createRoutes({ ...built, ...live }, options, draining.signal),
      rateLimit,
      readers: paceOfReaders(config.transferMinBytesPerSecond),
    }),
    onUpgrade: createUpgradeFront({
      ...front,
      path: GRAPHQL_PATH,
      publicUrl: options.publicUrl,
      serve: (socket, context) => serveSocket(socket, context, live),
    }),
    writer,
    readers,
    payloads,
    checkStorage: () => storage.check(),
    drain: () => draining.abort(),
    async close() {
      draining.abort()
      events.close()
      built.parts.close()
      await uploads.close()
      await Promise.all([retention.stop(), sweeper.stop()])
      await Promise.all([db.close(), watching.close(), cache.close()])
      storage.close()
    },
  }
}

function createGraphql(built: Built, options: AppOptions): GraphqlServer {
  const { config, log } = options
  return createGraphqlServer({
    services: servicesOf(built, options),
    onHiddenError: (error) => log.error({ err: error }, 'request failed'),
    limits: config.queryLimits,
    introspection: config.introspection,
    recheckMillis: options.recheckMillis,
  })
}

function streamLimitsOf({ eventStreamsMax, eventStreamsPerViewerMax }: Config): Partial<StreamLimits> {
  return { streamsMax: eventStreamsMax, perViewerMax: eventStreamsPerViewerMax }
}
