import { ApolloServer } from '@apollo/server'
import { ApolloServerPluginCacheControlDisabled } from '@apollo/server/plugin/disabled'
import { fastifyApolloDrainPlugin, fastifyApolloHandler } from '@as-integrations/fastify'
import DataLoader from 'dataloader'
import { fastify } from 'fastify'
import type { GraphQLResolveInfo } from 'graphql'
import { listen, setting } from '../lib/listen.ts'
import { SCHEMA, wantsPayload } from '../lib/peer-schema.ts'
import {
  createPeerStore,
  type RunRow,
  runCursor,
  type SnapshotRow,
  type StepKey,
  type StepRow,
  stepCursor,
  toConnection,
} from '../lib/peer-store.ts'

/*
 * Apollo Server behind Fastify, with a DataLoader a request for what lies below a list. Its documentation says to turn off the
 * cache control plugin where no cache hints are used, as it looks at every field.
 */
const store = createPeerStore(setting('DATABASE_URL'))

interface Loaders {
  readonly steps: DataLoader<{ readonly runId: string; readonly first: number }, StepRow[]>
  readonly metadata: DataLoader<StepKey, SnapshotRow | null>
  readonly payloads: DataLoader<StepKey, SnapshotRow | null>
}

// Each key of these queries is asked for once a request: remembering it would cost and gain nothing.
const UNCACHED = { cache: false }

function createLoaders(): Loaders {
  return {
    steps: new DataLoader(
      (keys) =>
        store.steps(
          keys.map(({ runId }) => runId),
          Math.max(...keys.map(({ first }) => first)),
        ),
      UNCACHED,
    ),
    metadata: new DataLoader((keys) => store.snapshots(keys, 'without payload'), UNCACHED),
    payloads: new DataLoader((keys) => store.snapshots(keys, 'with payload'), UNCACHED),
  }
}

function loadSnapshot(key: StepKey, loaders: Loaders, info: GraphQLResolveInfo): Promise<SnapshotRow | null> {
  return (wantsPayload(info) ? loaders.payloads : loaders.metadata).load(key)
}

interface RunsArgs {
  readonly filter?: { readonly workflowName?: string | null } | null
  readonly first: number
  readonly after?: string | null
}

const app = fastify()
const apollo = new ApolloServer<Loaders>({
  typeDefs: SCHEMA,
  introspection: false,
  plugins: [ApolloServerPluginCacheControlDisabled(), fastifyApolloDrainPlugin(app)],
  resolvers: {
    Query: {
      run: (_root: unknown, { runId }: { runId: string }) => store.run(runId),
      async runs(_root: unknown, { filter, first, after = null }: RunsArgs) {
        const rows = await store.runs({ workflowName: filter?.workflowName ?? null, first, after })
        return toConnection(rows, first, runCursor)
      },
      snapshot: (_root: unknown, key: StepKey, loaders, info) => loadSnapshot(key, loaders, info),
    },
    Run: {
      steps: async ({ runId }: RunRow, { first }: { first: number }, loaders) =>
        toConnection(await loaders.steps.load({ runId, first }), first, stepCursor),
    },
    Step: { snapshot: (step: StepRow, _args: unknown, loaders, info) => loadSnapshot(step, loaders, info) },
  },
})
await apollo.start()
app.route({
  url: '/graphql',
  method: ['GET', 'POST'],
  handler: fastifyApolloHandler(apollo, { context: async () => createLoaders() }),
})
await app.ready()
await listen(app.server)
