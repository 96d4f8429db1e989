import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type PlainResponse, send } from '../support/http.ts'
import { openObjects } from '../support/objects.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const INLINE_MAX_BYTES = 1000
const ABSENT = '00000000-0000-4000-8000-000000000000'
/** What a browser would run, if it took the payload for a page. */
const SMALL = { html: '</script><script>alert(1)</script>', separators: '\u2028\u2029' }
const LARGE = { ...SMALL, text: 'ü'.repeat(INLINE_MAX_BYTES) }

let server: TestServer
const targets: Record<'inline' | 'object', string> = { inline: '', object: '' }

before(async () => {
  server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: String(INLINE_MAX_BYTES) } })
  targets.inline = await capture(SMALL)
  targets.object = await capture(LARGE)
})
after(() => server[Symbol.asyncDispose]())

async function capture(payload: object): Promise<string> {
  const { data } = await server.graphql<{ captureSnapshot: { snapshot: { snapshotId: string } } }>(
    'mutation ($payload: JSON) { captureSnapshot(input: { runId: "r", payload: $payload }) { snapshot { snapshotId } } }',
    { payload },
  )
  return `/snapshots/${data.captureSnapshot.snapshot.snapshotId}/payload`
}

function codeOf({ body }: PlainResponse): string {
  return JSON.parse(body.toString()).code
}

describe('GET and HEAD /snapshots/{id}/payload', () => {
  it('give the bytes as they were captured, and their length, from either tier', async () => {
    for (const [tier, payload] of [
      ['inline', SMALL],
      ['object', LARGE],
    ] as const) {
      const bytes = Buffer.from(JSON.stringify(payload))
      const headers = { 'x-request-id': 'both' }
      const got = await send(server.url, { target: targets[tier], headers })
      const headed = await send(server.url, { method: 'HEAD', target: targets[tier], headers })
      assert.deepEqual([got.status, headed.status], [200, 200])
      assert.deepEqual([got.body, headed.body], [bytes, Buffer.alloc(0)])
      assert.equal(got.headers['content-length'], String(bytes.length))
      const [{ date: _a, ...ofGet }, { date: _b, ...ofHead }] = [got.headers, headed.headers]
      assert.deepEqual(ofHead, ofGet)
    }
  })

  it('let no browser take the payload for a page, nor keep it, nor tell its address', async () => {
    for (const target of Object.values(targets)) {
      const { headers } = await send(server.url, { target, headers: { accept: 'text/html' } })
      assert.match(String(headers['content-type']), /^application\/json\b/)
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['content-security-policy'], "default-src 'none'; sandbox")
      assert.equal(headers['cache-control'], 'private, no-store')
      assert.equal(headers['referrer-policy'], 'no-referrer')
    }
  })

  it('know nothing of a snapshot that is not there', async () => {
    const ids = [ABSENT, 'x', '%00', '..', "'", ABSENT.slice(1), `${ABSENT}%20`, '%2e%2e%2f', 'a'.repeat(4000)]
    for (const id of ids) {
      const response = await send(server.url, { target: `/snapshots/${id}/payload` })
      assert.deepEqual([response.status, codeOf(response)], [404, 'NOT_FOUND'], id.slice(0, 50))
    }
  })

  it('are sent under the conditions of the request: If-Match first, then If-None-Match, then the range', async () => {
    const dated = { 'if-unmodified-since': 'Wed, 21 Oct 2015 07:28:00 GMT' }
    for (const target of Object.values(targets)) {
      const etag = String((await send(server.url, { target })).headers.etag)
      const range = { range: 'bytes=2-4' }
      const asked: readonly (readonly [number, Record<string, string>])[] = [
        [412, { 'if-match': '"another"' }],
        [412, { 'if-match': '"another"', ...range }],
        [412, { 'if-match': `W/${etag}` }],
        [412, { 'if-match': '"another"', 'if-none-match': etag }],
        [200, { 'if-match': '*' }],
        [206, { 'if-match': etag, ...range }],
        [206, { 'if-match': `"another", ${etag}`, 'if-range': etag, ...range }],
        [304, { 'if-match': etag, 'if-none-match': `"another", W/${etag}`, ...range }],
        // Nothing here has a date of its last change.
        [206, { ...dated, ...range }],
        [200, { ...range, 'if-range': 'Wed, 21 Oct 2015 07:28:00 GMT' }],
      ]
      for (const [status, headers] of asked) {
        for (const method of ['GET', 'HEAD']) {
          const response = await send(server.url, { method, target, headers })
          // A range is for GET alone.
          const expected = status === 206 && method === 'HEAD' ? 200 : status
          assert.equal(response.status, expected, `${method} ${JSON.stringify(headers)}`)
        }
      }
      const failed = await send(server.url, { target, headers: { 'if-match': '"another"' } })
      assert.equal(codeOf(failed), 'CONFLICT')
    }
  })

  it('take a query for a link, and refuse one that nobody signed', async () => {
    for (const query of ['x', 'exp=1', 'download=1', 'sig=', '&', '?']) {
      const response = await send(server.url, { target: `${targets.object}?${query}` })
      assert.deepEqual([response.status, codeOf(response)], [403, 'LINK_INVALID'], query)
    }
  })

  it('are 404 for a payload whose object is gone, with a code that says so', async () => {
    const target = await capture({ ...LARGE, lost: true })
    const [, , snapshotId] = target.split('/')
    const [row] = await query(server.databaseUrl, 'select storage_uri from state_snapshots where id = $1', [snapshotId])
    using objects = openObjects(server)
    await objects.remove(String(row?.['storage_uri']))
    // It has read nothing before.
    await using other = await startServer({ store: server })
    const response = await send(other.url, { target: `/snapshots/${snapshotId}/payload` })
    assert.deepEqual([response.status, codeOf(response)], [404, 'OBJECT_MISSING'])
  })
})
