import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { takenByKernel } from './connection.ts'
import type { StreamLimits } from './streams.ts'

/** A client that is told so comes back, with its subscriptions. */
export const GOING_AWAY = 1001
/** Above this a client is behind: what comes next waits until it has taken some. */
export const BEHIND_BYTES = 65_536
/** How long a connection may be open on which nothing is asked. */
const UNUSED_MILLIS = 60_000

export interface SocketWatchOptions {
  readonly limits: StreamLimits
  /** Whether something is subscribed to. */
  readonly isUsed: () => boolean
}

export interface SocketWatch {
  /** To be told of every message. */
  heard(): void
  /** @see Stream */
  look(now: number): void
}

/** Asks the client for a sign of life while nothing waits for it, and cuts it when none comes, and when it takes nothing. */
export function watchSocket(
  socket: WebSocket,
  connection: Socket,
  { limits: { keepAliveMillis, stallMillis }, isUsed }: SocketWatchOptions,
): SocketWatch {
  let heardAt = performance.now()
  let usedAt = heardAt
  let pingedAt = heardAt
  let taken = 0
  const heard = () => {
    heardAt = performance.now()
  }
  socket.on('pong', heard)
  socket.on('ping', (data) => {
    heard()
    if (socket.bufferedAmount < BEHIND_BYTES) socket.pong(data)
  })
  return {
    heard,
    look(now: number): void {
      const before = taken
      taken = takenByKernel(connection)
      if (taken > before && socket.bufferedAmount > 0) heardAt = now
      if (isUsed()) usedAt = now
      if (now - usedAt >= UNUSED_MILLIS) return void socket.close(GOING_AWAY, 'Nothing was asked')
      if (now - heardAt >= stallMillis) return void socket.terminate()
      if (now - pingedAt < keepAliveMillis || socket.bufferedAmount > 0) return
      pingedAt = now
      socket.ping()
    },
  }
}
