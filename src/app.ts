import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { type Access, openAccess } from './access.ts'
import type { ByteCache } from './cache/byte-cache.ts'
import { createMemoryCache } from './cache/memory.ts'
import { createValkeyCache } from './cache/valkey.ts'
import type { Config } from './config.ts'
import { createDatabase, type Database } from './db/connect.ts'
import { claimStore, hasObjectsIn, lookAtStore, replaceStore } from './db/queries/stores.ts'
import { createEvents } from './events/events.ts'
import type { Services } from './graphql/context.ts'
import type { Logger } from './log.ts'
import { auditTo } from './server/audit.ts'
import { CAPTURE_PATH, createCaptureRoute } from './server/capture-route.ts'
import { createCors } from './server/cors.ts'
import { createDiffRoute } from './server/diff-route.ts'
import { createExplorerRoutes } from './server/explorer-route.ts'
import { createGraphiql } from './server/graphiql.ts'
import { createGraphqlRoute, graphqlFailure } from './server/graphql-route.ts'
import { type GraphqlSocketOptions, serveSocket } from './server/graphql-socket.ts'
import { createHealth, type Dependency } from './server/health.ts'
import { createHosts } from './server/hosts.ts'
import { createFront, type Route } from './server/http.ts'
import { paceOfReaders, paceOfSenders } from './server/pace.ts'
import { createPayloadRoute } from './server/payload-route.ts'
import { createRateLimit } from './server/rate-limit.ts'
import { createStreams, type StreamLimits } from './server/streams.ts'
import { createUpgradeFront, type UpgradeListener } from './server/upgrade.ts'
import { createUploadRoute } from './server/upload-route.ts'
import { createValueRoute } from './server/value-route.ts'
import { createGraphqlServer, type GraphqlServer } from './server/yoga.ts'
import { type Authorize, changesFor } from './snapshots/authorize.ts'
import { createUploads } from './snapshots/capture/uploads.ts'
import { createWriter, type SnapshotWriter } from './snapshots/capture/writer.ts'
import { createKeyTables } from './snapshots/indexes/key-tables.ts'
import { createStateIndexes } from './snapshots/indexes/state-indexes.ts'
import { createLinks } from './snapshots/links.ts'
import { createMayRead } from './snapshots/may-read.ts'
import { createReaders } from './snapshots/readers.ts'
import { type AdmissionOptions, createAdmission, READS_MAX } from './snapshots/source/admission.ts'
import { createStoredReads } from './snapshots/upkeep/stored-reads.ts'
import { createSweeper } from './snapshots/upkeep/sweeper.ts'
import { createVerifier } from './snapshots/upkeep/verifier.ts'
import { createParts } from './snapshots/views/parts.ts'
import { createPayloads } from './snapshots/views/payloads.ts'
import type { StoreIdentity } from './storage/file/mark.ts'
import { createLinkSigner, type LinkSigner, type LinkSignerOptions } from './storage/links/signed-link.ts'
import { createUploadLinkSigner, type UploadLinkSigner } from './storage/links/upload-link.ts'
import { createStorage, type Storage } from './storage/registry.ts'

const GRAPHQL_PATH = /^\/graphql\/?$/
const MIB = 1_048_576
/** Larger payloads are streamed from storage each time. */
const CACHE_ENTRY_MAX_BYTES = 4 * MIB
const MEMORY_CACHE_BYTES = 128 * MIB
/** Of an upload that is refused, so much is still read before the connection ends. */
const REFUSED_UPLOAD_BYTES = 16 * MIB

/** The server without a socket: whoever listens hands requests to it. */
export interface App {
  /** Answers `request`, and `checkContinue` as well, of a `node:http` server. */
  readonly handler: RequestListener
  /** Takes the connections over that ask for a WebSocket. */
  readonly onUpgrade: UpgradeListener
  readonly writer: SnapshotWriter
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
}

/** Builds every part once. @throws ConfigError for what is wrong with the files that the settings name. */
export function createApp(options: AppOptions): App {
  const { config, log } = options
  const draining = new AbortController()
  // First: what is wrong with it leaves nothing open.
  const access = openAccess(options)
  const { authenticate } = access
  const built = build(options, access)
  const { db, watching, events, storage, cache, sweeper, writer, uploads } = built
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
    checkStorage: () => storage.check(),
    drain: () => draining.abort(),
    async close() {
      draining.abort()
      events.close()
      built.parts.close()
      await uploads.close()
      await sweeper.stop()
      await Promise.all([db.close(), watching.close(), cache.close()])
      storage.close()
    },
  }
}

type Built = ReturnType<typeof build>

