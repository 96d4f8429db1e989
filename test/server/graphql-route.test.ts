import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { dataOf } from '../support/answers.ts'
import { codesOf, type PlainRequest, send } from '../support/http.ts'
import { put } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const NEWER = { accept: 'application/graphql-response+json' }
const PLAIN_TYPE = 'application/json; charset=utf-8'
const NEWER_TYPE = 'application/graphql-response+json; charset=utf-8'
const READ = 'query Read($runId: String = "r") { run(runId: $runId) { runId } }'
const WRITE = 'mutation { upsertRun(input: { runId: "forged" }) { runId } }'
const READ_BODY = JSON.stringify({ query: READ })
const WRITE_BODY = JSON.stringify({ query: WRITE })

const getTarget = (query: string) => `/graphql?query=${encodeURIComponent(query)}`

let server: TestServer

before(async () => {
  server = await startServer()
})
after(() => server[Symbol.asyncDispose]())
beforeEach(() => {
  server.statements.length = 0
})

async function assertRefused(request: PlainRequest, expected: { readonly status: number; readonly code: string }) {
  const response = await send(server.url, request)
  const shown = JSON.stringify(request).slice(0, 300)
  assert.equal(response.status, expected.status, shown)
  assert.match(String(response.headers['content-type']), /^application\/(graphql-response\+)?json; charset=utf-8$/)
  assert.deepEqual(codesOf(response), [expected.code], shown)
  assert.deepEqual(Object.keys(JSON.parse(response.body.toString())), ['errors'])
  assert.deepEqual(server.statements, [], shown)
  return response
}

describe('GET /graphql', () => {
  it('refuses a query that a page of another site has the browser send', async () => {
    const refusal = { status: 403, code: 'FORBIDDEN' }
    const foreign: readonly Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
    ]
    for (const headers of foreign) await assertRefused({ target: getTarget(READ), headers }, refusal)
    for (const type of ['text/plain', 'application/json;charset=utf-7', 'multipart/form-data']) {
      const headers = { 'sec-fetch-site': 'cross-site', 'content-type': type }
      await assertRefused({ target: getTarget(READ), headers }, refusal)
    }
  })

  it('answers a query of whoever is no browser, of its own pages, and with a header that wants a preflight', async () => {
    const wanted = ['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with']
    const foreign = { 'sec-fetch-site': 'cross-site' }
    const asked = [...wanted.map((name) => ({ ...foreign, [name]: '1' })), { ...foreign, ...JSON_TYPE }]
    for (const headers of [{}, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }, ...asked]) {
      const { status, body } = await send(server.url, { target: getTarget(READ), headers })
      assert.deepEqual([status, body.toString()], [200, '{"data":{"run":null}}'])
    }
  })

  it('takes an empty parameter for one that is not there', async () => {
    for (const rest of ['variables=', 'extensions=', 'operationName=', 'variables=null', 'documentId=&variables=&x=']) {
      const { status, body } = await send(server.url, { target: `${getTarget(READ)}&${rest}` })
      assert.deepEqual([status, body.toString()], [200, '{"data":{"run":null}}'], rest)
    }
  })

  it('takes variables, the name of the operation and the trailing slash', async () => {
    const query = `${READ} query Other { nothing: run(runId: "x") { runId } }`
    const target = `/graphql/?query=${encodeURIComponent(query)}&operationName=Read&variables=${encodeURIComponent('{"runId":"a b"}')}`
    const { status, body } = await send(server.url, { target, headers: { 'x-requested-with': '1' } })
    assert.deepEqual([status, body.toString()], [200, '{"data":{"run":null}}'])
  })

  it('refuses a mutation, and says which method takes it', async () => {
    const request = { target: getTarget(WRITE), headers: { 'graphql-require-preflight': '1' } }
    const { headers } = await assertRefused(request, { status: 405, code: 'BAD_REQUEST' })
    assert.equal(headers.allow, 'POST')
  })

  it('refuses it as well once a POST has run the same text', async () => {
    const text = WRITE.replace('forged', 'asked for')
    for (let i = 0; i < 3; i++) await dataOf(server.graphql(text))
    server.statements.length = 0
    const request = { target: getTarget(text), headers: { 'graphql-require-preflight': '1' } }
    await assertRefused(request, { status: 405, code: 'BAD_REQUEST' })
    assert.deepEqual(server.statements, [])
  })

  it('shows GraphiQL to a browser, also with a query in the address, and runs nothing', async () => {
    const headers = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', 'accept-encoding': 'gzip, br' }
    const plain = await send(server.url, { target: '/graphql', headers: { accept: 'text/html' } })
    const zipped = await send(server.url, { target: getTarget(WRITE), headers })
    assert.deepEqual([plain.status, zipped.status], [200, 200])
    assert.match(String(plain.headers['content-type']), /^text\/html/)
    assert.deepEqual(gunzipSync(zipped.body), plain.body)
    assert.match(String(plain.headers['content-security-policy']), /default-src 'self';.*frame-ancestors 'none'/)
    const again = { ...headers, 'if-none-match': String(zipped.headers.etag) }
    const kept = await send(server.url, { target: '/graphql', headers: again })
    assert.deepEqual([kept.status, kept.body.length], [304, 0])
    assert.deepEqual(server.statements, [])
  })

  it('refuses what is no operation', async () => {
    const headers = NEWER
    for (const target of [
      '/graphql?variables=%7B%7D',
      `${getTarget(READ)}&variables=%7B`,
      `${getTarget(READ)}&variables=%5B%5D`,
      `${getTarget(READ)}&variables=7`,
      `${getTarget(READ)}&extensions=7`,
      `${getTarget(READ)}&operationName=Nobody`,
    ]) {
      await assertRefused({ target, headers }, { status: 400, code: 'BAD_REQUEST' })
    }
    await assertRefused({ target: '/graphql?query=', headers }, { status: 400, code: 'BAD_REQUEST' })
    await assertRefused({ target: getTarget('{'), headers }, { status: 400, code: 'GRAPHQL_PARSE_FAILED' })
    await assertRefused({ target: getTarget('{ x }'), headers }, { status: 400, code: 'GRAPHQL_VALIDATION_FAILED' })
  })
})

