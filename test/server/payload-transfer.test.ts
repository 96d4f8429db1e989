import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Snapshot } from '../../src/model/snapshot.ts'
import { createPayloadRoute } from '../../src/server/payload-route.ts'
import { serveRoutes } from '../support/front.ts'
import { send } from '../support/http.ts'
import { openObjects } from '../support/objects.ts'
import { put, refusalOf, type Stored, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const BYTES = Buffer.from(`{"text":"${'🙂'.repeat(500)}", "n":1.0}`)
const LAST = BYTES.length - 1

describe('a payload in parts and under conditions', () => {
  let server: TestServer
  const stored: Stored[] = []
  before(async () => {
    server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '3000' } })
    for (const body of [BYTES, Buffer.concat([BYTES, Buffer.alloc(3000, ' ')])])
      stored.push(storedOf(await put(server.url, body)))
  })
  after(() => server[Symbol.asyncDispose]())

  async function ask({ snapshotId }: Stored, headers: Record<string, string>, method = 'GET') {
    return await send(server.url, { method, target: `/snapshots/${snapshotId}/payload`, headers })
  }

  it('is cut where a range says', async () => {
    for (const snapshot of stored) {
      const whole = (await ask(snapshot, {})).body
      for (const [range, start, end] of [
        ['bytes=0-0', 0, 1],
        ['bytes=10-12', 10, 13],
        [`bytes=${LAST}-`, LAST, whole.length],
        ['bytes=-1', whole.length - 1, whole.length],
        ['bytes=1-99999999', 1, whole.length],
      ] as const) {
        const { status, headers, body } = await ask(snapshot, { range })
        assert.deepEqual([status, body], [206, whole.subarray(start, end)], range)
        assert.equal(headers['content-range'], `bytes ${start}-${end - 1}/${whole.length}`)
        assert.equal(headers['content-length'], String(end - start))
        assert.equal(headers['x-content-type-options'], 'nosniff')
      }
    }
  })

  it('is whole where a range is none, or of another version; and told its size where there is nothing', async () => {
    for (const snapshot of stored) {
      const many = `bytes=${Array.from({ length: 1000 }, () => '0-').join(',')}`
      for (const range of ['bytes=0-1,5-6', many, 'bytes=x', 'lines=0-1', 'bytes=3-1'])
        assert.equal((await ask(snapshot, { range })).status, 200, range.slice(0, 20))
      const other = await ask(snapshot, { range: 'bytes=0-1', 'if-range': '"other"' })
      assert.deepEqual([other.status, other.body.length], [200, snapshot.sizeBytes])
      for (const range of [`bytes=${snapshot.sizeBytes}-`, 'bytes=-0']) {
        const refused = await ask(snapshot, { range })
        assert.deepEqual(refusalOf(refused), { status: 416, code: 'RANGE_NOT_SATISFIABLE' })
        assert.equal(refused.headers['content-range'], `bytes */${snapshot.sizeBytes}`)
      }
    }
  })

  it('resumes a download by the tag of its beginning', async () => {
    for (const snapshot of stored) {
      const { headers, body } = await ask(snapshot, {})
      assert.match(String(headers.etag), /^"[0-9a-f]{64}"$/)
      assert.equal(headers['accept-ranges'], 'bytes')
      const rest = await ask(snapshot, { range: 'bytes=100-', 'if-range': String(headers.etag) })
      assert.deepEqual([rest.status, rest.body], [206, body.subarray(100)])
    }
  })

  it('is asked about without its object being opened', async () => {
    using objects = openObjects(server)
    const lost = storedOf(await put(server.url, `[${' '.repeat(5000)}]`))
    const { etag } = (await ask(lost, {}, 'HEAD')).headers
    const [row] = await query<{ uri: string }>(
      server.databaseUrl,
      'select storage_uri as uri from state_snapshots where id = $1',
      [lost.snapshotId],
    )
    await objects.remove(row?.uri ?? '')
    const head = await ask(lost, {}, 'HEAD')
    assert.deepEqual([head.status, head.headers['content-length']], [200, '5002'])
    const known = await ask(lost, { 'if-none-match': `"x", W/${etag}` })
    assert.deepEqual([known.status, known.body.length, known.headers.etag], [304, 0, etag])
    assert.equal(known.headers['content-length'], undefined)
    assert.equal((await ask(lost, { 'if-none-match': '*' }, 'HEAD')).status, 304)
    assert.equal((await ask(lost, { range: `bytes=${lost.sizeBytes}-` })).status, 416)
    assert.deepEqual(refusalOf(await ask(lost, {})), { status: 404, code: 'OBJECT_MISSING' })
  })

  it('leaves the next answer on the connection intact', async () => {
    const [inline, object] = stored
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    const requestFor = ({ snapshotId }: Stored, more = '') =>
      `GET /snapshots/${snapshotId}/payload HTTP/1.1\r\nhost: localhost\r\n${more}\r\n`
    assert.ok(inline && object)
    socket.write(
      requestFor(object, 'range: bytes=0-3\r\n') +
        requestFor(inline, 'if-none-match: *\r\n') +
        requestFor(inline, 'connection: close\r\n'),
    )
    const chunks = await socket.toArray()
    const text = Buffer.concat(chunks).toString()
    assert.deepEqual(
      [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
      ['206', '304', '200'],
    )
    assert.ok(text.endsWith(`\r\n\r\n${BYTES}`))
  })
})