function build(options: AppOptions, { authenticate, policies }: Access) {
  const { config, log, publicUrl, onStatement } = options
  const { inlineMaxBytes, signedUrlMaxSeconds: maxSeconds } = config
  const db = createDatabase({ url: config.databaseUrl, onStatement })
  const storage = openStorage(config, db)
  const cache = openCache(config, log)
  const sweeper = createSweeper({ db, storage, onProblem: (error) => log.warn({ err: error }, 'sweep failed') })
  const admission = createAdmission({ ...admissionOf(config), ...options.admission })
  const mayRead = createMayRead(policies)
  const audit = auditTo(log)
  // Where nobody is asked, nobody could be named.
  const told = authenticate ? audit : undefined
  const payloads = createPayloads({ db, storage, cache, admission, mayRead, onWithheld: told?.withheld })
  const indexes = createStateIndexes(db)
  const reads = createStoredReads({ db, indexes })
  const writer = createWriter({ db, storage, cache, sweeper, indexes, inlineMaxBytes, admission })
  // A connection of its own: requests that take all others do not keep those waiting who watch.
  const watching = createDatabase({ url: config.databaseUrl, maxConnections: 1, applicationName: 'statelens events' })
  const onProblem = (error: unknown) => log.warn({ err: error }, 'looking for events failed')
  const signers = createSigners({ secrets: linkSecrets(config, log), maxSeconds, now: options.now }, publicUrl)
  return {
    db,
    watching,
    events: createEvents({ db, watching, onProblem }),
    storage,
    cache,
    sweeper,
    admission,
    audit,
    policies,
    payloads,
    parts: createParts({
      payloads,
      indexes,
      keyTables: createKeyTables(db, indexes),
      reads,
      admission,
      wholeMaxBytes: CACHE_ENTRY_MAX_BYTES,
      waitMillis: options.partsWaitMillis,
    }),
    writer,
    readers: createReaders({ db, mayRead, authorize: options.authorize }),
    verifier: createVerifier({ db, payloads, admission, reads }),
    links: createLinks({ storage, signer: signers.download, maxSeconds, mayRead, onMade: told?.link }),
    uploads: createUploads({
      db,
      storage,
      sweeper,
      indexes,
      admission,
      signer: signers.upload,
      inlineMaxBytes,
      maxSeconds,
    }),
    basePath: createBasePath(publicUrl),
  }
}

