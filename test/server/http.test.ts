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

  it('answer OPTIONS, and methods that they do not serve, with those that they do', async () => {
    const allowed = {
      '/health/live': 'GET, HEAD, OPTIONS',
      '/health/ready': 'GET, HEAD, OPTIONS',
      '/snapshots/x/payload': 'GET, HEAD, OPTIONS',
      '/graphql': 'GET, HEAD, POST, OPTIONS',
      '/runs/r/steps/s/snapshot': 'PUT, OPTIONS',
      '/uploads/x': 'PUT, OPTIONS',
    }
    for (const [target, allow] of Object.entries(allowed)) {
      for (const method of ['DELETE', 'PATCH', 'OPTIONS']) {
        const response = await send(server.url, { method, target })
        const status = method === 'OPTIONS' ? 204 : 405
        assert.deepEqual([response.status, response.headers.allow], [status, allow], target)
      }
    }
    assert.equal((await send(server.url, { method: 'OPTIONS', target: '*' })).status, 204)
    assert.equal((await send(server.url, { method: 'OPTIONS', target: '/nothing' })).status, 404)
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
    await using behindProxy = await startServer({
      env: { PUBLIC_URL: 'https://states.example' },
      store: { databaseUrl: server.databaseUrl, storagePath: server.storagePath },
    })
    const local = `http://127.0.0.1:${behindProxy.port}`
    const forged = ['host', 'x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-original-host', 'x-host']
    for (const name of forged) {
      const value = name === 'forwarded' ? 'host=evil.example;proto=https' : 'evil.example'
      const headers = { ...JSON_TYPE, [name]: name === 'host' ? 'localhost:1' : value }
      const response = await send(local, { method: 'POST', target: '/graphql', headers, body })
      assert.equal(lead(response), 'https://states.example', name)
      assert.doesNotMatch(response.body.toString(), /evil/)
    }
    const target = `${local}/graphql`
    assert.equal(
      lead(await send(local, { method: 'POST', target, headers: JSON_TYPE, body })),
      'https://states.example',
    )
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
      'POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
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
      'POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9999999\r\n\r\n',
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
      'POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
      `GET /graphql HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
      'GET /graphql HTTP/1.1\r\nhost : x\r\n\r\n',
    ]) {
      const socket = await open()
      socket.write(text, 'latin1')
      assert.match(await readToEnd(socket), /^HTTP\/1\.1 4\d\d /, text.slice(0, 60))
    }
    assert.equal((await send(server.url, { target: '/health/live' })).status, 200)
  })
})

describe('a host that a request names', () => {
  const ask = (target: string, host: string, at = server.url) =>
    send(at, { target, headers: { host, accept: 'text/html' } })

  it('D17: is served only if it is one of this server, so that no other site can pass for it', async () => {
    const { port } = new URL(server.url)
    for (const host of [
      'localhost',
      'LOCALHOST.',
      `127.0.0.1:${port}`,
      '127.1.2.3',
      '[::1]:1',
      'a.localhost',
      'statelens',
    ]) {
      assert.equal((await ask('/graphql', host)).status, 200, host)
    }
    const others = [
      'evil.example',
      `evil.example:${port}`,
      '127.0.0.1.evil.example',
      'localhost.evil.example',
      '1.2.3.4',
      '0.0.0.0',
      '[::2]',
      '[fe80::1]:80',
      'xlocalhost.example',
      'evil.example.',
      '127.0.0.1:80@evil.example',
    ]
    for (const host of others) {
      for (const target of ['/graphql', '/snapshots/x/payload', '/nothing']) {
        const refused = await ask(target, host)
        assert.deepEqual([refused.status, /PUBLIC_URL/.test(refused.body.toString())], [421, true], `${host} ${target}`)
        assert.doesNotMatch(refused.body.toString(), /evil/)
      }
    }
  })

  it('D17: may be any where health is asked for, as probes call a server by its address', async () => {
    for (const target of ['/health/live', '/health/ready'])
      assert.equal((await ask(target, '10.1.2.3:4000')).status, 200)
  })

  it('D17: may be that of PUBLIC_URL, and the address that it listens on', async () => {
    const store = { databaseUrl: server.databaseUrl, storagePath: server.storagePath }
    await using other = await startServer({
      env: { PUBLIC_URL: 'https://States.example:8443/base', HOST: '127.0.0.2' },
      store,
    })
    const local = `http://127.0.0.2:${other.port}`
    for (const host of ['states.example', 'STATES.EXAMPLE:1', 'localhost'])
      assert.equal((await ask('/graphql', host, local)).status, 200)
    for (const host of ['example', 'x.states.example', 'states.example.evil.example'].slice(1)) {
      assert.equal((await ask('/graphql', host, local)).status, 421, host)
    }
    const env = { HOST: '0.0.0.0', AUTH_MODE: 'none' }
    await using everywhere = await startServer({ env, store })
    const at = `http://127.0.0.1:${everywhere.port}`
    assert.deepEqual(
      [(await ask('/graphql', '0.0.0.0', at)).status, (await ask('/graphql', '127.0.0.1', at)).status],
      [421, 200],
    )
  })

  it('D21: may stand in the target, which counts then', async () => {
    const { host, port } = new URL(server.url)
    for (const target of [
      `http://${host}/health/live`,
      `HTTPS://localhost/health/live`,
      `http://x:1/health/live?x=1`,
    ]) {
      assert.equal((await send(server.url, { target })).status, 200, target)
    }
    const query = `http://localhost:${port}/graphql?query=%7B__typename%7D`
    const answered = await send(server.url, {
      target: query,
      headers: { host: 'evil.example', 'x-requested-with': 'x' },
    })
    assert.equal(answered.body.toString(), '{"data":{"__typename":"Query"}}')
    const refused = await send(server.url, { target: 'http://evil.example/graphql', headers: { host: 'localhost' } })
    assert.equal(refused.status, 421)
    for (const target of [
      '//localhost/health/live',
      'ftp://localhost/health/live',
      'http:///health/live',
      'http://user@localhost/health/live',
      '*',
      'http://localhost/health/live#x',
      'http://localhost',
    ]) {
      assert.equal((await send(server.url, { target })).status, 404, target)
    }
  })
})

