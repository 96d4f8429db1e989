import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { codesOf, type PlainResponse, send } from '../support/http.ts'
import { startServer, type TestServer } from '../support/server.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const SIGN = '{ snapshot(runId: "r", stepId: "s") { signedUrl } }'

let server: TestServer

before(async () => {
  server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '0' } })
  await server.graphql('mutation { captureSnapshot(input: { runId: "r", stepId: "s", payload: [1, 2] }) { created } }')
})
after(() => server[Symbol.asyncDispose]())

function codeOf({ body }: PlainResponse): string {
  return JSON.parse(body.toString()).code
}

/** A connection that bytes are written to as they are. */
async function open(): Promise<Socket> {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** All that the server sends until it closes the connection. */
async function readToEnd(socket: Socket): Promise<string> {
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  // Not once(): what the peer did to the connection is no failure here.
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return text
}

describe('routes', () => {
  it('are told apart by the raw path: nothing else is served', async () => {
    for (const target of [
      '/',
      '/graphq',
      '/graphql/x',
      '/GraphQL',
      '/%67raphql',
      '/graphql;x=1',
      '/graphql%3fquery=x',
      '/./graphql',
      '/x/../graphql',
      '/health',
      '/health/live/',
      '/snapshots',
      '/snapshots/x',
      '/snapshots//payload',
      '/snapshots/x/y/payload',
      '/.env',
      '/favicon.ico',
    ]) {
      const response = await send(server.url, { target, headers: JSON_TYPE })
      assert.deepEqual([response.status, codeOf(response)], [404, 'NOT_FOUND'], target)
    }
  })

  it('answer a method that they do not serve with those that they do', async () => {
    const allowed = { '/health/live': 'GET', '/health/ready': 'GET', '/snapshots/x/payload': 'GET, HEAD' }
    for (const [target, allow] of Object.entries(allowed)) {
      for (const method of ['POST', 'DELETE', 'PATCH', 'OPTIONS']) {
        const response = await send(server.url, { method, target })
        assert.deepEqual(
          [response.status, response.headers.allow, codeOf(response)],
          [405, allow, 'BAD_REQUEST'],
          target,
        )
      }
    }
  })

  it('let no other origin read their answers', async () => {
    const headers = { ...JSON_TYPE, origin: 'https://evil.example', 'access-control-request-method': 'POST' }
    for (const method of ['OPTIONS', 'GET', 'POST']) {
      for (const target of ['/graphql', '/health/live', '/snapshots/x/payload']) {
        const response = await send(server.url, { method, target, headers, body: JSON.stringify({ query: SIGN }) })
        const names = Object.keys(response.headers).filter((name) => name.startsWith('access-control'))
        assert.deepEqual(names, [], `${method} ${target}`)
      }
    }
  })
})

describe('links', () => {
  const body = JSON.stringify({ query: SIGN })
  const lead = (response: PlainResponse) => {
    const { data } = JSON.parse(response.body.toString())
    return new URL(data.snapshot.signedUrl).origin
  }

  it('lead to the configured host, whatever the request names', async () => {
    const forged = ['host', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-original-host', 'x-host']
    for (const name of forged) {
      const value = name === 'forwarded' ? 'host=evil.example;proto=https' : 'evil.example'
      const request = { method: 'POST', target: '/graphql', headers: { ...JSON_TYPE, [name]: value }, body }
      const response = await send(server.url, request)
      assert.equal(lead(response), server.url, name)
      assert.doesNotMatch(response.body.toString(), /evil/)
    }
  })

  it('cannot be had by a target that names a host', async () => {
    for (const target of [
      '//evil.example/graphql',
      'http://evil.example/graphql',
      'https://evil.example/graphql',
      '*',
    ]) {
      const response = await send(server.url, { method: 'POST', target, headers: JSON_TYPE, body })
      assert.deepEqual([response.status, codeOf(response)], [404, 'NOT_FOUND'], target)
      assert.doesNotMatch(response.body.toString() + JSON.stringify(response.headers), /evil/)
    }
  })

  it('carry PUBLIC_URL where there is one', async () => {
    await using behindProxy = await startServer({
      env: { PUBLIC_URL: 'https://states.example/base/' },
      store: { databaseUrl: server.databaseUrl, storagePath: server.storagePath },
    })
    const port = new URL(behindProxy.app.publicUrl)
    assert.equal(port.href, 'https://states.example/base')
  })
})

describe('a body that is too large', () => {
  const MIB = 1_048_576

  it('is refused in the form of GraphQL, and the connection ends', async () => {
    for (const size of [3 * MIB, 64 * MIB]) {
      const request = { method: 'POST', target: '/graphql', headers: JSON_TYPE, body: Buffer.alloc(size, ' ') }
      const response = await send(server.url, request)
      assert.deepEqual([response.status, response.headers.connection], [413, 'close'])
      assert.deepEqual(codesOf(response), ['PAYLOAD_TOO_LARGE'])
    }
  })

  it('is not read on, also when its length is not told and it never ends', async () => {
    const socket = await open()
    socket.write(
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    const chunk = Buffer.from(`10000\r\n${' '.repeat(65_536)}\r\n`)
    const pump = () => {
      while (!socket.destroyed && socket.write(chunk));
    }
    socket.on('drain', pump)
    const answer = readToEnd(socket)
    pump()
    assert.match(await answer, /^HTTP\/1\.1 413 [\s\S]*\r\nconnection: close\r\n[\s\S]*PAYLOAD_TOO_LARGE/i)
    // The limit, and what the buffers of two sockets hold.
    assert.ok(socket.bytesWritten < 16 * MIB, `${socket.bytesWritten}`)
  })

  it('of a length that is a lie does not keep the connection waiting', async () => {
    const socket = await open()
    socket.write(
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999999\r\n\r\n',
    )
    assert.match(await readToEnd(socket), /^HTTP\/1\.1 413 /)
  })
})

describe('a request that is no HTTP', () => {
  it('is refused, and the server goes on', async () => {
    for (const text of [
      'GET / HTTP/9.9\r\n\r\n',
      '\0\0\0\r\n\r\n',
      'GET /graphql HTTP/1.1\r\n\r\n',
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
      `GET /graphql HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
      'GET /graphql HTTP/1.1\r\nhost : x\r\n\r\n',
    ]) {
      const socket = await open()
      socket.write(text, 'latin1')
      assert.match(await readToEnd(socket), /^HTTP\/1\.1 4\d\d /, text.slice(0, 60))
    }
    assert.equal((await send(server.url, { target: '/health/live' })).status, 200)
  })
})
