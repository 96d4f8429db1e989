import { fastify } from 'fastify'
import type { GraphQLResolveInfo } from 'graphql'
import mercurius from 'mercurius'
import { listen, setting } from '../lib/listen.ts'
import { SCHEMA, wantsPayload } from '../lib/peer-schema.ts'
import { createPeerStore, type RunRow, runCursor, type StepKey, stepCursor, toConnection } from '../lib/peer-store.ts'

/*
 * Mercurius as its documentation recommends for speed: compiled queries (`jit: 1`), its own loaders for what lies below a list,
 * without their cache, "to avoid the serialization"; no logger, no IDE.
 */
const store = createPeerStore(setting('DATABASE_URL'))
const identity = (value: unknown) => value
const scalar = { serialize: identity, parseValue: identity }

interface RunsArgs {
  readonly filter?: { readonly workflowName?: string | null } | null
  readonly first: number
  readonly after?: string | null
}

const app = fastify()
app.register(mercurius, {
  schema: SCHEMA,
  jit: 1,
  graphiql: false,
  resolvers: {
    DateTime: scalar,
    BigInt: scalar,
    JSON: scalar,
    Query: {
      run: (_root: unknown, { runId }: { runId: string }) => store.run(runId),
      async runs(_root: unknown, { filter, first, after = null }: RunsArgs) {
        const rows = await store.runs({ workflowName: filter?.workflowName ?? null, first, after })
        return toConnection(rows, first, runCursor)
      },
      async snapshot(_root: unknown, key: StepKey, _context: unknown, info) {
        const [snapshot] = await store.snapshots([key], wantsPayload(info) ? 'with payload' : 'without payload')
        return snapshot
      },
    },
    Mutation: {
      createState: (_root: unknown, state: StepKey & { readonly state: unknown }) => store.createState(state),
    },
  } as mercurius.IResolvers,
  loaders: {
    Run: {
      steps: {
        async loader(queries) {
          const first = Math.max(...queries.map(({ params }) => params.first))
          const lists = await store.steps(
            queries.map(({ obj }: { obj: RunRow }) => obj.runId),
            first,
          )
          return lists.map((rows, i) => toConnection(rows, queries[i]?.params.first, stepCursor))
        },
        opts: { cache: false },
      },
    },
    Step: {
      snapshot: {
        loader(queries) {
          const payload = queries.some((query) => 'info' in query && wantsPayload(query.info as GraphQLResolveInfo))
          return store.snapshots(
            queries.map(({ obj }) => obj),
            payload ? 'with payload' : 'without payload',
          )
        },
        opts: { cache: false },
      },
    },
  },
})
await app.ready()
await listen(app.server)