describe('HEAD', () => {
  it('D21: is answered where GET is, with its head and no body', async () => {
    for (const target of ['/health/live', '/health/ready', '/graphql?query=%7B__typename%7D']) {
      const headers = { 'x-requested-with': 'x', 'x-request-id': 'both' }
      const get = await send(server.url, { target, headers })
      const head = await send(server.url, { method: 'HEAD', target, headers })
      assert.deepEqual([head.status, head.body.length], [200, 0], target)
      const { date: _at, ...ofGet } = get.headers
      const { date: _later, ...ofHead } = head.headers
      assert.deepEqual(ofHead, ofGet, target)
    }
    const page = await send(server.url, { method: 'HEAD', target: '/graphql', headers: { accept: 'text/html' } })
    assert.deepEqual([page.status, page.body.length], [200, 0])
    assert.match(String(page.headers['content-type']), /^text\/html/)
  })

  it('D21: executes no mutation, as GET does not', async () => {
    const text = 'mutation { captureSnapshot(input: { runId: "by-head", stepId: "s", payload: 1 }) { created } }'
    const target = `/graphql?query=${encodeURIComponent(text)}`
    for (const method of ['GET', 'HEAD']) {
      assert.equal(
        (await send(server.url, { method, target, headers: { 'x-requested-with': 'x' } })).status,
        405,
        method,
      )
    }
    assert.equal((await server.graphql('{ run(runId: "by-head") { runId } }')).data['run'], null)
  })
})

describe('the page of GraphiQL', () => {
  const ask = (headers: Record<string, string>) =>
    send(server.url, { target: '/graphql', headers: { accept: 'text/html', ...headers } })

  it('D16: is sent under the conditions of the request, and each coding has a tag of its own', async () => {
    const [plain, zipped] = [await ask({}), await ask({ 'accept-encoding': 'gzip' })]
    const tags = [String(plain.headers.etag), String(zipped.headers.etag)] as const
    assert.notEqual(tags[0], tags[1])
    assert.equal(zipped.headers['content-encoding'], 'gzip')
    assert.equal((await ask({ 'accept-encoding': 'gzip;q=0' })).headers['content-encoding'], undefined)
    for (const known of [tags[0], `"x", W/${tags[0]}`, '*']) {
      const { status, body: nothing, headers } = await ask({ 'if-none-match': known })
      assert.deepEqual([status, nothing.length, headers.etag], [304, 0, tags[0]], known)
    }
    assert.equal((await ask({ 'if-none-match': tags[1] })).status, 200)
    assert.equal((await ask({ 'if-match': tags[0] })).status, 200)
    for (const wanted of ['"other"', `W/${tags[0]}`]) assert.equal((await ask({ 'if-match': wanted })).status, 412)
  })
})
