import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { freePort } from '../support/broker/host.ts'
import { codesOf, type PlainRequest, type PlainResponse, send } from '../support/http.ts'
import { put, startPut, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'

const UI = 'https://ui.example.com'
const LOCAL = 'http://localhost:3000'
/** What a hostile page, a page of a file or a mistake in a comparison could look like. */
const OTHERS = [
  'https://evil.example',
  'null',
  '*',
  'http://ui.example.com',
  'https://ui.example.com:8443',
  'https://ui.example.com:443',
  'https://ui.example.com.evil.example',
  'https://evil-ui.example.com',
  'https://sub.ui.example.com',
  'https://ui.example.co',
  'https://UI.example.com',
  'HTTPS://ui.example.com',
  'https://ui.example.com/',
  'https://ui.example.com, http://localhost:3000',
  'http://localhost',
  'http://localhost:30000',
  'constructor',
]
const JSON_TYPE = { 'content-type': 'application/json' }
const LARGE = Buffer.from(JSON.stringify({ text: 'x'.repeat(300_000) }))
const SMALL = '{"n":1}'

const METHODS: Readonly<Record<string, string>> = {
  '/graphql': 'GET, HEAD, POST',
  '/snapshots/x/payload': 'GET, HEAD',
  '/runs/r/steps/s/snapshot': 'PUT',
  '/health/live': 'GET, HEAD',
  '/health/ready': 'GET, HEAD',
}

/** The headers that browsers read, without their common beginning. */
function marksOf(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => name.startsWith('access-control-'))
      .map(([name, value]) => [name.slice('access-control-'.length), String(value)]),
  )
}

function listOf(header: string | undefined): string[] {
  return (header ?? '').split(',').map((name) => name.trim().toLowerCase())
}

const graphql = (query: string, headers: Record<string, string> = {}): PlainRequest => ({
  method: 'POST',
  target: '/graphql',
  headers: { ...JSON_TYPE, ...headers },
  body: JSON.stringify({ query }),
})

const preflight = (target: string, headers: Record<string, string>): PlainRequest => ({
  method: 'OPTIONS',
  target,
  headers: { 'access-control-request-method': 'POST', ...headers },
})

interface Stored {
  readonly inline: string
  readonly object: string
  readonly coded: string
  readonly link: string
}

/** A payload of every tier, and the target of a signed link. */
async function fill(server: TestServer): Promise<Stored> {
  const inline = storedOf(await put(server.url, SMALL, { stepId: 'inline' })).snapshotId
  const object = storedOf(await put(server.url, LARGE, { stepId: 'object' })).snapshotId
  const headers = { 'content-encoding': 'gzip' }
  const coded = storedOf(await put(server.url, gzipSync(LARGE), { stepId: 'coded', headers })).snapshotId
  const { data } = await server.graphql<{ snapshot: { signedUrl: string } }>(
    '{ snapshot(runId: "run", stepId: "object") { signedUrl } }',
  )
  const { pathname, search } = new URL(data.snapshot.signedUrl)
  return { inline, object, coded, link: pathname + search }
}