function servicesOf(built: Built, { config, authorize }: AppOptions): Services {
  const { readers, writer, payloads, parts, verifier, links, uploads, events, audit, policies } = built
  const { payloadMaxBytes } = config
  const views = { payloads, parts, verifier, links, policies }
  return { ...views, readers, writer, uploads, events, audit, authorize, payloadMaxBytes }
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

function createRoutes(
  built: Built & GraphqlSocketOptions,
  options: AppOptions,
  draining: AbortSignal,
): readonly Route[] {
  const { readers, writer, payloads, parts, links, uploads, basePath, graphql, streams, documents } = built
  const { config, authorize } = options
  const health = createHealth(dependencies(built, options), draining)
  const senders = paceOfSenders(config.transferMinBytesPerSecond)
  return [
    {
      path: GRAPHQL_PATH,
      methods: createGraphqlRoute({
        graphql,
        streams,
        graphiql: config.graphiql ? createGraphiql() : undefined,
        documents,
      }),
      failureAnswer: graphqlFailure,
      // The page holds no data, and asks with the token that its reader puts in.
      needs: 'nothing',
    },
    {
      path: /^\/snapshots\/([^/]+)\/payload$/,
      methods: createPayloadRoute({ readers, payloads, links }),
      needs: 'nothing',
    },
    { path: /^\/snapshots\/([^/]+)\/value$/, methods: createValueRoute({ readers, parts, links }), needs: 'nothing' },
    { path: /^\/snapshots\/([^/]+)\/diff$/, methods: createDiffRoute({ readers, parts }) },
    {
      path: CAPTURE_PATH,
      methods: createCaptureRoute({
        writer,
        writerFor: authorize && ((viewer) => changesFor(built, authorize, viewer).writer),
        senders,
        basePath,
      }),
      needs: 'write',
      discardMaxBytes: REFUSED_UPLOAD_BYTES,
    },
    {
      path: /^\/uploads\/([^/]+)$/,
      methods: createUploadRoute({ uploads, senders }),
      // Its link is its sender's only right.
      needs: 'nothing',
      discardMaxBytes: REFUSED_UPLOAD_BYTES,
    },
    ...(config.explorer ? createExplorerRoutes() : []),
    {
      path: /^\/health\/live$/,
      methods: { GET: health.live, HEAD: health.live },
      needs: 'nothing',
      isForAnyHost: true,
    },
    {
      path: /^\/health\/ready$/,
      methods: { GET: health.ready, HEAD: health.ready },
      needs: 'nothing',
      isForAnyHost: true,
    },
  ]
}

function dependencies({ db, storage, cache }: Built, { isMigrated = () => true }: AppOptions): readonly Dependency[] {
  return [
    { name: 'database', required: true, isUp: async () => isMigrated() && (await takesWrites(db)) },
    { name: 'storage', required: true, isUp: () => answers(storage.check()) },
    { name: 'cache', required: false, isUp: () => cache.isUp() },
  ]
}

async function takesWrites(db: Database): Promise<true | 'read-only'> {
  const { isReadOnly } = await db.check()
  return isReadOnly ? 'read-only' : true
}

/** The storage of every command. */
export function openStorage(config: Config, db: Database): Storage {
  const { payloadStreamsMax, uploadStreamsMax } = config
  const isDefault = config.storageBackend === 'filesystem'
  const sockets = {
    // A request seldom waits for one: each payload may have a next one opened ahead of it, each upload has three parts on their way.
    readSockets: 2 * (payloadStreamsMax + READS_MAX),
    writeSockets: 3 * uploadStreamsMax,
  }
  return createStorage({
    defaultScheme: isDefault ? 'file' : config.storageBackend,
    file: { root: config.storagePath, identity: identityOf(db, isDefault) },
    s3: config.s3 && { ...config.s3, ...sockets },
    minio: config.minio && { ...config.minio, ...sockets },
    allowedBuckets: config.allowedBuckets,
  })
}

function identityOf(db: Database, isDefault: boolean): StoreIdentity {
  const known = () => lookAtStore(db, 'file')
  if (!isDefault) return { known }
  return {
    known,
    claim: {
      hasObjects: () => hasObjectsIn(db, 'file'),
      take: (id) => claimStore(db, 'file', id),
      replace: (id) => replaceStore(db, 'file', id),
    },
  }
}

function openCache(config: Config, log: Logger): ByteCache {
  const limits = { maxEntryBytes: CACHE_ENTRY_MAX_BYTES, ttlSeconds: config.cacheTtlSeconds }
  if (config.valkeyUrl === undefined) return createMemoryCache({ maxBytes: MEMORY_CACHE_BYTES, ...limits })
  return createValkeyCache({
    url: config.valkeyUrl,
    cluster: config.valkeyCluster,
    ...limits,
    onProblem: (problem) => log.warn({ problem }, 'cache failed'),
  })
}

function admissionOf(config: Config): AdmissionOptions {
  const { payloadStreamsMax, uploadStreamsMax, payloadMemoryMaxBytes: memoryMaxBytes } = config
  return { payloadStreamsMax, uploadStreamsMax, memoryMaxBytes }
}

function streamLimitsOf({ eventStreamsMax, eventStreamsPerViewerMax }: Config): Partial<StreamLimits> {
  return { streamsMax: eventStreamsMax, perViewerMax: eventStreamsPerViewerMax }
}

async function answers(look: Promise<unknown>): Promise<boolean> {
  await look
  return true
}

/** Signers of a server whose address is known once it listens. */
function createSigners(
  options: Omit<LinkSignerOptions, 'publicUrl'>,
  publicUrl: () => string,
): { readonly download: LinkSigner; readonly upload: UploadLinkSigner } {
  let made: { readonly download: LinkSigner; readonly upload: UploadLinkSigner } | undefined
  const make = () => {
    const known = { ...options, publicUrl: publicUrl() }
    made ??= { download: createLinkSigner(known), upload: createUploadLinkSigner(known) }
    return made
  }
  return {
    download: {
      sign: (request) => make().download.sign(request),
      verify: (rawQuery, target) => make().download.verify(rawQuery, target),
      recognizes: (rawQuery, snapshotId) => make().download.recognizes(rawQuery, snapshotId),
    },
    upload: {
      sign: (uploadId, expiresInSeconds) => make().upload.sign(uploadId, expiresInSeconds),
      verify: (rawQuery, uploadId) => make().upload.verify(rawQuery, uploadId),
    },
  }
}

function linkSecrets(config: Config, log: Logger): readonly string[] {
  if (config.signedUrlSecrets.length > 0) return config.signedUrlSecrets
  log.warn('SIGNED_URL_SECRET is not set: signed links end when this process does')
  return [randomBytes(32).toString('base64url')]
}

/** What stands before the paths at a proxy in front: without a trailing slash. */
function createBasePath(publicUrl: () => string): () => string {
  let path: string | undefined
  return () => {
    path ??= new URL(publicUrl()).pathname.replace(/\/+$/, '')
    return path
  }
}
