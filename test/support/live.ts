import assert from 'node:assert/strict'
import type { ExecutionResult } from 'graphql'
import { ANYONE, type Viewer } from '../../src/auth/viewer.ts'
import { createMemoryCache } from '../../src/cache/memory.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { createEvents, type Events, type EventsOptions } from '../../src/events/events.ts'
import type { Services } from '../../src/graphql/context.ts'
import { type EventFrame, type EventStream, isEventStream } from '../../src/graphql/event-stream.ts'
import { createGraphqlServer, type GraphqlServer, type YogaOptions } from '../../src/server/yoga.ts'
import { createMayRead } from '../../src/snapshots/may-read.ts'
import type { Policies } from '../../src/snapshots/policies.ts'
import { createReaders } from '../../src/snapshots/readers.ts'
import { createPayloads } from '../../src/snapshots/views/payloads.ts'
import { createStorage } from '../../src/storage/registry.ts'
import { storageOptions } from './objects.ts'

/** A process that watches a database, without a socket. */
export interface Live extends AsyncDisposable {
  readonly events: Events
  readonly graphql: GraphqlServer
  /** Text of every SQL statement so far, but for those that look for events. */
  readonly statements: string[]
  readonly problems: unknown[]
  /** Begins a subscription, which must succeed. It ends with the process. */
  subscribe(query: string, variables?: object, options?: { readonly after?: string }): Promise<Subscriber>
  /** Asks for one. */
  ask(query: string, variables?: object, options?: { readonly viewer?: Viewer }): Promise<ExecutionResult | EventStream>
}

export interface Subscriber {
  readonly stream: EventStream
  /** The next event, as its client reads it; undefined at the end. */
  next(): Promise<Received | undefined>
  /** Events up to and with the first one that is meant. */
  until(isMeant: (event: Received) => boolean): Promise<Received[]>
}

/** The event itself is what stands under the one key of `data`. */
export interface Received extends EventFrame {
  readonly event: Readonly<Record<string, unknown>> & { readonly __typename: string }
  readonly errors: readonly { readonly path?: readonly unknown[]; readonly extensions: { readonly code: string } }[]
}

const NO_POLICIES: Policies = new Map()

export interface LiveOptions extends Partial<EventsOptions>, Pick<YogaOptions, 'mayWatch'> {
  readonly databaseUrl: string
  readonly storagePath?: string
  /** By what states are masked; none when left out. */
  readonly policies?: () => Policies
}

export function startLive({ databaseUrl: url, storagePath = '/nowhere', mayWatch, ...options }: LiveOptions): Live {
  const { policies = () => NO_POLICIES } = options
  const statements: string[] = []
  const problems: unknown[] = []
  // An empty look is none of what is counted.
  const looked = (text: string) => void (text.includes('upto as materialized') || statements.push(text))
  const db = createDatabase({ url, onStatement: (text) => statements.push(text) })
  const watching = createDatabase({ url, maxConnections: 1, onStatement: (text) => looked(text) })
  const storage = createStorage(storageOptions({ storagePath }))
  const cache = createMemoryCache({ maxBytes: 1, maxEntryBytes: 1, ttlSeconds: 1 })
  const events = createEvents({ db, watching, onProblem: (error) => problems.push(error), ...options })
  const mayRead = createMayRead(policies)
  const readers = createReaders({ reads: { share: ({ signal }) => db.share(signal) }, mayRead })
  const payloads = createPayloads({ db, storage, cache, mayRead })
  // Subscriptions need no others.
  const services = { readers, payloads, events, policies, payloadMaxBytes: 67_108_864 } as unknown as Services
  const graphql = createGraphqlServer({ services, onHiddenError: (error) => problems.push(error), mayWatch })
  const ask: Live['ask'] = (query, variables = {}, { viewer = ANYONE } = {}) =>
    graphql.subscribe(
      { query, variables: variables as Record<string, unknown> },
      { viewer, signal: new AbortController().signal },
    )
  return {
    events,
    graphql,
    statements,
    problems,
    ask,
    async subscribe(query, variables = {}, after) {
      const asker = { viewer: ANYONE, signal: new AbortController().signal }
      const stream = await graphql.subscribe({ query, variables: variables as Record<string, unknown> }, asker, after)
      assert.ok(isEventStream(stream), JSON.stringify(stream))
      return createSubscriber(stream)
    },
    async [Symbol.asyncDispose]() {
      events.close()
      await Promise.all([db.close(), watching.close()])
      storage.close()
    },
  }
}

export function createSubscriber(stream: EventStream): Subscriber {
  const next = async () => {
    const { value } = await stream.next()
    return value && received(value)
  }
  return {
    stream,
    next,
    async until(isMeant) {
      const all: Received[] = []
      for (;;) {
        const event = await next()
        if (!event) assert.fail(`the stream ended after ${JSON.stringify(all.slice(-5).map((one) => one.event))}`)
        all.push(event)
        if (isMeant(event)) return all
      }
    },
  }
}

function received(frame: EventFrame): Received {
  const { data, errors = [] } = JSON.parse(frame.body.toString())
  const [event] = Object.values(data ?? {}) as Received['event'][]
  return { ...frame, event: event ?? { __typename: 'nothing' }, errors }
}

export const isCaughtUp = ({ event }: Received) => event.__typename === 'CaughtUp'

/** Ids of the snapshots that are told. */
export function snapshotIds(events: readonly Received[]): string[] {
  return events.flatMap(({ event }) => (event['snapshot'] as { snapshotId: string } | undefined)?.snapshotId ?? [])
}

export const RUN_EVENTS = `subscription($runId: String!, $after: String) {
  runEvents(runId: $runId, after: $after) {
    __typename
    ... on RunUpdated { cursor run { runId status } }
    ... on StepUpdated { cursor step { stepId status } }
    ... on SnapshotCaptured { cursor snapshot { snapshotId seq stepId } }
    ... on CaughtUp { cursor }
    ... on RunEnded { cursor run { status } }
  }
}`
