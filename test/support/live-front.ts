import { once } from 'node:events'
import { createFailureLog } from '../../src/failure-log.ts'
import type { EventFrame, EventStream, SubscribeOptions } from '../../src/graphql/event-stream.ts'
import { createErrorMask } from '../../src/graphql/mask-error.ts'
import { createLogger, type Logger } from '../../src/log.ts'
import { createCors } from '../../src/server/cors.ts'
import { createGraphqlRoute, graphqlFailure } from '../../src/server/graphql-route.ts'
import { serveSocket } from '../../src/server/graphql-socket.ts'
import { createHosts } from '../../src/server/hosts.ts'
import { createFront } from '../../src/server/http.ts'
import { listen } from '../../src/server/listen.ts'
import { paceOfReaders } from '../../src/server/pace.ts'
import { createStreams, type StreamsOptions } from '../../src/server/streams.ts'
import { createUpgradeFront } from '../../src/server/upgrade.ts'
import type { GraphqlServer } from '../../src/server/yoga.ts'

/** A subscription whose events a test sends itself. */
export interface HandStream {
  /** What it was asked to go on after: by the wire, or by its variables. */
  readonly after: string | undefined
  readonly isOpen: boolean
  /** Resolves once nobody reads it any more. */
  readonly ended: Promise<void>
  /** Frames that were taken. */
  readonly taken: number
  send(frame: EventFrame): void
  /** As the server does when it lets go of it. */
  end(): void
}

export interface LiveFront extends AsyncDisposable {
  readonly url: string
  /** All subscriptions, in the order in which they came. */
  readonly streams: readonly HandStream[]
  /** The next subscription that comes, or came and was not asked for. */
  subscribed(): Promise<HandStream>
  drain(): void
}

export interface LiveFrontOptions extends Omit<StreamsOptions, 'draining'> {
  readonly corsOrigins?: readonly string[]
  /** What refuses every subscription. */
  readonly refuse?: (() => Error | undefined) | undefined
  readonly log?: Logger
}

export function frameOf(cursor: string, value: unknown, isLast = false): EventFrame {
  return { cursor, body: Buffer.from(JSON.stringify({ data: { runEvents: value } })), isLast }
}

/** The ways of events to a client, as the server has them, before subscriptions that a test fills by hand. */
export async function serveLive(options: LiveFrontOptions = {}): Promise<LiveFront> {
  const { corsOrigins = [], refuse, log = createLogger({ level: 'silent' }), ...limits } = options
  const drain = new AbortController()
  const draining = drain.signal
  const hand = createHand(refuse)
  const streams = createStreams({ ...limits, draining })
  const front = {
    log,
    failures: createFailureLog(),
    logRequests: true,
    cors: createCors(corsOrigins),
    hosts: createHosts({ host: '127.0.0.1' }),
    draining,
  }
  const path = /^\/graphql$/
  const methods = createGraphqlRoute({ graphql: hand.graphql, streams, graphiql: undefined })
  const onRequest = createFront({
    ...front,
    routes: [{ path, methods, failureAnswer: graphqlFailure }],
    readers: paceOfReaders(65_536),
  })
  const onUpgrade = createUpgradeFront({
    ...front,
    path,
    publicUrl: () => listener.url,
    serve: (socket, context) => serveSocket(socket, context, { graphql: hand.graphql, streams }),
  })
  const listener = await listen(onRequest, { port: 0, host: '127.0.0.1', keepAliveMillis: 5000, onUpgrade })
  return {
    url: listener.url,
    streams: hand.streams,
    subscribed: hand.subscribed,
    drain: () => drain.abort(),
    [Symbol.asyncDispose]: () => listener.close({ drainMillis: 0 }),
  }
}

function createHand(refuse: LiveFrontOptions['refuse']) {
  const streams: (HandStream & EventStream)[] = []
  const came = new EventTarget()
  let given = 0
  const maskError = createErrorMask(() => {})
  const graphql: GraphqlServer = {
    maskError,
    execute: async () => ({ data: { hello: 'world' } }),
    async subscribe({ variables }, { signal }, { after }: SubscribeOptions = {}) {
      signal.throwIfAborted()
      const failure = refuse?.()
      if (failure) return { errors: [maskError(failure)] }
      const stream = createHandStream(after ?? (variables?.['after'] as string | undefined))
      streams.push(stream)
      came.dispatchEvent(new Event('stream'))
      return stream
    },
  }
  async function subscribed(): Promise<HandStream> {
    for (;;) {
      const stream = streams[given]
      if (stream) {
        given += 1
        return stream
      }
      await once(came, 'stream')
    }
  }
  return { graphql, streams, subscribed }
}

function createHandStream(after: string | undefined): HandStream & EventStream {
  const frames: EventFrame[] = []
  const over = Promise.withResolvers<void>()
  let waiting: ((result: IteratorResult<EventFrame, undefined>) => void) | undefined
  let isOpen = true
  let taken = 0
  const done = { done: true, value: undefined } as const
  const give = () => {
    const value = isOpen ? frames.shift() : undefined
    if (isOpen && value === undefined) return
    waiting?.(value === undefined ? done : { done: false, value })
    if (waiting && value) taken += 1
    waiting = undefined
  }
  const stream = {
    after,
    ended: over.promise,
    get isOpen() {
      return isOpen
    },
    get taken() {
      return taken
    },
    send(frame: EventFrame) {
      frames.push(frame)
      if (waiting) give()
    },
    end() {
      isOpen = false
      give()
    },
    next: () =>
      new Promise<IteratorResult<EventFrame, undefined>>((resolve) => {
        waiting = resolve
        give()
      }),
    async return() {
      isOpen = false
      give()
      over.resolve()
      return done
    },
    [Symbol.asyncIterator]: () => stream,
  }
  return stream
}
