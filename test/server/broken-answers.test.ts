import assert from 'node:assert/strict'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, it } from 'node:test'
import { freePort } from '../support/broker/host.ts'
import { describeWith } from '../support/describe-with.ts'
import { type Nginx, nginx, startNginx } from '../support/nginx.ts'
import { filesBelow } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'

const SIZE = 6_000_000
const state = JSON.stringify({ text: 'y'.repeat(SIZE) })
const payloadOf = (stepId: string) => `snapshot(runId: "cut", stepId: "${stepId}", useCache: false) { payload }`
const WHOLE = `{ a: ${payloadOf('one')} b: ${payloadOf('two')} }`
const BROKEN = `{ a: ${payloadOf('one')} b: ${payloadOf('bad')} }`

let server: TestServer
let badPath = ''

before(async () => {
  // Whoever asks to keep the connection has it closed after a second without a question.
  server = await startServer({ env: { KEEP_ALIVE_SECONDS: '1' } })
  for (const stepId of ['one', 'two']) storedOf(await put(server.url, state, { runId: 'cut', stepId }))
  const { snapshotId } = storedOf(await put(server.url, state, { runId: 'cut', stepId: 'bad' }))
  badPath = `/snapshots/${snapshotId}/payload`
  const name = (await filesBelow(server.storagePath)).find((path) => path.includes(snapshotId)) ?? ''
  const file = await open(join(server.storagePath, name), 'r+')
  await file.write('Z', 5_000_000)
  await file.close()
})
after(() => server[Symbol.asyncDispose]())

/** What a client of HTTP/1.1 makes of it: the bytes of a whole answer, or how it broke. */
async function askBy11(port: number, query: string | null): Promise<number | string> {
  const asked =
    query === null
      ? request({ port, host: '127.0.0.1', path: badPath, agent: false })
      : request({
          port,
          host: '127.0.0.1',
          path: '/graphql',
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          agent: false,
        })
  const answered = once(asked, 'response')
  asked.end(query === null ? undefined : JSON.stringify({ query }))
  try {
    const [response] = await answered
    assert.equal(response.statusCode, 200)
    return (await buffer(response)).length
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  }
}

/** The same of a client of HTTP/1.0, which takes the end of the connection for that of an answer without a length. */
async function askBy10(port: number, query: string, headers = ''): Promise<number | string> {
  const body = JSON.stringify({ query })
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `POST /graphql HTTP/1.0\r\nContent-Type: application/json\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`,
  )
  return await buffer(socket).then(
    (bytes) => bytes.length,
    (error) => String(error.code),
  )
}

it('an answer that breaks is no whole one to a client of HTTP/1.0 or 1.1', async () => {
  const whole = await askBy11(server.port, WHOLE)
  assert.ok(typeof whole === 'number' && whole > 2 * SIZE, String(whole))
  assert.equal(await askBy11(server.port, BROKEN), 'ECONNRESET')
  assert.equal(await askBy11(server.port, null), 'ECONNRESET')
  for (const headers of ['', 'Connection: keep-alive\r\n']) {
    assert.ok(Number(await askBy10(server.port, WHOLE, headers)) > whole)
    assert.equal(await askBy10(server.port, BROKEN, headers), 'ECONNRESET')
  }
})

await describeWith('behind nginx', nginx, (program) => {
  const waysToPass = {
    'as it comes': '',
    'with HTTP/1.1': 'proxy_http_version 1.1;',
    'without buffers': 'proxy_buffering off;',
    'with gzip': 'gzip on; gzip_types application/json;',
  }
  for (const [way, settings] of Object.entries(waysToPass)) {
    it(`an answer that breaks never arrives as a whole one: ${way}`, async () => {
      await using front = await passOn(program, settings)
      const whole = await askBy11(front.port, WHOLE)
      assert.ok(typeof whole === 'number' && whole > 2 * SIZE, String(whole))
      assert.equal(await askBy11(front.port, BROKEN), 'ECONNRESET')
      assert.equal(await askBy11(front.port, null), 'ECONNRESET')
    })
  }

  it('a client of HTTP/1.0 sees there that an answer is short', async () => {
    await using front = await passOn(program, '')
    for (const [query, isShort] of [
      [WHOLE, false],
      [BROKEN, true],
    ] as const) {
      const body = JSON.stringify({ query })
      const socket = connect(front.port, '127.0.0.1')
      socket.write(`POST /graphql HTTP/1.0\r\nContent-Type: application/json\r\n${lengthOf(body)}\r\n\r\n${body}`)
      const [head = '', text = ''] = (await buffer(socket)).toString().split('\r\n\r\n')
      const [, length] = /^content-length: (\d+)$/im.exec(head) ?? []
      assert.ok(Number(length) > 2 * SIZE, head)
      assert.equal(text.length < Number(length), isShort)
    }
  })
})

const lengthOf = (body: string) => `Content-Length: ${body.length}`

async function passOn(program: Nginx, settings: string) {
  const port = await freePort()
  const location = `location / { proxy_pass http://127.0.0.1:${server.port}; ${settings} }`
  const running = await startNginx(program, port, `server { listen 127.0.0.1:${port}; ${location} }`)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}
