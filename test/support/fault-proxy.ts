import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Bytes in flight per direction before the sender is held back. */
const WINDOW_BYTES = 1024 * 1024

type Direction = 'requests' | 'replies'

/** A TCP proxy on loopback. Faults add up, hold for open and new connections alike, and last until `heal`. */
export interface FaultProxy extends AsyncDisposable {
  readonly host: '127.0.0.1'
  readonly port: number
  /** Connections accepted since the start. */
  readonly connections: number
  /** Clients connected now. */
  readonly openSockets: number
  /** New connections get ECONNREFUSED; open ones live on. */
  refuse(): Promise<void>
  /** Delays every chunk by so much in each direction. */
  latency(milliseconds: number): void
  /** Limits each direction of each connection. */
  bandwidth(bytesPerSecond: number): void
  /** Holds all bytes, or only the replies, back as a dead network does: `heal` lets them through, `resetNow` loses them. */
  blackhole(direction?: 'both' | 'replies'): void
  /** Resets every open connection on both sides; new ones are served. */
  resetNow(): void
  /** Ends each connection after so many more bytes of its replies. */
  limitData(bytes: number, end: 'rst' | 'fin'): void
  heal(): Promise<void>
}

interface Faults {
  latencyMs: number
  bytesPerSecond: number
  blackhole: 'none' | 'both' | 'replies'
}

interface Connection {
  /** Bytes of replies still to pass, and how the connection ends after them. */
  limit: { bytes: number; readonly end: 'rst' | 'fin' } | null
  reset(): void
  finish(): void
}

interface State {
  readonly faults: Faults
  readonly connections: Set<Connection>
  /** Resolves when the faults change. */
  changed: PromiseWithResolvers<void>
}

const NO_FAULTS: Faults = { latencyMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY, blackhole: 'none' }

/** Starts a proxy in front of `target`. Dispose it to close its port and all that is open. */
export async function startFaultProxy(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
  const state: State = { faults: { ...NO_FAULTS }, connections: new Set(), changed: Promise.withResolvers() }
  let accepted = 0
  let limit: Connection['limit'] = null
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    accepted += 1
    const connection = join(client, connect({ ...target, allowHalfOpen: true, noDelay: true }), state)
    if (limit) connection.limit = { ...limit }
  })
  const port = await listen(server, 0)
  const change = (faults: Partial<Faults>) => {
    Object.assign(state.faults, faults)
    state.changed.resolve()
    state.changed = Promise.withResolvers()
  }
  const resetNow = () => {
    for (const connection of state.connections) connection.reset()
  }
  return {
    host: '127.0.0.1',
    port,
    get connections() {
      return accepted
    },
    get openSockets() {
      return state.connections.size
    },
    refuse: async () => void server.close(),
    latency: (latencyMs) => change({ latencyMs }),
    bandwidth: (bytesPerSecond) => change({ bytesPerSecond }),
    blackhole: (direction = 'both') => change({ blackhole: direction }),
    resetNow,
    limitData(bytes, end) {
      limit = { bytes, end }
      for (const connection of state.connections) connection.limit = { bytes, end }
    },
    async heal() {
      limit = null
      for (const connection of state.connections) connection.limit = null
      change(NO_FAULTS)
      if (!server.listening) await listen(server, port)
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      resetNow()
      change(NO_FAULTS)
      await closed
    },
  }
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1')
  // It takes its listeners away again: a server may listen many times.
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

function join(client: Socket, upstream: Socket, state: State): Connection {
  const sockets = [client, upstream]
  const connection: Connection = {
    limit: null,
    reset() {
      for (const socket of sockets) reset(socket)
    },
    finish() {
      client.end()
      upstream.destroy()
    },
  }
  state.connections.add(connection)
  client.once('close', () => state.connections.delete(connection))
  forward({ from: client, to: upstream, direction: 'requests', connection, state })
  forward({ from: upstream, to: client, direction: 'replies', connection, state })
  return connection
}

/** libuv cannot reset a socket that is being shut down: Node would lose its handle, and spin for ever when the process ends. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

interface Stream {
  readonly from: Socket
  readonly to: Socket
  readonly direction: Direction
  readonly connection: Connection
  readonly state: State
}

/** Chunks wait out their latency side by side, and leave one after the other. */
function forward(stream: Stream): void {
  const { from, to, connection, state } = stream
  let inFlight = 0
  let tail: Promise<void> = Promise.resolve()
  const enqueue = (step: () => Promise<void>) => {
    const due = Promise.all([tail, state.faults.latencyMs > 0 ? delay(state.faults.latencyMs) : undefined])
    tail = due.then(step)
  }
  from.on('data', (chunk: Buffer) => {
    inFlight += chunk.length
    if (inFlight > WINDOW_BYTES) from.pause()
    enqueue(async () => {
      await pass(stream, chunk)
      inFlight -= chunk.length
      if (inFlight <= WINDOW_BYTES) from.resume()
    })
  })
  // One side that breaks breaks the other, in the same way.
  from.on('error', () => void passable(stream).then(connection.reset))
  from.once('end', () =>
    enqueue(async () => {
      await passable(stream)
      to.end()
    }),
  )
}

async function pass(stream: Stream, chunk: Buffer): Promise<void> {
  for (let rest = chunk; rest.length > 0; ) {
    await passable(stream)
    const { bytesPerSecond } = stream.state.faults
    // Twenty slices a second, so that a slow line trickles instead of bursting.
    const slice = Number.isFinite(bytesPerSecond) ? rest.subarray(0, Math.ceil(bytesPerSecond / 20)) : rest
    if (Number.isFinite(bytesPerSecond)) {
      await delay((slice.length / bytesPerSecond) * 1000)
      await passable(stream)
    }
    if (!(await write(stream, slice))) return
    rest = rest.subarray(slice.length)
  }
}

/** Resolves when nothing holds this direction back any more, or when there is nobody left to write to. */
async function passable({ state, direction, to }: Stream): Promise<void> {
  const closed = () => to.destroyed
  const held = () => state.faults.blackhole === 'both' || state.faults.blackhole === direction
  while (held() && !closed()) await state.changed.promise
}

/** False when the connection came to its end. */
async function write({ to, direction, connection }: Stream, slice: Buffer): Promise<boolean> {
  const { limit } = connection
  const allowed = direction === 'replies' && limit ? slice.subarray(0, limit.bytes) : slice
  if (to.destroyed) return false
  if (allowed.length > 0) await new Promise<void>((resolve) => to.write(allowed, () => resolve()))
  if (direction === 'requests' || !limit) return true
  limit.bytes -= allowed.length
  if (limit.bytes > 0) return true
  if (limit.end === 'rst') connection.reset()
  else connection.finish()
  return false
}
