import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Session } from './session.ts'

/** A way to PostgreSQL that counts what is asked. */
export interface CountedDatabase {
  readonly url: string
  /** How often PostgreSQL has said that it was done with what it was sent. */
  readonly roundTrips: () => number
}

const READY_FOR_QUERY = 'Z'.charCodeAt(0)
const HEAD_BYTES = 5

/** @param url of a PostgreSQL by TCP, reached without TLS */
export async function countRoundTrips(session: Session, url: string): Promise<CountedDatabase> {
  const database = new URL(url)
  let roundTrips = 0
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: database.hostname, port: Number(database.port), noDelay: true })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => other.destroy()).on('close', () => other.destroy())
      socket.pipe(other)
    }
    const read = messageReader((type) => {
      if (type === READY_FOR_QUERY) roundTrips++
    })
    upstream.on('data', read)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await session.defer(async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const counted = new URL(url)
  counted.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url: counted.href, roundTrips: () => roundTrips }
}

/** Tells the type of each message of PostgreSQL: a byte, then its length, which counts itself. */
function messageReader(onMessage: (type: number) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  let toSkip = 0
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = toSkip
    while (at + HEAD_BYTES <= bytes.length) {
      onMessage(bytes[at] ?? 0)
      at += 1 + bytes.readUInt32BE(at + 1)
    }
    toSkip = Math.max(0, at - bytes.length)
    rest = bytes.subarray(Math.min(at, bytes.length))
  }
}
