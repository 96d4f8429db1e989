import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { itemText, STATE, STATE_TEXT } from '../graphql/parts-fixture.ts'
import { dataOf } from '../support/answers.ts'
import { type PlainResponse, send } from '../support/http.ts'
import { put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'

const LOG = STATE_TEXT.slice(STATE_TEXT.indexOf('"one line'), STATE_TEXT.indexOf(',\n"a/b'))
const LOG_BYTES = Buffer.from(LOG)

describe('GET and HEAD /snapshots/{id}/value', () => {
  let server: TestServer
  let id: string
  before(async () => {
    server = await startServer({ env: { CORS_ORIGINS: 'https://ui.example' } })
    id = storedOf(await put(server.url, STATE)).snapshotId
  })
  after(() => server[Symbol.asyncDispose]())

  const ask = (pointer: string, headers: Record<string, string> = {}, method = 'GET'): Promise<PlainResponse> =>
    send(server.url, { method, target: `/snapshots/${id}/value?pointer=${pointer}`, headers })
  const codeOf = ({ status, body }: PlainResponse) => [status, JSON.parse(body.toString()).code]

  it('give the bytes of a place, and their length', async () => {
    for (const [pointer, expected] of [
      ['/items/1500', Buffer.from(itemText(1500))],
      ['/log', LOG_BYTES],
      ['/a~1b~0c/', Buffer.from('[10,[20],"\\ud83d"]')],
      ['%2Fexact%2Fone', Buffer.from('1.0')],
      ['', STATE],
    ] as const) {
      const { status, headers, body } = await ask(pointer)
      assert.ok(status === 200 && body.equals(expected), pointer)
      assert.deepEqual(
        [headers['content-type'], headers['content-length']],
        ['application/json', String(expected.length)],
      )
      const head = await ask(pointer, {}, 'HEAD')
      assert.deepEqual(
        [head.status, head.headers['content-length'], head.headers.etag, head.body.length],
        [200, String(expected.length), headers.etag, 0],
      )
    }
  })

  it('have ranges, and conditions on a tag that tells the content and the place', async () => {
    const part = await ask('/log', { range: 'bytes=100000-100009' })
    assert.deepEqual([part.status, part.headers['content-range']], [206, `bytes 100000-100009/${LOG_BYTES.length}`])
    assert.ok(part.body.equals(LOG_BYTES.subarray(100_000, 100_010)))
    const last = await ask('/log', { range: 'bytes=-5' })
    assert.ok(last.body.equals(LOG_BYTES.subarray(-5)))
    const outside = await ask('/log', { range: `bytes=${LOG_BYTES.length}-` })
    assert.deepEqual(codeOf(outside), [416, 'RANGE_NOT_SATISFIABLE'])
    const { etag = '' } = part.headers
    assert.equal((await ask('/log', { 'if-none-match': etag })).status, 304)
    assert.equal((await ask('/items', { 'if-none-match': etag })).status, 200)
    assert.equal((await ask('/log', { 'if-match': '"another"' })).status, 412)
    assert.equal((await ask('/log', { range: 'bytes=0-0', 'if-range': '"another"' })).status, 200)
    const coded = storedOf(
      await put(server.url, gzipSync(STATE), { stepId: 'gz', headers: { 'content-encoding': 'gzip' } }),
    )
    const decoded = await send(server.url, {
      target: `/snapshots/${coded.snapshotId}/value?pointer=/log`,
      headers: { range: 'bytes=100000-100009' },
    })
    assert.deepEqual([decoded.status, decoded.headers.etag], [206, etag], 'the same content, however it is stored')
    assert.ok(decoded.body.equals(part.body))
  })

  it('are kept by nobody, are no page to a browser, and may be read by pages that may call', async () => {
    const { headers } = await ask('/log', { origin: 'https://ui.example' })
    assert.deepEqual(
      [headers['cache-control'], headers['x-content-type-options'], headers['content-security-policy']],
      ['private, no-store', 'nosniff', "default-src 'none'; sandbox"],
    )
    assert.equal(headers['access-control-allow-origin'], 'https://ui.example')
    assert.match(String(headers['access-control-expose-headers']), /etag/)
  })

  it('say what is not there, and where the nearest place is that is', async () => {
    const gone = await ask('/items/3/text/deeper')
    assert.deepEqual(codeOf(gone), [404, 'POINTER_NOT_FOUND'])
    assert.equal(JSON.parse(gone.body.toString()).nearest, '/items/3/text')
    assert.deepEqual(codeOf(await ask('items')), [400, 'BAD_REQUEST'])
    assert.deepEqual(codeOf(await ask('/%zz')), [400, 'BAD_REQUEST'])
    assert.deepEqual(codeOf(await ask('/a&pointer=/b')), [400, 'BAD_REQUEST'])
    const target = '/snapshots/00000000-0000-4000-8000-000000000000/value?pointer=/a'
    assert.deepEqual(codeOf(await send(server.url, { target })), [404, 'NOT_FOUND'])
  })

  it('take a link to the payload before the pointer, and refuse one that nobody signed', async () => {
    const asked = `{ snapshotById(snapshotId: "${id}") { download { url } } }`
    const { snapshotById } = await dataOf(server.graphql<{ snapshotById: { download: { url: string } } }>(asked))
    const { search } = new URL(snapshotById.download.url)
    const target = (link: string) => `/snapshots/${id}/value?${link}&pointer=/exact/one`
    const signed = await send(server.url, { target: target(search.slice(1)) })
    assert.deepEqual([signed.status, signed.body.toString()], [200, '1.0'])
    const forged = await send(server.url, { target: target(search.slice(1, -1)) })
    assert.deepEqual(codeOf(forged), [403, 'LINK_INVALID'])
  })
})
