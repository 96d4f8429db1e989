import type { RequestListener } from 'node:http'
import { openAccess } from './access.ts'
import { createRoutes, GRAPHQL_PATH } from './app-routes.ts'
import { type Built, build, noteWriteOf, servicesOf } from './app-services.ts'
import { watchParts } from './app-telemetry.ts'
import type { Authenticate } from './auth/authenticate.ts'
import { ANYONE } from './auth/viewer.ts'
import type { Config } from './config.ts'
import { createFailureLog, type FailureLog } from './failure-log.ts'
import type { Logger } from './log.ts'
import type { Snapshot } from './metrics/metrics.ts'
import type { WriteMark } from './model/position.ts'
import { createCors } from './server/cors.ts'
import { serveSocket } from './server/graphql-socket.ts'
import { createHosts } from './server/hosts.ts'
import { createFront } from './server/http.ts'
import { paceOfReaders } from './server/pace.ts'
import { type Budget, createRateLimit } from './server/rate-limit.ts'
import { createStreams, type Places, type StreamLimits } from './server/streams.ts'
import { createUpgradeFront, type UpgradeListener } from './server/upgrade.ts'
import { createGraphqlServer, type GraphqlServer } from './server/yoga.ts'
import type { Authorize } from './snapshots/authorize.ts'
import { createNotingWriter } from './snapshots/capture/noting-writer.ts'
import type { SnapshotWriter } from './snapshots/capture/writer.ts'
import type { PassLimits } from './snapshots/indexes/passes.ts'
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
  /** Of whoever built the server: what it wrote `ANYONE` sees at once. */
  readonly writer: SnapshotWriter
  readonly readers: Readers
  readonly payloads: Payloads
  /** Whether new objects can be stored; rejects with why not. */
  checkStorage(): Promise<void>
  /** What this process has collected, for another that answers for several. */
  collectMetrics(): Promise<Snapshot>
  /** From now on it is not ready, and each answer ends its connection: whoever listens is about to stop. */
  drain(): void
  /** The same where another process takes its place behind the same port: the server is as ready as it was. */
  retire(): void
  /** Lets go of all that it holds. Requests that are still under way fail. */
  close(): Promise<void>
}

/** What the processes of one server have in common. */
export interface Crew {
  /** Whether this is the one that does what is done once a server: the sweeps, and what is told of files that changed. */
  isOnDuty(): boolean
  /** Where the points of `RATE_LIMIT_PER_MINUTE` are kept. */
  readonly budget: Budget
  /** Where subscriptions are counted. */
  readonly places: Places
  /** Remembers, with all of them, up to where a viewer wrote; resolves when all of them know. */
  noteWrite(mark: WriteMark): Promise<void>
  /** Calls the listener with what viewers of others wrote. */
  onWrite(listener: (mark: WriteMark) => void): void
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
  /** Told the text of those that go to the standby. */
  readonly onStandbyStatement?: (text: string) => void
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
  /** How long the making of an index goes on for nobody; what is usual when left out. */
  readonly passLimits?: PassLimits
  /** After so many milliseconds whoever gets events is asked again who he is; what is usual when left out. */
  readonly recheckMillis?: number
  /** Left out: this process is the whole server. */
  readonly crew?: Crew
  /** Decides by run, beside the scopes; lists then hold only the runs that it allows. Left out: scopes alone decide. */
  readonly authorize?: Authorize
  /** Tells who asks, instead of what the settings say; given what they say. */
  readonly identify?: (bySettings: Authenticate | undefined) => Authenticate | undefined
  /** What `/metrics` tells of: what each process has collected, where several serve one port; left out: what this one has. */
  readonly gatherMetrics?: () => Promise<readonly Snapshot[]>
}

/** Of several processes one tells that a file has changed: it looks by itself, whether it is asked for anything or not. */
const FILES_MILLIS = 1000

/** Builds every part once. @throws ConfigError for what is wrong with the files that the settings name. */
export function createApp(options: AppOptions): App {
  const { config, log, crew } = options
  const draining = new AbortController()
  /** Not fired where another process goes on behind the same port. */
  const stopping = new AbortController()
  // First: what is wrong with it leaves nothing open.
  const opened = openAccess({ ...options, tells: crew && (() => crew.isOnDuty()) })
  const authenticate = options.identify ? options.identify(opened.authenticate) : opened.authenticate
  const access = { ...opened, authenticate }
  const failures = createFailureLog()
  const built = build(options, access, failures)
  const { db, watching, sweeping, events, storage, cache, sweeper, retention, writer, readers, payloads, uploads } =
    built
  const front = {
    log,
    telemetry: built.telemetry,
    failures,
    logRequests: config.logRequests,
    cors: createCors(config.corsOrigins),
    basePath: built.basePath,
    hosts: createHosts(config),
    authenticate,
    draining: draining.signal,
  }
  const { rateLimitPerMinute: perMinute } = config
  const rateLimit = perMinute > 0 ? createRateLimit({ perMinute, budget: crew?.budget }) : undefined
  const live = {
    authenticate,
    rateLimit,
    documents: access.documents,
    graphql: createGraphql(built, options, failures),
    streams: createStreams({
      ...streamLimitsOf(config),
      ...options.streams,
      draining: draining.signal,
      places: crew?.places,
    }),
  }
  const noteWrite = noteWriteOf(built)
  const watch = crew && setInterval(() => crew.isOnDuty() && access.look(), FILES_MILLIS).unref()
  watchParts(built, live.streams)
  return {
    handler: createFront({
      ...front,
      routes: createRoutes({ ...built, ...live }, options, stopping.signal),
      rateLimit,
      readers: paceOfReaders(config.transferMinBytesPerSecond),
    }),
    onUpgrade: createUpgradeFront({
      ...front,
      path: GRAPHQL_PATH,
      publicUrl: options.publicUrl,
      serve: (socket, context) => serveSocket(socket, context, live),
    }),
    writer: noteWrite ? createNotingWriter(writer, () => noteWrite(ANYONE)) : writer,
    readers,
    payloads,
    checkStorage: () => storage.check(),
    collectMetrics: built.metrics.snapshot,
    drain() {
      stopping.abort()
      draining.abort()
    },
    retire: () => draining.abort(),
    async close() {
      draining.abort()
      clearInterval(watch)
      events.close()
      built.parts.close()
      await uploads.close()
      await Promise.all([retention.stop(), sweeper.stop()])
      await built.reads.close()
      await Promise.all([db.close(), watching.close(), sweeping.close(), cache.close()])
      storage.close()
      failures.close()
    },
  }
}

function createGraphql(built: Built, options: AppOptions, failures: FailureLog): GraphqlServer {
  const { config, log } = options
  return createGraphqlServer({
    services: servicesOf(built, options),
    onHiddenError: (error) => failures.tell(log, { error, what: 'request failed' }),
    limits: config.queryLimits,
    introspection: config.introspection,
    recheckMillis: options.recheckMillis,
  })
}

function streamLimitsOf({ eventStreamsMax, eventStreamsPerViewerMax }: Config): Partial<StreamLimits> {
  return { streamsMax: eventStreamsMax, perViewerMax: eventStreamsPerViewerMax }
}
