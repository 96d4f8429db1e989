import type { AppOptions } from './app.ts'
import { type Built, noteWriteOf } from './app-services.ts'
import type { Viewer } from './auth/viewer.ts'
import type { Database } from './db/connect.ts'
import { CAPTURE_PATH, createCaptureRoute } from './server/capture-route.ts'
import { createDiffRoute } from './server/diff-route.ts'
import { createExplorerRoutes } from './server/explorer-route.ts'
import { createGraphiql } from './server/graphiql.ts'
import { createGraphqlRoute, graphqlFailure } from './server/graphql-route.ts'
import type { GraphqlSocketOptions } from './server/graphql-socket.ts'
import { createHealth, type Dependency } from './server/health.ts'
import type { Route } from './server/http.ts'
import { createMetricsRoute } from './server/metrics-route.ts'
import { createOtlpRoute, otlpFailure } from './server/otlp-route.ts'
import { paceOfSenders } from './server/pace.ts'
import { createPayloadRoute } from './server/payload-route.ts'
import { createUploadRoute } from './server/upload-route.ts'
import { createValueRoute } from './server/value-route.ts'
import { changesFor } from './snapshots/authorize.ts'

export const GRAPHQL_PATH = /^\/graphql\/?$/
/** Of an upload that is refused, so much is still read before the connection ends. */
const REFUSED_UPLOAD_BYTES = 16 * 1_048_576
/** Over all that is asked and tried again until an answer begins: long enough to check a large object of another writer first. */
const HEAD_MILLIS = 120_000

/** What is answered where: the first path that fits. */
export function createRoutes(
  built: Built & GraphqlSocketOptions,
  options: AppOptions,
  stopping: AbortSignal,
): readonly Route[] {
  const { readers, writer, payloads, parts, links, uploads, basePath, graphql, streams, documents } = built
  const { telemetry, collected } = built
  const { config, authorize } = options
  const health = createHealth(dependencies(built, options), stopping)
  const writing = {
    writer,
    writerFor: authorize && ((viewer: Viewer) => changesFor(built, authorize, viewer).writer),
    noteWrite: noteWriteOf(built),
  }
  const senders = paceOfSenders(config.transferMinBytesPerSecond)
  return [
    {
      name: '/graphql',
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
      name: '/snapshots/{snapshotId}/payload',
      path: /^\/snapshots\/([^/]+)\/payload$/,
      methods: createPayloadRoute({ readers, payloads, links, telemetry }),
      needs: 'nothing',
      headMillis: HEAD_MILLIS,
    },
    {
      name: '/snapshots/{snapshotId}/value',
      path: /^\/snapshots\/([^/]+)\/value$/,
      methods: createValueRoute({ readers, parts, links, telemetry }),
      needs: 'nothing',
      headMillis: HEAD_MILLIS,
    },
    {
      name: '/snapshots/{snapshotId}/diff',
      path: /^\/snapshots\/([^/]+)\/diff$/,
      methods: createDiffRoute({ readers, parts, telemetry }),
      headMillis: HEAD_MILLIS,
    },
    {
      name: '/runs/{runId}/steps/{stepId}/snapshot',
      path: CAPTURE_PATH,
      methods: createCaptureRoute({
        ...writing,
        senders,
        wholeMaxBytes: config.inlineMaxBytes,
        basePath,
      }),
      needs: 'write',
      discardMaxBytes: REFUSED_UPLOAD_BYTES,
    },
    {
      name: '/uploads/{uploadId}',
      path: /^\/uploads\/([^/]+)$/,
      methods: createUploadRoute({ uploads, senders }),
      // Its link is its sender's only right.
      needs: 'nothing',
      discardMaxBytes: REFUSED_UPLOAD_BYTES,
    },
    {
      name: '/v1/traces',
      path: /^\/v1\/traces$/,
      methods: createOtlpRoute({
        ...writing,
        batches: built.admission.batches,
        maxBytes: config.payloadMaxBytes,
      }),
      failureAnswer: otlpFailure,
      needs: 'write',
      discardMaxBytes: REFUSED_UPLOAD_BYTES,
    },
    ...(config.explorer ? createExplorerRoutes() : []),
    {
      name: '/health/live',
      path: /^\/health\/live$/,
      methods: { GET: health.live, HEAD: health.live },
      needs: 'nothing',
      isForAnyHost: true,
    },
    {
      name: '/health/ready',
      path: /^\/health\/ready$/,
      methods: { GET: health.ready, HEAD: health.ready },
      needs: 'nothing',
      isForAnyHost: true,
    },
    {
      name: '/metrics',
      path: /^\/metrics$/,
      methods: createMetricsRoute(collected),
      needs: 'admin',
      isForAnyHost: 'by token',
    },
  ]
}

function dependencies(
  { db, reads, storage, cache }: Built,
  { isMigrated = () => true }: AppOptions,
): readonly Dependency[] {
  return [
    { name: 'database', required: true, isUp: async () => isMigrated() && (await takesWrites(db)) },
    ...lookAtStandby(reads),
    { name: 'storage', required: true, isUp: () => answers(storage.check()) },
    { name: 'cache', required: false, isUp: () => cache.isUp() },
  ]
}

/** Where it cannot be read the primary is: nobody is sent away for it. */
function lookAtStandby({ standby }: Built['reads']): readonly Dependency[] {
  if (!standby) return []
  const figures = () => ({
    standbyLagSeconds: standby.lagSeconds === null ? null : Number(standby.lagSeconds.toFixed(1)),
  })
  const isUp = async () => (standby.state === 'behind' ? 'behind' : standby.state === 'up')
  return [{ name: 'standby', required: false, isUp, figures }]
}

async function takesWrites(db: Database): Promise<true | 'read-only'> {
  const { isReadOnly } = await db.check()
  return isReadOnly ? 'read-only' : true
}

async function answers(look: Promise<unknown>): Promise<boolean> {
  await look
  return true
}
