import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync } from 'node:zlib'
import { dataOf } from '../support/answers.ts'
import { codesOf, type PlainRequest, send } from '../support/http.ts'
import { startServer, type TestServer } from '../support/server.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
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
  it('refuses a query that a form of a foreign page could send', async () => {
    const refusal = { status: 403, code: 'FORBIDDEN' }
    await assertRefused({ target: getTarget(READ) }, refusal)
    for (const type of ['text/plain', 'application/json;charset=utf-7', 'multipart/form-data']) {
      await assertRefused({ target: getTarget(READ), headers: { 'content-type': type } }, refusal)
    }
  })

  it('answers a query with a header that wants a preflight', async () => {
    const wanted = ['graphql-require-preflight', 'apollo-require-preflight', 'x-requested-with']
    for (const headers of [...wanted.map((name) => ({ [name]: '1' })), JSON_TYPE]) {
      const { status, body } = await send(server.url, { target: getTarget(READ), headers })
      assert.deepEqual([status, body.toString()], [200, '{"data":{"run":null}}'])
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
    const headers = { 'graphql-require-preflight': '1' }
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
    await assertRefused({ target: '/graphql?query=', headers }, { status: 400, code: 'GRAPHQL_PARSE_FAILED' })
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
    for (const type of ['application/json', 'Application/JSON ; charset="UTF-8"', 'application/json;charset=utf8']) {
      const headers = { 'content-type': type }
      const { status } = await send(server.url, { method: 'POST', target: '/graphql', headers, body: READ_BODY })
      assert.equal(status, 200, type)
    }
  })

  it('inflates no compressed body', async () => {
    const encodings = {
      gzip: gzipSync,
      br: brotliCompressSync,
      deflate: deflateSync,
      zstd: gzipSync,
      'gzip, gzip': gzipSync,
    }
    for (const [encoding, compress] of Object.entries(encodings)) {
      const headers = { ...JSON_TYPE, 'content-encoding': encoding }
      const request = { method: 'POST', target: '/graphql', headers, body: compress(WRITE_BODY) }
      await assertRefused(request, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
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
      const request = { method: 'POST', target: '/graphql', headers: JSON_TYPE, body }
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

  it('has the media type that the client asked for', async () => {
    const wishes = {
      'application/graphql-response+json': 'application/graphql-response+json; charset=utf-8',
      'application/json': 'application/json; charset=utf-8',
      'application/json;q=0.5, application/graphql-response+json': 'application/graphql-response+json; charset=utf-8',
      '*/*': 'application/graphql-response+json; charset=utf-8',
      'text/html, application/json': 'application/json; charset=utf-8',
    }
    for (const [accept, type] of Object.entries(wishes)) {
      const { status, headers } = await post(READ, accept)
      assert.deepEqual([status, headers['content-type']], [200, type], accept)
    }
    assert.equal((await post(READ)).headers['content-type'], 'application/graphql-response+json; charset=utf-8')
  })

  it('is refused to a client that takes neither, before anything runs', async () => {
    for (const accept of ['text/plain', 'text/html', 'image/png, application/xml']) {
      const headers = { ...JSON_TYPE, accept }
      const request = { method: 'POST', target: '/graphql', headers, body: WRITE_BODY }
      await assertRefused(request, { status: 400, code: 'BAD_REQUEST' })
    }
  })

  it('has status 400 for an operation that is refused, but 200 in the older media type', async () => {
    for (const query of ['{', '{ nothing }']) {
      const newer = await post(query, 'application/graphql-response+json')
      const older = await post(query, 'application/json')
      assert.deepEqual([newer.status, older.status], [400, 200], query)
      assert.deepEqual(codesOf(newer), codesOf(older))
    }
  })

  it('names no field that the client did not ask for', async () => {
    const { body } = await post('{ runz { edgez } }')
    assert.doesNotMatch(body.toString(), /did you mean|"runs"/i)
  })

  it('lists the routes own methods to every other one', async () => {
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const request = { method, target: '/graphql', headers: JSON_TYPE, body: WRITE_BODY }
      const { headers } = await assertRefused(request, { status: 405, code: 'BAD_REQUEST' })
      assert.equal(headers.allow, 'GET, HEAD, POST')
    }
  })
})