describe('a client and a store of different speed', () => {
  const SIZE = 64 * 1_048_576
  const snapshot = {
    snapshotId: '',
    sizeBytes: SIZE,
    digest: null,
    contentType: 'application/json',
    storageUri: 'x',
  } as Snapshot
  const target = '/snapshots/00000000-0000-4000-8000-000000000000/payload'

  async function serve(body: Readable, stallMillis: number) {
    const methods = createPayloadRoute({
      readers: { forViewer: () => ({ loadSnapshots: async () => [snapshot] }) },
      payloads: {
        resolve: async () => ({ kind: 'row', snapshot, sizeBytes: SIZE, load: () => assert.fail('not at hand') }),
        open: async () => ({ sizeBytes: SIZE, body, release() {} }),
        openRange: () => assert.fail('no range'),
        hasRanges: async () => true,
        coded: async () => null,
        sizeOf: async () => SIZE,
      },
      links: { verify: () => assert.fail('no link'), missing: () => assert.fail('no link') },
      stallMillis,
    })
    return await serveRoutes([{ path: /^\/snapshots\/([^/]+)\/payload$/, methods }])
  }

  function* zeros(): Generator<Buffer> {
    for (let sent = 0; sent < SIZE; sent += 65_536) yield Buffer.alloc(65_536)
  }

  it('a client that stops reading is cut, and the store let go', async () => {
    const body = Readable.from(zeros(), { objectMode: false })
    // Not once(): how it ends is the route's affair.
    const closed = new Promise((resolve) => body.once('close', resolve))
    await using server = await serve(body, 200)
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${target} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    socket.pause()
    await closed
    assert.ok(body.destroyed)
    socket.destroy()
  })

  it('a slow store is not taken for a slow client', async () => {
    async function* late(): AsyncGenerator<Buffer> {
      let sent = 0
      for (const chunk of zeros()) {
        if (sent === 0 || sent === SIZE / 2) await delay(400)
        sent += chunk.length
        yield chunk
      }
    }
    await using server = await serve(Readable.from(late(), { objectMode: false }), 150)
    const { body } = await send(server.url, { target })
    assert.equal(body.length, SIZE)
  })

  it('a store that breaks off after the head breaks the connection', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1000)
      throw new Error('broken')
    }
    await using server = await serve(Readable.from(broken(), { objectMode: false }), 1000)
    await assert.rejects(send(server.url, { target }), { code: 'ECONNRESET' })
  })
})
