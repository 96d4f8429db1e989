import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { type Client, createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { AppError } from '../../src/errors.ts'
import { createLogger } from '../../src/log.ts'
import { send } from '../support/http.ts'
import { frameOf, type LiveFront, serveLive } from '../support/live-front.ts'
import { eventually } from '../support/put.ts'

const QUERY = 'subscription($after: String) { runEvents(runId: "r", after: $after) { __typename } }'
const PROTOCOL = 'graphql-transport-ws'

const addressOf = ({ url }: LiveFront) => `${url.replace('http', 'ws')}/graphql`

/** A client as it is published, quicker to come back. */
const wsClient = (front: LiveFront): Client =>
  createClient({
    url: addressOf(front),
    webSocketImpl: WebSocket,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
  })

interface Talk {
  readonly socket: WebSocket
  say(message: object): void
  hear(): Promise<unknown>
}

/** A connection on which every message is written by hand. */
async function talkTo(front: LiveFront, isGreeted = true): Promise<Talk> {
  const socket = new WebSocket(addressOf(front), PROTOCOL)
  const heard: unknown[] = []
  socket.on('message', (data) => heard.push(JSON.parse(data.toString())))
  await once(socket, 'open')
  const talk: Talk = {
    socket,
    say: (message) => socket.send(JSON.stringify(message)),
    async hear() {
      while (heard.length === 0) await once(socket, 'message')
      return heard.shift()
    },
  }
  if (!isGreeted) return talk
  talk.say({ type: 'connection_init' })
  assert.deepEqual(await talk.hear(), { type: 'connection_ack' })
  return talk
}

async function closeOf({ socket }: Talk): Promise<number> {
  const [code] = await once(socket, 'close')
  return code
}

/** What a handshake is answered with. */
async function handshake(front: LiveFront, headers: Record<string, string>, target = '/graphql'): Promise<number> {
  const asked = request(front.url + target, {
    headers: {
      connection: 'upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-protocol': PROTOCOL,
      ...headers,
    },
  })
  asked.end()
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  asked.once('error', reject)
  asked.once('response', (response) => resolve(response.resume().statusCode ?? 0))
  asked.once('upgrade', (_response, socket) => {
    socket.destroy()
    resolve(101)
  })
  return await promise
}

describe('a WebSocket', () => {
  it('brings the events of several subscriptions, and complete behind the last', async () => {
    await using front = await serveLive()
    const client = wsClient(front)
    const read = async () => {
      const seen: unknown[] = []
      for await (const { data } of client.iterate({ query: QUERY })) seen.push(data?.['runEvents'])
      return seen
    }
    const all = [read(), read()]
    const streams = [await front.subscribed(), await front.subscribed()]
    for (const [index, stream] of streams.entries()) {
      stream.send(frameOf('c1', `é${index}`))
      stream.send(frameOf('c2', index, true))
    }
    assert.deepEqual(await Promise.all(all), [
      ['é0', 0],
      ['é1', 1],
    ])
    await client.dispose()
  })

  it('is come back to with the cursor that a client sets in its variables', async () => {
    await using front = await serveLive()
    const client = wsClient(front)
    const variables: { after?: string } = {}
    const seen: unknown[] = []
    const over = Promise.withResolvers<void>()
    client.subscribe(
      { query: QUERY, variables },
      {
        next({ data }) {
          seen.push(data?.['runEvents'])
          variables.after = `c${data?.['runEvents']}`
        },
        error: over.reject,
        complete: over.resolve,
      },
    )
    const first = await front.subscribed()
    first.send(frameOf('c1', 1))
    await eventually(async () => assert.deepEqual(seen, [1]))
    first.end()
    const second = await front.subscribed()
    assert.equal(second.after, 'c1')
    second.send(frameOf('c2', 2, true))
    await over.promise
    await client.dispose()
  })

  it('is closed so that clients come back when it is old, and when the server stops', async () => {
    await using old = await serveLive({ ageMillis: 100, keepAliveMillis: 150 })
    assert.equal(await closeOf(await talkTo(old)), 1001)
    await using front = await serveLive()
    const talk = await talkTo(front)
    talk.say({ id: 'a', type: 'subscribe', payload: { query: QUERY } })
    const stream = await front.subscribed()
    front.drain()
    assert.equal(await closeOf(talk), 1001)
    assert.equal(stream.isOpen, false)
    assert.equal(await handshake(front, {}), 503)
  })

  it('leaves nothing behind when its client completes, goes, or takes nothing', async () => {
    await using front = await serveLive({ stallMillis: 300, keepAliveMillis: 150 })
    const talk = await talkTo(front)
    talk.say({ id: 'a', type: 'subscribe', payload: { query: QUERY } })
    const completed = await front.subscribed()
    talk.say({ id: 'a', type: 'complete' })
    await completed.ended
    talk.say({ id: 'a', type: 'subscribe', payload: { query: QUERY } })
    const gone = await front.subscribed()
    talk.socket.terminate()
    await gone.ended
    const stalled = await talkTo(front)
    stalled.say({ id: 'a', type: 'subscribe', payload: { query: QUERY } })
    const stream = await front.subscribed()
    stalled.socket.pause()
    for (let i = 0; i < 100; i++) stream.send(frameOf('c', 'x'.repeat(1_048_576)))
    await stream.ended
    assert.ok(stream.taken < 50, `${stream.taken} MiB`)
    stalled.socket.terminate()
  })

  it('asks for a sign of life, and is closed without one', async () => {
    await using front = await serveLive({ keepAliveMillis: 60, stallMillis: 200 })
    const alive = await talkTo(front)
    for (let pings = 0; pings < 5; pings++) await once(alive.socket, 'ping')
    assert.equal(alive.socket.readyState, WebSocket.OPEN)
    alive.socket.terminate()
    const dead = new WebSocket(addressOf(front), PROTOCOL, { autoPong: false })
    await once(dead, 'open')
    dead.send('{"type":"connection_init"}')
    assert.deepEqual((await once(dead, 'close'))[0], 1006)
  })

  it('refuses what is no subscription, one too many, and what the schema refuses, each by itself', async () => {
    let failure: AppError | undefined
    await using front = await serveLive({ perViewerMax: 1, refuse: () => failure })
    const talk = await talkTo(front)
    const codeOf = async (id: string, query: string) => {
      talk.say({ id, type: 'subscribe', payload: { query } })
      const { type, payload } = (await talk.hear()) as { type: string; payload: { extensions: { code: string } }[] }
      return [type, payload[0]?.extensions.code]
    }
    assert.deepEqual(await codeOf('a', '{ __typename }'), ['error', 'BAD_REQUEST'])
    failure = new AppError('NOT_FOUND', 'No')
    assert.deepEqual(await codeOf('b', QUERY), ['error', 'NOT_FOUND'])
    failure = undefined
    talk.say({ id: 'c', type: 'subscribe', payload: { query: QUERY } })
    const stream = await front.subscribed()
    assert.deepEqual(await codeOf('d', QUERY), ['error', 'OVERLOADED'])
    stream.send(frameOf('c1', 1))
    assert.deepEqual(await talk.hear(), { id: 'c', type: 'next', payload: { data: { runEvents: 1 } } })
    talk.socket.close()
  })

  it('is closed by the codes of the protocol', async () => {
    await using front = await serveLive({ initMillis: 200 })
    const subscribe = { id: 'a', type: 'subscribe', payload: { query: QUERY } }
    const closes: readonly [number, boolean, readonly object[]][] = [
      [4408, false, []],
      [4401, false, [subscribe]],
      [4400, true, [{ type: 'nothing' }]],
      [4409, true, [subscribe, subscribe]],
      [4429, true, [{ type: 'connection_init' }]],
      [1009, true, [{ type: 'ping', payload: { text: 'x'.repeat(200_000) } }]],
    ]
    for (const [code, isGreeted, messages] of closes) {
      const talk = await talkTo(front, isGreeted)
      for (const message of messages) talk.say(message)
      assert.equal(await closeOf(talk), code)
    }
    assert.ok(front.streams.every(({ isOpen }) => !isOpen))
  })
})

describe('whoever asks for a WebSocket', () => {
  it('is refused when it is a page of another site, unless CORS allows that', async () => {
    await using front = await serveLive({ corsOrigins: ['https://ui.example.com'] })
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', `${front.url}.evil.example`]) {
      assert.equal(await handshake(front, { origin }), 403, origin)
    }
    for (const origin of ['https://ui.example.com', front.url]) {
      assert.equal(await handshake(front, { origin }), 101, origin)
    }
    assert.equal(await handshake(front, { origin: 'https://own.example', 'sec-fetch-site': 'same-origin' }), 101)
    assert.equal(await handshake(front, {}), 101)
  })

  it('is refused at another path or host, and with another protocol', async () => {
    await using front = await serveLive()
    assert.equal(await handshake(front, {}, '/elsewhere'), 404)
    assert.equal(await handshake(front, { host: 'evil.example' }), 421)
    assert.equal(await handshake(front, { 'sec-websocket-protocol': 'graphql-ws' }), 400)
    assert.equal(await handshake(front, { 'sec-websocket-version': '7' }), 400)
  })

  it('is refused by an answer that no browser takes for a page, nor keeps', async () => {
    await using front = await serveLive()
    const headers = { connection: 'upgrade', upgrade: 'websocket', origin: 'https://evil.example' }
    const { status, headers: told } = await send(front.url, { target: '/graphql', headers })
    assert.equal(status, 403)
    assert.deepEqual([told['x-content-type-options'], told['cache-control']], ['nosniff', 'no-store'])
    assert.match(String(told['content-security-policy']), /default-src 'none'/)
  })

  it('for another protocol is answered as anybody', async () => {
    await using front = await serveLive()
    const headers = { connection: 'upgrade', upgrade: 'h2c', accept: 'application/json' }
    const { status } = await send(front.url, { target: '/graphql?query={hello}', headers })
    assert.equal(status, 200)
  })

  it('has one line in the log, when the connection is over', async () => {
    const lines: Record<string, unknown>[] = []
    const log = createLogger({ output: { write: (line) => void lines.push(JSON.parse(line)) } })
    await using front = await serveLive({ log })
    const talk = await talkTo(front)
    assert.deepEqual(lines, [])
    talk.socket.close()
    await eventually(async () =>
      assert.deepEqual(
        lines.map(({ msg, status }) => [msg, status]),
        [['request', 101]],
      ),
    )
  })

  it('and breaks in the middle of it does no harm', async () => {
    await using front = await serveLive()
    const { port } = new URL(front.url)
    const socket = connect(Number(port), '127.0.0.1')
    const head = ['GET /graphql HTTP/1.1', 'host: localhost', 'connection: upgrade', 'upgrade: websocket']
    socket.write(`${head.join('\r\n')}\r\nsec-websocket-protocol: ${PROTOCOL}\r\n\r\n`)
    socket.resetAndDestroy()
    assert.equal(await handshake(front, {}), 101)
  })
})
