import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './broker/host.ts'
import { send } from './http.ts'

/** A balancer of TCP connections on loopback, which asks each server whether it is ready. */
export interface Balancer extends AsyncDisposable {
  readonly url: string
  /** Resolves when it sends connections to all of these ports, and to no others. */
  sendsTo(ports: readonly number[]): Promise<void>
}

const CHECK_MILLIS = 100

export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const ready = new Set<number>()
  const sockets = new Set<Socket>()
  const stopping = new AbortController()
  let turn = 0

  async function check(port: number): Promise<void> {
    while (!stopping.signal.aborted) {
      const status = await send(`http://127.0.0.1:${port}`, { target: '/health/ready' }).then(
        (answer) => answer.status,
        () => 0,
      )
      if (status === 200) ready.add(port)
      else ready.delete(port)
      await delay(CHECK_MILLIS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  /** The next one, and the one behind it where that takes no connection: nothing has been sent yet. */
  function serve(client: Socket, left: readonly number[]): void {
    const [port, ...others] = left
    if (port === undefined) return void client.destroy()
    const server = connect({ port, host: '127.0.0.1', noDelay: true })
    const refused = () => serve(client, others)
    server.once('error', refused)
    server.once('connect', () => {
      server.off('error', refused)
      join(client, server)
    })
  }

  const listener: Server = createServer({ noDelay: true }, (client) => {
    sockets.add(client)
    client.once('close', () => sockets.delete(client)).on('error', () => {})
    const all = ports.filter((port) => ready.has(port))
    turn++
    serve(client, [...all.slice(turn % all.length), ...all.slice(0, turn % all.length)])
  })
  const port = await freePort()
  await new Promise<void>((resolve) => listener.listen(port, '127.0.0.1', resolve))
  const checks = Promise.all(ports.map(check))
  return {
    url: `http://127.0.0.1:${port}`,
    async sendsTo(wanted) {
      while (wanted.length !== ready.size || !wanted.every((one) => ready.has(one))) await delay(CHECK_MILLIS / 2)
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await checks
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

/** One side that ends, or breaks, ends the other. */
function join(client: Socket, server: Socket): void {
  server.on('error', () => client.destroy())
  client.on('error', () => server.destroy())
  client.pipe(server).pipe(client)
  server.once('close', () => client.destroy())
  client.once('close', () => server.destroy())
}