describe('POST /graphql', () => {
  it('runs nothing of a body that is not declared as JSON in UTF-8', async () => {
    const form = `query=${encodeURIComponent(WRITE)}`
    const part = `--b\r\ncontent-disposition: form-data; name="operations"\r\n\r\n${WRITE_BODY}\r\n--b--\r\n`
    const bodies: readonly (readonly [string | null, string])[] = [
      ['application/x-www-form-urlencoded', form],
      ['multipart/form-data; boundary=b', part],
      ['text/plain', WRITE_BODY],
      [null, WRITE_BODY],
      ['application/json;charset=utf-7', WRITE_BODY],
      ['application/json;charset=utf-16', Buffer.from(WRITE_BODY, 'utf16le').toString('latin1')],
      ['application/json, text/plain', WRITE_BODY],
      ['application/jsonp', WRITE_BODY],
      ['application/graphql', WRITE],
    ]
    for (const [type, body] of bodies) {
      const headers: Record<string, string> = type === null ? {} : { 'content-type': type }
      const request = { method: 'POST', target: '/graphql', headers, body }
      await assertRefused(request, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
    }
  })

  it('takes JSON however its type is spelled', async () => {
    const parameters = [
      '',
      ' ; charset="UTF-8"',
      ';charset=utf8',
      ';',
      '; charset=utf-8;',
      '; version=1; profile="a;b"',
    ]
    for (const type of [...parameters.map((text) => `application/json${text}`), 'Application/JSON']) {
      const headers = { 'content-type': type }
      const { status } = await send(server.url, { method: 'POST', target: '/graphql', headers, body: READ_BODY })
      assert.equal(status, 200, type)
    }
  })

  const postCoded = (encoding: string, body: Buffer) => ({
    method: 'POST',
    target: '/graphql',
    headers: { ...JSON_TYPE, ...NEWER, 'content-encoding': encoding },
    body,
  })

  it('inflates a body in one of the codings that captures may have', async () => {
    const plain = Buffer.from(READ_BODY)
    const gzip = gzipSync(plain)
    const bodies: readonly (readonly [string, Buffer])[] = [
      ['gzip', gzip],
      ['X-GZIP', gzip],
      ['identity, gzip,', gzip],
      ['zstd', zstdCompressSync(plain)],
      ['identity', plain],
      ['', plain],
    ]
    for (const [encoding, body] of bodies) {
      const { status, body: answer } = await send(server.url, postCoded(encoding, body))
      assert.deepEqual([status, answer.toString()], [200, '{"data":{"run":null}}'], encoding)
    }
  })

  it('tells which codings there are to one in another, or in several', async () => {
    const encodings = { br: brotliCompressSync, deflate: deflateSync, 'gzip, gzip': gzipSync, aes: gzipSync }
    for (const [encoding, compress] of Object.entries(encodings)) {
      const request = postCoded(encoding, compress(WRITE_BODY))
      const { headers } = await assertRefused(request, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
      assert.equal(headers['accept-encoding'], 'gzip, zstd')
    }
  })

  it('runs nothing of a coded body that is not whole, or holds more than a body may', async () => {
    const gzip = gzipSync(WRITE_BODY)
    const bodies = [
      gzip.subarray(0, -4),
      Buffer.concat([gzip, Buffer.from('x')]),
      Buffer.from(WRITE_BODY),
      Buffer.alloc(0),
    ]
    for (const body of bodies) {
      await assertRefused(postCoded('gzip', body), { status: 400, code: 'BAD_REQUEST' })
    }
    const bomb = gzipSync(Buffer.concat([Buffer.from(WRITE_BODY), Buffer.alloc(100_000_000, ' ')]))
    await assertRefused(postCoded('gzip', bomb), { status: 413, code: 'PAYLOAD_TOO_LARGE' })
  })

  it('passes over a mark of the byte order', async () => {
    const body = `\ufeff${READ_BODY}`
    const { status } = await send(server.url, { method: 'POST', target: '/graphql', headers: JSON_TYPE, body })
    assert.equal(status, 200)
  })

  it('tells clients that send a hash first to send the query, and says so of ids of documents', async () => {
    const extensions = { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } }
    const hashed = { extensions, variables: {}, operationName: 'Read' }
    const target = `/graphql?extensions=${encodeURIComponent(JSON.stringify(extensions))}`
    const requests = [{ method: 'POST', target: '/graphql', body: JSON.stringify(hashed) }, { target }]
    for (const request of requests) {
      for (const [headers, status] of [
        [JSON_TYPE, 200],
        [{ ...JSON_TYPE, ...NEWER }, 400],
      ] as const) {
        const { body } = await assertRefused({ ...request, headers }, { status, code: 'PERSISTED_QUERY_NOT_SUPPORTED' })
        assert.equal(JSON.parse(body.toString()).errors[0].message, 'PersistedQueryNotSupported')
      }
    }
    const both = JSON.stringify({ query: READ, extensions })
    const { status } = await send(server.url, { method: 'POST', target: '/graphql', headers: JSON_TYPE, body: both })
    assert.equal(status, 200)
    server.statements.length = 0
    const byId = { method: 'POST', target: '/graphql', headers: JSON_TYPE, body: '{"documentId":"sha256:1"}' }
    for (const request of [byId, { target: '/graphql?documentId=1' }]) {
      const { body } = await assertRefused(request, { status: 400, code: 'BAD_REQUEST' })
      assert.match(body.toString(), /documentId/)
    }
  })

  it('refuses batches and whatever else is no operation', async () => {
    const operations = [`[${READ_BODY},${READ_BODY}]`, `[${WRITE_BODY}]`, '[]']
    const others = ['', 'x', 'null', '7', '"x"', '{}', '{"query":7}', '{"query":{}}']
    const parts = ['{"query":"{ __typename }","variables":7}', '{"query":"{ __typename }","variables":[]}']
    const names = [
      '{"query":"{ __typename }","operationName":7}',
      '{"query":"{ __typename }","operationName":"Nobody"}',
    ]
    for (const body of [...operations, ...others, ...parts, ...names]) {
      const request = { method: 'POST', target: '/graphql', headers: { ...JSON_TYPE, ...NEWER }, body }
      await assertRefused(request, { status: 400, code: 'BAD_REQUEST' })
    }
  })

  it('refuses bytes that are no UTF-8', async () => {
    const body = Buffer.concat([Buffer.from('{"query":"{ __typename #'), Buffer.from([0xff]), Buffer.from('"}')])
    const request = { method: 'POST', target: '/graphql', headers: JSON_TYPE, body }
    await assertRefused(request, { status: 400, code: 'BAD_REQUEST' })
  })
})

describe('the answer of /graphql', () => {
  const post = (query: string, accept?: string) =>
    send(server.url, {
      method: 'POST',
      target: '/graphql',
      headers: { ...JSON_TYPE, ...(accept === undefined ? {} : { accept }) },
      body: JSON.stringify({ query }),
    })

  it('has the media type that the client wants most; the newer one only where it is named', async () => {
    const wishes: Readonly<Record<string, string>> = {
      'application/graphql-response+json': NEWER_TYPE,
      'Application/GraphQL-Response+JSON; charset=utf-8': NEWER_TYPE,
      'application/json;q=0.5, application/graphql-response+json': NEWER_TYPE,
      'application/graphql-response+json, application/json, */*': NEWER_TYPE,
      'application/graphql-response+json;q=0.9, application/json': PLAIN_TYPE,
      'application/graphql-response+json;q=0, application/json': PLAIN_TYPE,
      'application/json;q=0, */*': NEWER_TYPE,
      'APPLICATION/JSON;q=0.1': PLAIN_TYPE,
      'application/*': PLAIN_TYPE,
      '*/*': PLAIN_TYPE,
      '': PLAIN_TYPE,
      'text/html, application/json': PLAIN_TYPE,
    }
    for (const [accept, type] of Object.entries(wishes)) {
      const { status, headers } = await post(READ, accept)
      assert.deepEqual([status, headers['content-type']], [200, type], accept)
    }
    assert.equal((await post(READ)).headers['content-type'], PLAIN_TYPE)
  })

  it('is 406 to a client that takes neither, before anything runs', async () => {
    const others = ['text/plain', 'text/html', 'image/png, application/xml', 'application/graphql+json', '*/*;q=0']
    for (const accept of [...others, 'multipart/mixed']) {
      const headers = { ...JSON_TYPE, accept }
      const request = { method: 'POST', target: '/graphql', headers, body: WRITE_BODY }
      await assertRefused(request, { status: 406, code: 'BAD_REQUEST' })
    }
  })

  it('is one event in a stream to who would rather have that than JSON, whatever the operation', async () => {
    const asEvent = (result: object) =>
      `: events follow\nretry: 2000\n\nevent: next\ndata: ${JSON.stringify(result)}\n\nevent: complete\ndata:\n\n`
    for (const accept of ['text/event-stream', 'text/event-stream, application/json;q=0.5']) {
      const { status, headers, body } = await post('{ __typename }', accept)
      assert.deepEqual([status, headers['content-type']], [200, 'text/event-stream; charset=utf-8'])
      assert.equal(body.toString(), asEvent({ data: { __typename: 'Query' } }))
    }
    const refused = await post('{ nothing }', 'text/event-stream')
    assert.match(refused.body.toString(), /\nevent: next\ndata: \{"errors":\[\{.*\}\]\}\n\nevent: complete\ndata:\n\n$/)
    for (const accept of ['text/event-stream, */*', 'application/graphql-response+json, text/event-stream']) {
      assert.match(String((await post('{ __typename }', accept)).headers['content-type']), /json/)
    }
  })

  it('holds a payload in one line of an event, and none that is too large for one', async () => {
    const pretty = '{\n  "a": "x\\ny",\r\n  "b": 1.0\n}'
    await put(server.url, pretty, { runId: 'lines' })
    await put(server.url, JSON.stringify('x'.repeat(5_000_000)), { runId: 'lines', stepId: 'large' })
    const state = (stepId: string) => `snapshot(runId: "lines", stepId: "${stepId}") { payload }`
    const { body } = await post(`{ step: ${state('step')} large: ${state('large')} }`, 'text/event-stream')
    const [, line = ''] = /^data: (.+)$/m.exec(body.toString()) ?? []
    assert.ok(line.includes(`{"payload":${pretty.replaceAll(/[\r\n]/g, ' ')}}`), line)
    const { data, errors } = JSON.parse(line)
    assert.deepEqual([data.large.payload, errors[0].extensions.code], [null, 'PAYLOAD_TOO_LARGE'])
    assert.deepEqual(errors[0].path, ['large', 'payload'])
  })

  it('is the page only to who names HTML, and likes nothing better', async () => {
    const isPage = async (accept: string) => {
      const { headers } = await send(server.url, { target: getTarget(READ), headers: { accept } })
      return String(headers['content-type']).startsWith('text/html')
    }
    const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
    for (const accept of [browser, 'Text/HTML', 'text/html, application/json']) assert.ok(await isPage(accept), accept)
    for (const accept of ['*/*', 'application/json, text/html;q=0.9', 'text/html;q=0, */*', 'text/htmlx, */*']) {
      assert.ok(!(await isPage(accept)), accept)
    }
  })

  it('has status 200 in the older media type for a request that could be read, and 400 in the newer one where nothing ran', async () => {
    const deep = `{ run(runId: "r") ${'{ parentRun '.repeat(20)} { runId } ${'}'.repeat(20)} }`
    const required = 'query ($id: String!) { run(runId: $id) { runId } }'
    const several = 'query A { __typename } query B { __typename }'
    for (const query of ['{', '{ nothing }', deep, required, several]) {
      const newer = await post(query, NEWER.accept)
      const older = await post(query, 'application/json')
      assert.deepEqual([newer.status, older.status], [400, 200], query)
      assert.deepEqual([newer.headers['content-type'], older.headers['content-type']], [NEWER_TYPE, PLAIN_TYPE])
      assert.deepEqual(codesOf(newer), codesOf(older))
    }
  })

  it('has the media type that was asked for where nothing could be read, and its status in both', async () => {
    const bad: readonly (readonly [number, PlainRequest])[] = [
      [400, { method: 'POST', target: '/graphql', headers: JSON_TYPE, body: '{' }],
      [413, { method: 'POST', target: '/graphql', headers: JSON_TYPE, body: Buffer.alloc(2_700_000, ' ') }],
      [415, { method: 'POST', target: '/graphql', headers: { 'content-type': 'text/plain' }, body: WRITE_BODY }],
      [403, { target: getTarget(READ), headers: { 'sec-fetch-site': 'cross-site' } }],
      [405, { method: 'PUT', target: '/graphql' }],
      [405, { target: getTarget(WRITE) }],
    ]
    for (const [status, request] of bad) {
      for (const [accept, type] of [
        ['application/graphql-response+json, application/json;q=0.9', NEWER_TYPE],
        ['*/*', PLAIN_TYPE],
      ] as const) {
        const answer = await send(server.url, { ...request, headers: { ...request.headers, accept } })
        assert.deepEqual([answer.status, answer.headers['content-type']], [status, type], request.target)
      }
    }
  })

  it('is the same whatever was asked before', async () => {
    const requests = [
      { query: READ },
      { query: READ, operationName: '' },
      { query: READ, operationName: null },
      { query: READ, operationName: 'Read' },
      { query: READ, operationName: 'read' },
      { query: READ, variables: null },
      { query: READ, variables: { runId: null } },
      { query: READ, variables: { runId: 7 } },
      { query: '{ again: __typename }', operationName: '' },
      { query: '{ again: __typename }' },
    ]
    const ask = async (body: object) => {
      const request = { method: 'POST', target: '/graphql', headers: { ...JSON_TYPE, ...NEWER } }
      const { status, body: answer } = await send(server.url, { ...request, body: JSON.stringify(body) })
      return `${status} ${answer}`
    }
    const rounds: string[][] = []
    for (let round = 0; round < 3; round++) {
      const answers: string[] = []
      for (const body of round === 1 ? requests.toReversed() : requests) answers.push(await ask(body))
      rounds.push(round === 1 ? answers.reverse() : answers)
    }
    assert.deepEqual(rounds[1], rounds[0])
    assert.deepEqual(rounds[2], rounds[0])
    assert.equal(new Set(rounds[0]).size, 5)
  })

  it('names no field that the client did not ask for', async () => {
    const { body } = await post('{ runz { edgez } }')
    assert.doesNotMatch(body.toString(), /did you mean|"runs"/i)
  })

  it('lists the routes own methods to every other one', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      const request = { method, target: '/graphql', headers: JSON_TYPE, body: WRITE_BODY }
      const { headers } = await assertRefused(request, { status: 405, code: 'BAD_REQUEST' })
      assert.equal(headers.allow, 'GET, HEAD, POST, OPTIONS')
    }
  })
})
