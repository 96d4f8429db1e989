import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { ByteCache } from './cache/byte-cache.ts'
import { createMemoryCache } from './cache/memory.ts'
import { createValkeyCache } from './cache/valkey.ts'
import type { Config } from './config.ts'
import { createDatabase, type Database } from './db/connect.ts'
import type { Logger } from './log.ts'
import { createCaptureRoute } from './server/capture-route.ts'
import { createCors } from './server/cors.ts'
import { createGraphiql } from './server/graphiql.ts'
import { createGraphqlRoute, graphqlFailure } from './server/graphql-route.ts'
import { createHealth, type Health } from './server/health.ts'
import { createHttpServer, type Route } from './server/http.ts'
import { createPayloadRoute } from './server/payload-route.ts'
import { createUploadRoute } from './server/upload-route.ts'
import { createGraphqlServer } from './server/yoga.ts'
import { createUploads } from './snapshots/capture/uploads.ts'
import { createWriter, type SnapshotWriter } from './snapshots/capture/writer.ts'
import { createLinks } from './snapshots/links.ts'
import { createReader } from './snapshots/reader.ts'
import { type AdmissionOptions, createAdmission } from './snapshots/source/admission.ts'
import { createSweeper } from './snapshots/upkeep/sweeper.ts'
import { createVerifier } from './snapshots/upkeep/verifier.ts'
import { createPayloads } from './snapshots/views/payloads.ts'
import { createLinkSigner } from './storage/links/signed-link.ts'
import { createUploadLinkSigner } from './storage/links/upload-link.ts'
import { createStorage, type Storage } from './storage/registry.ts'

const MIB = 1_048_576
/** Larger payloads are streamed from storage each time. */
const CACHE_ENTRY_MAX_BYTES = 4 * MIB
const MEMORY_CACHE_BYTES = 128 * MIB
/** Of an upload that is refused, so much is still read before the connection ends. */
const REFUSED_UPLOAD_BYTES = 16 * MIB
const LISTEN_ON_MILLIS = 5000
const DRAIN_MILLIS = 20_000
/** A request that comes with its connection has come by then. */
const UNUSED_MILLIS = 1000

export interface App {
  /** Base of the server's links, once it listens. */
  readonly publicUrl: string
  readonly writer: SnapshotWriter
  /** Stops taking work, lets what is under way end for up to 20 seconds, and closes every connection. */
  close(): Promise<void>
}

export interface AppOptions {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  readonly log: Logger
  /** Told the text of every SQL statement. */
  readonly onStatement?: (text: string) => void
  /** How many payloads may be on their way to clients at once. */
  readonly admission?: AdmissionOptions
  /** Milliseconds since 1970, for links to this server; the clock of the process when left out. */
  readonly now?: () => number
}

