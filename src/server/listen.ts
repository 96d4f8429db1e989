import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { breakOff, knowsChunks } from './connection.ts'
import { hostInUrl } from './hosts.ts'
import { isUpgrade, type UpgradeListener } from './upgrade.ts'

export interface ListenOptions {
  readonly port: number
  readonly host: string
  /** How long a connection that nothing is asked on stays open: longer than whoever stands in front keeps it for its next request. */
  readonly keepAliveMillis: number
  /** Most connections at once; 2000 when left out. */
  readonly connectionsMax?: number | undefined
  /** Takes over the connections of those who ask for a WebSocket; without it they are answered as anybody. */
  readonly onUpgrade?: UpgradeListener | undefined
}

export interface Listener {
  /** `http://host:port` of where it listens. */
  readonly url: string
  readonly port: number
  /** Lets what is under way end for a while, and cuts what is left then. Resolves when every connection is closed. */
  close(options?: CloseOptions): Promise<void>
}

export interface CloseOptions {
  /** How long new connections are taken although nothing is under way, so that whoever balances the load can read that this ends. */
  readonly listenOnMillis?: number
  /** How long what is under way may take; when left out 20 seconds, and as much more as `listenOnMillis` is above 5. */
  readonly drainMillis?: number
}

/** While something is under way it goes on listening for so long. */
const LISTEN_ON_MILLIS = 5000
const DRAIN_MILLIS = 20_000
/** A request that comes with its connection has come by then. */
const UNUSED_MILLIS = 1000
/** Of one server. */
export const CONNECTIONS_MAX = 2000
/** From this part of them on, those that nothing is asked on make room. */
const CROWDED = 0.9

/** Limits of connections and heads. Uploads take as long as they take: whoever reads a body has a limit of its own for it. */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 0,
  connectionsCheckingInterval: 2000,
  maxHeaderSize: 16_384,
  /** Of what goes out and has not left, and of what comes in and is not asked for: a piece of a stream is more. */
  highWaterMark: 16_384,
}

/** @throws what the system says when it cannot listen there. */
export async function listen(
  onRequest: RequestListener,
  { port, host, keepAliveMillis, connectionsMax = CONNECTIONS_MAX, onUpgrade }: ListenOptions,
): Promise<Listener> {
  const shouldUpgradeCallback = (request: IncomingMessage) => onUpgrade !== undefined && isUpgrade(request)
  const server = createServer({ ...LIMITS, keepAliveTimeout: keepAliveMillis, shouldUpgradeCallback }, onRequest)
  server.on('checkContinue', onRequest)
  if (onUpgrade) server.on('upgrade', onUpgrade)
  server.maxConnections = connectionsMax
  // A worker with too many would have them handed to it again and again.
  Object.assign(server, { dropMaxConnection: true })
  server.maxRequestsPerSocket = 1000
  const connections = trackConnections(server, CROWDED * connectionsMax)
  server.listen(port, host)
  await once(server, 'listening')
  const { port: listenedOn } = server.address() as AddressInfo
  return {
    url: `http://${hostInUrl(host)}:${listenedOn}`,
    port: listenedOn,
    close: (closing) => closeServer(server, connections, closing),
  }
}

interface Connections {
  count(): number
  /** Of connections that browsers open in advance: Node takes one without a byte for one whose request is on its way. */
  closeUnused(): void
  /** Cuts all of them; no answer that is under way looks whole by it. */
  cut(): void
}

function trackConnections(server: Server, crowded: number): Connections {
  const openedAt = new Map<Socket, number>()
  /** The last one of each connection to whom the end of it may be the end of the answer. */
  const answersOfOldPeers = new Map<Socket, ServerResponse>()
  server.on('connection', (socket: Socket) => {
    openedAt.set(socket, performance.now())
    socket.once('close', () => {
      openedAt.delete(socket)
      answersOfOldPeers.delete(socket)
    })
    if (openedAt.size > crowded) server.closeIdleConnections()
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!knowsChunks(request)) answersOfOldPeers.set(request.socket, response)
  })
  return {
    count: () => openedAt.size,
    closeUnused() {
      const before = performance.now() - UNUSED_MILLIS
      for (const [socket, at] of openedAt) if (at < before && socket.bytesRead === 0) socket.destroy()
    },
    cut() {
      for (const response of answersOfOldPeers.values()) if (!response.writableFinished) breakOff(response)
      server.closeAllConnections()
      // Of those that became WebSockets it knows nothing any more.
      for (const socket of openedAt.keys()) socket.destroy()
    },
  }
}

async function closeServer(
  server: Server,
  connections: Connections,
  {
    listenOnMillis = 0,
    drainMillis = DRAIN_MILLIS + Math.max(0, listenOnMillis - LISTEN_ON_MILLIS),
  }: CloseOptions = {},
): Promise<void> {
  const closed = once(server, 'close')
  const toldAt = performance.now()
  const closeWhenIdle = () => {
    // Until then a request may be on its way on any of them: its answer says that it was the last one.
    if (performance.now() - toldAt < listenOnMillis) return
    server.closeIdleConnections()
    connections.closeUnused()
    if (connections.count() === 0) server.close()
  }
  closeWhenIdle()
  const again = setInterval(closeWhenIdle, 20)
  const refuse = setTimeout(() => server.close(), Math.max(listenOnMillis, LISTEN_ON_MILLIS))
  const cut = setTimeout(() => connections.cut(), drainMillis)
  await closed
  clearInterval(again)
  clearTimeout(refuse)
  clearTimeout(cut)
}
