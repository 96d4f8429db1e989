import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'

describe('fault proxy', () => {
  let echo: Awaited<ReturnType<typeof startEcho>>
  let proxy: FaultProxy

  beforeEach(async () => {
    echo = await startEcho()
    proxy = await startFaultProxy(echo)
  })

  afterEach(async () => {
    await proxy[Symbol.asyncDispose]()
    await echo[Symbol.asyncDispose]()
  })

  it('passes every byte both ways, and the end', async () => {
    const sent = Buffer.alloc(5 * 1024 * 1024, 'payload')
    const client = dial(proxy)
    client.end(sent)
    assert.ok(Buffer.concat(await client.toArray()).equals(sent))
    assert.equal(proxy.connections, 1)
    await once(client, 'close')
    await until(() => proxy.openSockets === 0)
  })

  it('refuses new connections, keeps the open one, and heals on the same port', async () => {
    const client = dial(proxy)
    assert.equal(await roundTrip(client, 'before'), 'before')
    await proxy.refuse()
    await assert.rejects(once(dial(proxy), 'connect'), { code: 'ECONNREFUSED' })
    assert.equal(await roundTrip(client, 'still'), 'still')
    await proxy.heal()
    assert.equal(await roundTrip(dial(proxy), 'again'), 'again')
  })

  it('adds latency in each direction', async () => {
    const client = dial(proxy)
    await roundTrip(client, 'warm')
    proxy.latency(100)
    const start = performance.now()
    await roundTrip(client, 'slow')
    assert.ok(performance.now() - start >= 195)
  })

  it('limits the bandwidth', async () => {
    const client = dial(proxy)
    await roundTrip(client, 'warm')
    proxy.bandwidth(1_000_000)
    const start = performance.now()
    client.end(Buffer.alloc(300_000))
    assert.equal(Buffer.concat(await client.toArray()).length, 300_000)
    assert.ok(performance.now() - start >= 295)
  })

  it('swallows requests and replies until it is healed', async () => {
    const client = dial(proxy)
    await roundTrip(client, 'warm')
    proxy.blackhole()
    const reply = roundTrip(client, 'held')
    await assert.rejects(atMost(reply, 100))
    assert.equal(echo.received(), 'warm')
    await proxy.heal()
    assert.equal(await reply, 'held')
  })

  it('swallows replies alone', async () => {
    const client = dial(proxy)
    await roundTrip(client, 'warm')
    proxy.blackhole('replies')
    const reply = roundTrip(client, 'done')
    await until(() => echo.received() === 'warmdone')
    await assert.rejects(atMost(reply, 50))
    proxy.resetNow()
    await assert.rejects(reply, { code: 'ECONNRESET' })
  })

  it('resets all open connections at once', async () => {
    const clients = [dial(proxy), dial(proxy)]
    await Promise.all(clients.map((client) => roundTrip(client, 'warm')))
    const errors = clients.map((client) => once(client, 'close').catch((error: NodeJS.ErrnoException) => error.code))
    proxy.resetNow()
    assert.deepEqual(await Promise.all(errors), ['ECONNRESET', 'ECONNRESET'])
    await until(() => proxy.openSockets === 0 && echo.openSockets() === 0)
    assert.equal(await roundTrip(dial(proxy), 'next'), 'next')
  })

  it('cuts replies after some bytes, by FIN', async () => {
    proxy.limitData(5, 'fin')
    const client = dial(proxy)
    client.write('0123456789')
    assert.equal(Buffer.concat(await client.toArray()).toString(), '01234')
  })

  it('cuts replies after some bytes, by RST', async () => {
    proxy.limitData(5, 'rst')
    const client = dial(proxy)
    client.write('0123456789')
    await assert.rejects(client.toArray(), { code: 'ECONNRESET' })
    await proxy.heal()
    assert.equal(await roundTrip(dial(proxy), '0123456789'), '0123456789')
  })

  it('resets its client when nothing listens behind it', async () => {
    await echo[Symbol.asyncDispose]()
    await assert.rejects(dial(proxy).toArray(), { code: 'ECONNRESET' })
  })
})

function dial({ host, port }: { readonly host: string; readonly port: number }): Socket {
  return connect({ host, port, allowHalfOpen: true }).on('error', () => {})
}

async function roundTrip(client: Socket, text: string): Promise<string> {
  client.write(text)
  const [reply] = await once(client, 'data')
  return String(reply)
}

async function startEcho() {
  const sockets = new Set<Socket>()
  let received = ''
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket)).on('error', () => {})
    socket.on('data', (chunk) => {
      if (chunk.length < 100) received += chunk
    })
    socket.pipe(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    host: '127.0.0.1',
    port,
    received: () => received,
    openSockets: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function atMost<Result>(work: Promise<Result>, milliseconds: number): Promise<Result> {
  return Promise.race([work, delay(milliseconds).then(() => Promise.reject(new Error('too late')))])
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 5000; !condition(); await delay(5)) assert.ok(Date.now() < end)
}