/** Builds every part once, and listens. */
export async function startApp({ config, log, onStatement, now, ...limits }: AppOptions): Promise<App> {
  const onHiddenError = (error: unknown) => log.error({ err: error }, 'request failed')
  const db = createDatabase({ url: config.databaseUrl, onStatement })
  const storage = openStorage(config)
  const cache = openCache(config, log)
  const sweeper = createSweeper({ db, storage, onProblem: (error) => log.warn({ err: error }, 'sweep failed') })
  const reader = createReader(db)
  const admission = createAdmission(limits.admission)
  const payloads = createPayloads({ db, storage, cache, admission })
  const writer = createWriter({ db, storage, cache, sweeper, inlineMaxBytes: config.inlineMaxBytes })
  const health = createHealth(dependencies(db, storage, cache))
  const routes: Route[] = []
  const server = createHttpServer({ routes, onHiddenError, cors: createCors(config.corsOrigins) })
  const unused = trackUnused(server)
  const closeParts = async () => {
    await sweeper.stop()
    await Promise.all([db.close(), cache.close()])
    storage.close()
  }
  try {
    server.listen(config.port, config.host)
    await once(server, 'listening')
  } catch (error) {
    await closeParts()
    throw error
  }

  const publicUrl = config.publicUrl ?? urlOf(server, config.host)
  const { signedUrlMaxSeconds: maxSeconds } = config
  const linkOptions = { secrets: linkSecrets(config, log), publicUrl, maxSeconds, now }
  const signer = createLinkSigner(linkOptions)
  const links = createLinks({ storage, signer, maxSeconds })
  const verifier = createVerifier({ db, payloads, admission })
  const uploads = createUploads({
    db,
    storage,
    sweeper,
    payloads,
    writer,
    admission,
    signer: createUploadLinkSigner(linkOptions),
    inlineMaxBytes: config.inlineMaxBytes,
    maxSeconds,
  })
  const services = { reader, writer, payloads, verifier, links, uploads, payloadMaxBytes: config.payloadMaxBytes }
  const graphql = createGraphqlServer({ onHiddenError })
  routes.push(
    {
      path: /^\/graphql\/?$/,
      methods: createGraphqlRoute({ graphql, services, graphiql: createGraphiql() }),
      failureBody: graphqlFailure,
    },
    { path: /^\/snapshots\/([^/]+)\/payload$/, methods: createPayloadRoute({ reader, payloads, links }) },
    {
      path: /^\/runs\/([^/]+)\/steps\/([^/]+)\/snapshot$/,
      methods: createCaptureRoute({ writer, admission, basePath: pathOf(publicUrl) }),
      discardMaxBytes: REFUSED_UPLOAD_BYTES,
    },
    {
      path: /^\/uploads\/([^/]+)$/,
      methods: createUploadRoute({ uploads, admission }),
      discardMaxBytes: REFUSED_UPLOAD_BYTES,
    },
    { path: /^\/health\/live$/, methods: { GET: health.live } },
    { path: /^\/health\/ready$/, methods: { GET: health.ready } },
  )
  return {
    publicUrl,
    writer,
    async close() {
      await closeServer(server, { health, unused })
      await closeParts()
    },
  }
}

/** The storage of every command. */
export function openStorage(config: Config): Storage {
  return createStorage({
    defaultScheme: config.storageBackend === 'filesystem' ? 'file' : config.storageBackend,
    file: { root: config.storagePath },
    s3: config.s3,
    minio: config.minio,
    allowedBuckets: config.allowedBuckets,
  })
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

function dependencies(db: Database, storage: Storage, cache: ByteCache) {
  const answers = (look: Promise<void>) => look.then(() => true)
  return [
    { name: 'database', required: true, isUp: () => answers(db.check()) },
    { name: 'storage', required: true, isUp: () => answers(storage.check()) },
    { name: 'cache', required: false, isUp: () => cache.isUp() },
  ] as const
}

function linkSecrets(config: Config, log: Logger): readonly string[] {
  if (config.signedUrlSecrets.length > 0) return config.signedUrlSecrets
  log.warn('SIGNED_URL_SECRET is not set: signed links end when this process does')
  return [randomBytes(32).toString('base64url')]
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host.replaceAll(/[[\]]/g, '')}]` : host}:${port}`
}

/** What a proxy in front takes off the paths: without a trailing slash. */
function pathOf(publicUrl: string): string {
  return new URL(publicUrl).pathname.replace(/\/+$/, '')
}

/** Connections that browsers open in advance: Node takes one without a byte for one whose request is on its way. */
function trackUnused(server: Server): { close(): void } {
  const openedAt = new Map<Socket, number>()
  server.on('connection', (socket: Socket) => {
    openedAt.set(socket, performance.now())
    socket.once('close', () => openedAt.delete(socket))
  })
  return {
    close() {
      const before = performance.now() - UNUSED_MILLIS
      for (const [socket, at] of openedAt) if (at < before && socket.bytesRead === 0) socket.destroy()
    },
  }
}

interface Closing {
  readonly health: Health
  readonly unused: { close(): void }
}

/**
 * What is under way has 20 seconds; what is then left is cut. Meanwhile the server is not ready. While there is work it goes on
 * listening, 5 seconds at most, so that whoever balances the load reads just that.
 */
async function closeServer(server: Server, { health, unused }: Closing): Promise<void> {
  health.drain()
  const closed = once(server, 'close')
  const closeWhenIdle = () => {
    server.closeIdleConnections()
    unused.close()
    server.getConnections((_error, count) => count === 0 && server.close())
  }
  closeWhenIdle()
  const again = setInterval(closeWhenIdle, 20)
  const refuse = setTimeout(() => server.close(), LISTEN_ON_MILLIS)
  const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MILLIS)
  await closed
  clearInterval(again)
  clearTimeout(refuse)
  clearTimeout(cut)
}
