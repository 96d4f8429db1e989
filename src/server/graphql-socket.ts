import type { GraphQLError } from 'graphql'
import { CloseCode, type Message, MessageType, parseMessage, type SubscribePayload } from 'graphql-ws'
import type { GraphQLParams } from 'graphql-yoga'
import type { RawData, WebSocket } from 'ws'
import type { Authenticate } from '../auth/authenticate.ts'
import { requireKnown, requireNoLess, type Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { toWire } from '../graphql/answer-text.ts'
import type { Asker } from '../graphql/context.ts'
import { type EventStream, isEventStream } from '../graphql/event-stream.ts'
import { isSubscription, requireParams } from './graphql-request.ts'
import type { RateLimit } from './rate-limit.ts'
import type { RequestContext } from './request.ts'
import { BEHIND_BYTES, GOING_AWAY, watchSocket } from './socket-watch.ts'
import { type Streams, whoAsks } from './streams.ts'
import type { TrustedDocuments } from './trusted-documents.ts'
import type { GraphqlServer } from './yoga.ts'

export interface GraphqlSocketOptions {
  readonly graphql: GraphqlServer
  readonly streams: Streams
  /** Tells who connects; undefined: nobody is asked. */
  readonly authenticate?: Authenticate | undefined
  /** The operations that may run, as they are now; undefined: any. */
  readonly documents?: (() => TrustedDocuments) | undefined
  /** How much each viewer may ask for: a subscription costs what a request does. Undefined: as much as he wants. */
  readonly rateLimit?: RateLimit | undefined
}

/** Whoever asks without reading the answers is cut here. */
const UNREAD_MAX_BYTES = 1_048_576

/** A subscription that has begun, or is about to. */
interface Running {
  end(): void
}

/**
 * Serves subscriptions on a connection, by the protocol `graphql-transport-ws`: graphql-ws reads its messages, and frames go out as the
 * text that they are. What only has one answer goes by HTTP.
 * @see https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md
 */
export function serveSocket(socket: WebSocket, context: RequestContext, options: GraphqlSocketOptions): void {
  const { streams, authenticate } = options
  const running = new Map<string, Running>()
  let viewer: Viewer | undefined
  let recheck: Asker['recheck']
  let isGreeted = false
  let forget = () => {}
  const watch = watchSocket(socket, context.request.socket, { limits: streams.limits, isUsed: () => running.size > 0 })
  const late = setTimeout(
    () => socket.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout'),
    streams.limits.initMillis,
  )

  function endAll(): void {
    for (const one of running.values()) one.end()
  }

  /** Nothing more is sent, whenever the other side says that it closes too. */
  function end(): void {
    endAll()
    socket.close(GOING_AWAY, 'Come back')
  }

  async function greet(payload: unknown): Promise<void> {
    if (isGreeted) return void socket.close(CloseCode.TooManyInitialisationRequests, 'Too many initialisation requests')
    isGreeted = true
    clearTimeout(late)
    const recognize = () => viewerOf(payload, context, authenticate)
    const found = await recognize().catch(() => undefined)
    if (!found) return void socket.close(CloseCode.Forbidden, 'Forbidden')
    viewer = found
    context.told.viewer = found
    recheck = async () => requireNoLess(found, await recognize())
    if (socket.readyState !== socket.OPEN) return
    forget = streams.tend({ look: watch.look, end })
    say(socket, { type: MessageType.ConnectionAck })
    if (context.draining.aborted) end()
  }

  function begin(id: string, payload: SubscribePayload): void {
    if (viewer === undefined) return void socket.close(CloseCode.Unauthorized, 'Unauthorized')
    if (running.has(id)) return void socket.close(CloseCode.SubscriberAlreadyExists, 'Subscriber already exists')
    const { query, variables, operationName, extensions } = payload
    const params = {
      query,
      variables: variables ?? undefined,
      operationName: operationName ?? undefined,
      extensions: extensions ?? undefined,
    }
    subscribe({ ...options, socket, context, viewer, recheck, id, params, running }).catch(() => socket.terminate())
  }

  socket.on('message', (data, isBinary) => {
    watch.heard()
    // It reads nothing of what it has asked for.
    if (socket.bufferedAmount > UNREAD_MAX_BYTES) return void socket.terminate()
    const message = readMessage(data, isBinary)
    if (message?.type === MessageType.ConnectionInit) greet(message.payload).catch(() => socket.terminate())
    else if (message?.type === MessageType.Subscribe) begin(message.id, message.payload)
    else if (message?.type === MessageType.Complete) running.get(message.id)?.end()
    else if (message?.type === MessageType.Ping) say(socket, { ...message, type: MessageType.Pong })
    else if (message?.type !== MessageType.Pong) socket.close(CloseCode.BadRequest, 'Invalid message')
  })
  // What is wrong shows in how it is closed.
  socket.on('error', () => {})
  socket.once('close', () => {
    clearTimeout(late)
    forget()
    endAll()
  })
}

/**
 * Who asks: by the header `Authorization` of the connection, or by what clients that cannot set it send with `connection_init`, as
 * `authorization`, in any case, or among its `headers`.
 */
async function viewerOf(
  payload: unknown,
  { viewer, request }: RequestContext,
  authenticate: Authenticate | undefined,
): Promise<Viewer> {
  if (!authenticate) return viewer
  const { headers, socket } = request
  const authorization = authorizationIn(payload) ?? headers.authorization
  const found = await authenticate({ authorization, address: socket.remoteAddress ?? '', request })
  requireKnown(found)
  return found
}

function authorizationIn(payload: unknown): string | undefined {
  if (typeof payload !== 'object' || payload === null) return undefined
  const entries = Object.entries(payload)
  const [, value] = entries.find(([name]) => name.toLowerCase() === 'authorization') ?? []
  if (typeof value === 'string') return value
  const [, nested] = entries.find(([name]) => name === 'headers') ?? []
  return nested === undefined ? undefined : authorizationIn(nested)
}

interface Subscription extends GraphqlSocketOptions {
  readonly socket: WebSocket
  readonly context: RequestContext
  readonly viewer: Viewer
  readonly id: string
  readonly recheck: Asker['recheck']
  readonly params: GraphQLParams
  readonly running: Map<string, Running>
}

async function subscribe(subscription: Subscription): Promise<void> {
  const { graphql, streams, documents, rateLimit, socket, context, viewer, recheck, id, running } = subscription
  const left = new AbortController()
  let stream: EventStream | undefined
  let leave: (() => void) | undefined
  const sent = { bytes: 0 }
  let charge: ((bytes: number) => void) | undefined
  const one: Running = {
    end() {
      running.delete(id)
      left.abort()
      stream?.return()
    },
  }
  running.set(id, one)
  try {
    charge = await rateLimit?.({ viewer, request: context.request, response: context.response })
    const params = requireParams(subscription.params, documents?.())
    if (!isSubscription(params))
      throw new AppError('BAD_REQUEST', 'Subscriptions alone go by WebSocket: POST the others')
    leave = await streams.enter(whoAsks(viewer, context.request.socket.remoteAddress))
    const result = await graphql.subscribe(params, { viewer, signal: left.signal, recheck })
    if (!isEventStream(result)) return fail(socket, id, result.errors ?? [])
    stream = result
    if (left.signal.aborted) stream.return()
    const isComplete = await pass(stream, { socket, id, sent })
    if (left.signal.aborted) return
    if (isComplete) say(socket, { id, type: MessageType.Complete })
    else socket.close(GOING_AWAY, 'Come back')
  } catch (error) {
    if (!left.signal.aborted) fail(socket, id, [graphql.maskError(error)])
  } finally {
    leave?.()
    charge?.(sent.bytes)
    one.end()
  }
}

interface Way {
  readonly socket: WebSocket
  readonly id: string
  /** Counts what goes out. */
  readonly sent: { bytes: number }
}

/** Sends its frames, as fast as the client takes them. @returns whether the last one was among them. */
async function pass(stream: EventStream, { socket, id, sent }: Way): Promise<boolean> {
  const head = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`)
  for (let next = await stream.next(); !next.done; next = await stream.next()) {
    const message = Buffer.concat([head, next.value.body, END])
    sent.bytes += message.length
    if (socket.bufferedAmount < BEHIND_BYTES) socket.send(message, { binary: false })
    else await new Promise((resolve) => socket.send(message, { binary: false }, resolve))
    if (next.value.isLast) return true
    if (socket.readyState !== socket.OPEN) return false
  }
  return false
}

const END = Buffer.from('}')

function fail(socket: WebSocket, id: string, errors: readonly GraphQLError[]): void {
  say(socket, { id, type: 'error', payload: errors.map(toWire) })
}

function say(socket: WebSocket, message: object): void {
  socket.send(JSON.stringify(message))
}

function readMessage(data: RawData, isBinary: boolean): Message | undefined {
  try {
    return isBinary ? undefined : parseMessage(data.toString())
  } catch {
    return undefined
  }
}