describe('with a list of origins', () => {
  let server: TestServer
  let stored: Stored
  before(async () => {
    const env = { CORS_ORIGINS: `HTTPS://UI.Example.com:443, ${LOCAL}`, SNAPSHOT_INLINE_MAX_BYTES: '1000' }
    server = await startServer({ env })
    stored = await fill(server)
  })
  after(() => server[Symbol.asyncDispose]())

  /** The page may read the answer, and what is told beside it; no cookie is asked for. */
  function assertReadable({ headers }: PlainResponse, origin: string): void {
    const { 'expose-headers': exposed, ...marks } = marksOf(headers)
    assert.deepEqual(marks, { 'allow-origin': origin })
    for (const name of ['etag', 'content-length', 'content-range', 'location', 'retry-after', 'content-disposition']) {
      assert.ok(listOf(exposed).includes(name), name)
    }
    assert.ok(listOf(headers.vary).includes('origin'), headers.vary)
  }

  function assertUnreadable({ headers }: PlainResponse, about: string): void {
    assert.deepEqual(marksOf(headers), {}, about)
    assert.ok(listOf(headers.vary).includes('origin'), about)
  }

  it('lets their pages read the answer of each route', async () => {
    for (const origin of [UI, LOCAL]) {
      for (const target of ['/health/live', '/health/ready', `/snapshots/${stored.inline}/payload`, stored.link]) {
        const response = await send(server.url, { target, headers: { origin } })
        assert.equal(response.status, 200, target)
        assertReadable(response, origin)
      }
      const answer = await send(server.url, graphql('{ __typename }', { origin }))
      assert.equal(answer.status, 200)
      assertReadable(answer, origin)
      const captured = await put(server.url, SMALL, { headers: { origin } })
      assert.equal(captured.status, 201)
      assertReadable(captured, origin)
    }
  })

  it('lets no other page read, and serves it as ever', async () => {
    for (const origin of OTHERS) {
      const answer = await send(server.url, graphql('{ __typename }', { origin }))
      assert.equal(answer.body.toString(), '{"data":{"__typename":"Query"}}')
      assertUnreadable(answer, origin)
      const payload = await send(server.url, { target: `/snapshots/${stored.inline}/payload`, headers: { origin } })
      assert.deepEqual([payload.status, payload.body.toString()], [200, SMALL])
      assertUnreadable(payload, origin)
      const failure = await send(server.url, { target: '/nothing', headers: { origin } })
      assert.equal(failure.status, 404)
      assertUnreadable(failure, origin)
    }
  })

  it('tells caches that answers differ, also to whoever names no origin', async () => {
    for (const target of ['/health/live', '/nothing', `/snapshots/${stored.object}/payload`]) {
      assertUnreadable(await send(server.url, { target }), target)
    }
  })

  it('keeps what else an answer differs by', async () => {
    const headers = { origin: UI }
    const coded = { target: `/snapshots/${stored.coded}/payload`, headers: { ...headers, 'accept-encoding': 'gzip' } }
    const response = await send(server.url, coded)
    assert.equal(response.headers['content-encoding'], 'gzip')
    assert.deepEqual(listOf(response.headers.vary), ['origin', 'accept-encoding'])
    assertReadable(response, UI)
    const page = await send(server.url, { target: '/graphql', headers: { ...headers, accept: 'text/html' } })
    assert.deepEqual(listOf(page.headers.vary), ['origin', 'accept', 'accept-encoding'])
  })

  it('marks streamed answers, parts of a payload and payloads that the page has', async () => {
    const target = `/snapshots/${stored.object}/payload`
    const whole = await send(server.url, { target, headers: { origin: UI } })
    assert.deepEqual([whole.status, whole.body], [200, LARGE])
    assertReadable(whole, UI)
    const part = await send(server.url, { target, headers: { origin: UI, range: 'bytes=10-19' } })
    assert.deepEqual([part.status, part.body], [206, LARGE.subarray(10, 20)])
    assertReadable(part, UI)
    const etag = String(whole.headers.etag)
    const known = await send(server.url, { target, headers: { origin: UI, 'if-none-match': etag } })
    assert.equal(known.status, 304)
    assertReadable(known, UI)
    const query = '{ snapshot(runId: "run", stepId: "object", useCache: false) { payload } }'
    const streamed = await send(server.url, graphql(query, { origin: UI }))
    assert.ok(streamed.body.includes(LARGE))
    assertReadable(streamed, UI)
  })

  it('marks failures, so that a page can tell them apart', async () => {
    const headers = { origin: UI }
    const failures: readonly (readonly [status: number, request: PlainRequest])[] = [
      [404, { target: '/nothing', headers }],
      [404, { target: '/snapshots/x/payload', headers }],
      [405, { method: 'DELETE', target: '/graphql', headers }],
      [204, { method: 'OPTIONS', target: '/graphql', headers }],
      [200, { target: '/graphql?query={__typename}', headers: { ...headers, 'sec-fetch-site': 'cross-site' } }],
      [403, { target: `${stored.link}x`, headers }],
      [200, graphql('{', headers)],
      [413, { ...graphql('', headers), body: Buffer.alloc(3_000_000, ' ') }],
      [415, { method: 'POST', target: '/graphql', headers: { ...headers, 'content-type': 'text/plain' }, body: '{}' }],
      [416, { target: `/snapshots/${stored.inline}/payload`, headers: { ...headers, range: 'bytes=100-' } }],
    ]
    for (const [status, request] of failures) {
      const response = await send(server.url, request)
      assert.equal(response.status, status, request.target)
      assertReadable(response, UI)
    }
    const refused = await put(server.url, '{', { headers })
    assert.equal(refused.status, 422)
    assertReadable(refused, UI)
  })

  it('marks the answer of an upload that waited to be asked for', async () => {
    const sending = startPut(server.url, { headers: { origin: UI, expect: '100-continue', 'content-length': '7' } })
    const answered = new Promise<IncomingHttpHeaders>((resolve, reject) => {
      sending.once('error', reject).once('continue', () => sending.end(SMALL))
      sending.once('response', (response) => {
        response.resume()
        resolve(response.headers)
      })
    })
    sending.flushHeaders()
    assert.equal(marksOf(await answered)['allow-origin'], UI)
  })

  it('answers the preflight of each route with its methods and with the headers that are asked for', async () => {
    const asked = 'authorization,content-type,graphql-require-preflight,idempotency-key,range'
    for (const [target, methods] of Object.entries(METHODS)) {
      const headers = { origin: LOCAL, 'access-control-request-headers': asked }
      const response = await send(server.url, preflight(target, headers))
      const { 'allow-headers': allowed, ...marks } = marksOf(response.headers)
      assert.equal(response.status, 204, target)
      assert.deepEqual(marks, { 'allow-origin': LOCAL, 'allow-methods': methods, 'max-age': '600' })
      assert.deepEqual(listOf(response.headers.vary), ['origin'])
      assert.equal(response.body.length, 0)
      assert.equal(allowed, asked)
    }
  })

  it('allows whatever tracers and clients of GraphQL send with every request', async () => {
    for (const asked of ['traceparent, tracestate,baggage', 'sentry-trace', 'x-datadog-trace-id', 'x-of-next-year']) {
      const response = await send(
        server.url,
        preflight('/graphql', { origin: UI, 'access-control-request-headers': asked }),
      )
      assert.equal(marksOf(response.headers)['allow-headers'], asked)
    }
  })

  it('gives nothing back that is no list of names', async () => {
    for (const asked of ['', '*;q=1', 'a b', 'a,,b', ',', 'a: b', '"a"', `${'x'.repeat(5000)} y`]) {
      const response = await send(
        server.url,
        preflight('/graphql', { origin: UI, 'access-control-request-headers': asked }),
      )
      assert.deepEqual([response.status, marksOf(response.headers)['allow-headers']], [204, undefined], asked)
    }
  })

  it('refuses the preflight of any other page, and says nothing of what it allows', async () => {
    for (const origin of OTHERS) {
      const response = await send(server.url, preflight('/graphql', { origin }))
      assert.deepEqual([response.status, codesOf(response)], [403, ['FORBIDDEN']], origin)
      assertUnreadable(response, origin)
    }
    const plain = await send(server.url, preflight('/snapshots/x/payload', { origin: 'https://evil.example' }))
    assert.deepEqual([plain.status, JSON.parse(plain.body.toString()).code], [403, 'FORBIDDEN'])
  })

  it('answers no preflight where nothing is served', async () => {
    const response = await send(server.url, preflight('/nothing', { origin: UI }))
    assert.equal(response.status, 404)
    assertReadable(response, UI)
  })

  it('wants a GET query of a page that may not read the answer to show that it is no form', async () => {
    const target = '/graphql?query={__typename}'
    const site = { 'sec-fetch-site': 'cross-site' }
    const shown = { ...site, origin: OTHERS[0] ?? '', 'graphql-require-preflight': '1' }
    for (const [status, headers] of [
      [200, { ...site, origin: UI }],
      [200, { origin: UI }],
      [200, shown],
      [403, { ...site, origin: OTHERS[0] ?? '' }],
      [403, { origin: OTHERS[0] ?? '' }],
      // A form, or an image: those tell no origin.
      [403, site],
    ] as const) {
      assert.equal((await send(server.url, { target, headers })).status, status, JSON.stringify(headers))
    }
  })
})

