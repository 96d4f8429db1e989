import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let payload = ''

before(async () => {
  server = await startServer()
  payload = `/snapshots/${storedOf(await put(server.url, '[1.0]')).snapshotId}/payload`
})
after(() => server[Symbol.asyncDispose]())

interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Whether the server ended the connection with it. */
  readonly isOver: boolean
}

/** Sends bytes as they are, and reads one answer by its length, or to the end of the connection. */
async function ask(text: string): Promise<RawAnswer> {
  const socket = connect(server.port, '127.0.0.1').setEncoding('latin1')
  socket.write(text)
  let read = ''
  const wholeOf = () => {
    const [head = '', ...rest] = read.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '').split('\r\n\r\n')
    const [line = '', ...lines] = head.split('\r\n')
    const headers = Object.fromEntries(lines.map((item) => item.toLowerCase().split(/: (.*)/s)))
    return { status: Number(line.split(' ')[1]), headers, body: rest.join('\r\n\r\n') }
  }
  const ended = once(socket, 'end').then(() => null)
  for (;;) {
    const more = await Promise.race([ended, once(socket, 'data').then(([chunk]) => String(chunk))])
    read += more ?? ''
    const answer = wholeOf()
    const sizeBytes = text.startsWith('HEAD') ? 0 : Number(answer.headers['content-length'] ?? 0)
    const isWhole = read.includes('\r\n\r\n') && answer.status > 100 && sizeBytes <= answer.body.length
    if (more !== null && (!isWhole || answer.headers['connection'] === 'close')) continue
    socket.destroy()
    return { ...answer, isOver: more === null }
  }
}

const body = (headers: string, text: string) =>
  `${headers}Content-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`
const QUERY = JSON.stringify({ query: '{ __typename }' })
const ANSWER = '{"data":{"__typename":"Query"}}'

for (const version of ['1.0', '1.1']) {
  const host = version === '1.0' ? '' : 'Host: localhost\r\n'
  const request = (line: string, rest = '\r\n') => ask(`${line} HTTP/${version}\r\n${host}${rest}`)

  describe(`HTTP/${version}`, () => {
    it('is spoken on every route, and the connection ends where the peer does not ask to keep it', async () => {
      const answers: readonly (readonly [line: string, rest: string, status: number, body: string])[] = [
        ['GET /health/live', '\r\n', 200, '{"status":"live"}'],
        ['HEAD /health/live', '\r\n', 200, ''],
        [`GET ${payload}`, '\r\n', 200, '[1.0]'],
        [`GET ${payload}`, 'Range: bytes=1-3\r\n\r\n', 206, '1.0'],
        [`HEAD ${payload}`, 'Range: bytes=1-3\r\n\r\n', 200, ''],
        [`GET ${payload}`, 'If-None-Match: *\r\n\r\n', 304, ''],
        [`OPTIONS ${payload}`, '\r\n', 204, ''],
        ['OPTIONS *', '\r\n', 204, ''],
        ['GET /graphql?query={__typename}', '\r\n', 200, ANSWER],
        [`GET http://localhost${payload}`, '\r\n', 200, '[1.0]'],
        ['POST /graphql', body('', QUERY), 200, ANSWER],
        // A peer of HTTP/1.0 asks for nothing by this, and waits for nothing.
        ['POST /graphql', body('Expect: 100-continue\r\n', QUERY), 200, ANSWER],
      ]
      for (const [line, rest, status, text] of answers) {
        const answer = await request(line, rest)
        if (line.startsWith('HEAD')) assert.ok(Number(answer.headers['content-length']) > 4, line)
        assert.deepEqual([answer.status, answer.isOver], [status, version === '1.0'], line)
        if (!line.startsWith('HEAD')) assert.equal(answer.body, text, line)
      }
    })

    it('keeps the connection of a peer that asks for it', async () => {
      const answer = await request(`GET ${payload}`, 'Connection: keep-alive\r\n\r\n')
      assert.deepEqual([answer.status, answer.isOver, answer.headers['connection']], [200, false, 'keep-alive'])
    })

    it('is refused where its framing is not clear', async () => {
      const chunks = '\r\n\r\n2\r\n{}\r\n0\r\n\r\n'
      const put = 'PUT /runs/a/steps/b/snapshot'
      for (const [line, rest, status] of [
        ['GET /health/live', 'Host: localhost\r\nhost: localhost\r\n\r\n', 400],
        [put, `Content-Type: application/json\r\nTransfer-Encoding: gzip, chunked${chunks}`, 501],
        [put, `Content-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked${chunks}`, 400],
        ['get /health/live', '\r\n', 400],
      ] as const) {
        const answer = await request(line, rest)
        assert.equal(answer.status, status, `${line} ${rest}`)
      }
    })
  })
}