describe('with all origins', () => {
  let server: TestServer
  before(async () => {
    server = await startServer({ env: { CORS_ORIGINS: '*' } })
  })
  after(() => server[Symbol.asyncDispose]())

  it('lets every page read, without naming it: the answer is the same for all', async () => {
    for (const origin of [undefined, UI, ...OTHERS]) {
      const headers: Record<string, string> = origin === undefined ? {} : { origin }
      for (const target of ['/health/live', '/nothing']) {
        const response = await send(server.url, { target, headers })
        const { 'expose-headers': exposed, ...marks } = marksOf(response.headers)
        assert.deepEqual(marks, { 'allow-origin': '*' }, origin)
        assert.ok(listOf(exposed).includes('etag'))
        assert.equal(response.headers.vary, undefined)
      }
    }
  })

  it('answers every preflight', async () => {
    for (const origin of [UI, 'null']) {
      const asked = { 'access-control-request-headers': 'authorization' }
      const response = await send(server.url, preflight('/graphql', { origin, ...asked }))
      const { 'allow-headers': allowed, ...marks } = marksOf(response.headers)
      assert.equal(response.status, 204)
      assert.deepEqual(marks, { 'allow-origin': '*', 'allow-methods': 'GET, HEAD, POST', 'max-age': '600' })
      // A star would not cover it.
      assert.equal(allowed, 'authorization')
    }
  })
})

describe('without origins', () => {
  it('nothing is sent that a page could read, nor to a preflight', async () => {
    await using server = await startServer()
    for (const target of Object.keys(METHODS)) {
      const response = await send(server.url, preflight(target, { origin: UI }))
      assert.deepEqual(
        [response.status, marksOf(response.headers), response.headers.vary],
        [204, {}, undefined],
        target,
      )
    }
  })
})

describe('under a path that a proxy takes off', () => {
  it('the address of what was captured carries it, and so do links', async () => {
    const port = await freePort()
    const publicUrl = 'https://states.example/base%20path'
    const env = { PORT: String(port), PUBLIC_URL: `${publicUrl}/`, SNAPSHOT_INLINE_MAX_BYTES: '0' }
    await using _server = await startServer({ env })
    const direct = `http://127.0.0.1:${port}`
    const captured = await put(direct, SMALL)
    const path = `/snapshots/${storedOf(captured).snapshotId}/payload`
    assert.equal(captured.headers.location, `/base%20path${path}`)
    const answer = await send(direct, graphql('{ snapshot(runId: "run", stepId: "step") { signedUrl } }'))
    const { data } = JSON.parse(answer.body.toString())
    assert.ok(data.snapshot.signedUrl.startsWith(`${publicUrl}${path}?`))
  })
})
