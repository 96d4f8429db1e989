import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createLogger } from '../../src/log.ts'
import type { Handler } from '../../src/server/http.ts'
import { behindProxy } from '../support/behind.ts'
import { freshDatabase } from '../support/database.ts'
import { serveRoutes } from '../support/front.ts'
import { type PlainRequest, send } from '../support/http.ts'
import { filesBelow } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'

interface Line {
  readonly level: number
  readonly msg: string
  readonly request?: string
  readonly method?: string
  readonly path?: string
  readonly err: { readonly code?: string }
  readonly operation?: string
  readonly codes?: readonly string[]
  readonly status?: number
  readonly millis: number
  readonly bytes: number
  readonly isCut?: boolean
}

/** A log, and its lines so far. */
function createLog(level = 'error') {
  const lines: Line[] = []
  const output = { write: (line: string) => void lines.push(JSON.parse(line)) }
  return { lines, log: createLogger({ level, output }) }
}

describe('a failure whose cause clients do not see', () => {
  it('D13: is logged with the request that it happened in, and the answer names that', async () => {
    const { lines, log } = createLog()
    await using server = await startServer({ log })
    const { snapshotId } = storedOf(await put(server.url, '[1]'))
    const target = `/snapshots/${snapshotId}/payload`
    const refused = await send(server.url, { target: `${target}?sig=canary`, headers: { 'x-request-id': 'told-1' } })
    assert.deepEqual([refused.status, refused.headers['x-request-id'], lines], [403, 'told-1', []])
    await query(server.databaseUrl, 'alter table state_snapshots rename to gone')
    const failed = await send(server.url, { target: `${target}?sig=canary`, headers: { 'x-request-id': 'told-2' } })
    assert.deepEqual([failed.status, failed.headers['x-request-id']], [500, 'told-2'])
    const [{ request, method, path, err } = assert.fail('no line')] = lines
    assert.deepEqual([request, method, path, err.code], ['told-2', 'GET', target, '42P01'])
    assert.doesNotMatch(JSON.stringify(lines), /canary/)
  })

  it('D13: is told with its request where GraphQL met it, too, each with its own', async () => {
    const { lines, log } = createLog()
    await using server = await startServer({ log })
    await query(server.databaseUrl, 'alter table statelens_runs rename to gone')
    const ask = (id: string) =>
      send(server.url, {
        method: 'POST',
        target: '/graphql',
        headers: { 'content-type': 'application/json', 'x-request-id': id },
        body: JSON.stringify({ query: '{ run(runId: "r") { status } }' }),
      })
    const ids = ['a-1', 'a-2', 'a-3', 'a-4']
    const answers = await Promise.all(ids.map(ask))
    for (const [index, { status, headers }] of answers.entries()) {
      assert.deepEqual([status, headers['x-request-id']], [200, ids[index]])
    }
    assert.deepEqual(lines.map(({ request }) => request).toSorted(), ids)
    assert.deepEqual(new Set(lines.map(({ method, path }) => `${method} ${path}`)), new Set(['POST /graphql']))
  })

  it('G12: is an object of this server that is gone, and none that its writer took away', async () => {
    const { lines, log } = createLog('warn')
    await using server = await startServer({ log, env: { SNAPSHOT_INLINE_MAX_BYTES: '10' } })
    lines.length = 0
    const foreign = await insertForeign(server.databaseUrl, { storageUri: 'file:///taken/away.json' })
    const { snapshotId: own } = storedOf(await put(server.url, '"more than ten bytes"'))
    const [object = ''] = await filesBelow(server.storagePath)
    await rm(join(server.storagePath, object))
    for (const [id, expected] of [
      [foreign, 0],
      [own, 2],
    ] as const) {
      const { errors } = await server.graphql(`{ snapshotById(snapshotId: "${id}") { payload } }`)
      assert.ok(errors?.[0]?.extensions.code)
      assert.ok((await send(server.url, { target: `/snapshots/${id}/payload` })).status >= 400)
      assert.equal(lines.length, expected, JSON.stringify(lines))
    }
  })

  it('is one line in ten seconds where hundreds of requests meet it', async () => {
    const { lines, log } = createLog('warn')
    await using database = await freshDatabase()
    await using behind = await behindProxy(database.url)
    await using server = await startServer({ log, store: { databaseUrl: behind.url, storagePath: '/nowhere' } })
    await behind.proxy.refuse()
    behind.proxy.resetNow()
    lines.length = 0
    const ask = () => server.graphql('{ run(runId: "r") { status } }')
    for (const { errors } of await Promise.all(Array.from({ length: 200 }, ask))) {
      assert.equal(errors?.[0]?.extensions.code, 'DATABASE_UNAVAILABLE')
    }
    const told = lines.filter(({ msg }) => msg === 'request failed')
    // One for each way in which connections fail: refused, or lost.
    assert.ok(told.length >= 1 && told.length <= 3, `${told.length} lines`)
    await behind.proxy.heal()
  })

  it('D13: gets an id of its own where the client told none, or none that a log should hold', async () => {
    const { lines, log } = createLog()
    const methods = { GET: () => Promise.reject(new TypeError('unforeseen')) }
    await using front = await serveRoutes([{ path: /^\/$/, methods }], { log })
    for (const told of [undefined, 'has spaces', '"quoted"', 'x'.repeat(129)]) {
      const headers: Record<string, string> = told === undefined ? {} : { 'x-request-id': told }
      const { status, headers: answered } = await send(front.url, { target: '/', headers })
      assert.equal(status, 500)
      assert.match(String(answered['x-request-id']), /^[\da-f-]{36}$/)
      assert.equal(lines.at(-1)?.request, answered['x-request-id'])
    }
  })
})

describe('the line of a request', () => {
  const post = (body: object): PlainRequest => ({
    method: 'POST',
    target: '/graphql',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify(body),
  })

  it('says what was asked and what became of it, under the id that the answer has', async () => {
    const { lines, log } = createLog('debug')
    await using server = await startServer({ log })
    const secret = 'canary'
    const requests: readonly (readonly [PlainRequest, Partial<Line>])[] = [
      [post({ query: 'query Named { __typename }' }), { operation: 'Named', status: 200 }],
      [
        post({ query: 'query A { __typename } query B { __typename }', operationName: 'B' }),
        { operation: 'B', status: 200 },
      ],
      [post({ query: '{ __typename }' }), { status: 200 }],
      [
        post({ query: 'query($i: ID!) { node(id: $i) { id } }', variables: { i: secret } }),
        { status: 200, codes: ['BAD_REQUEST'] },
      ],
      [post({ query: '{' }), { status: 400, codes: ['GRAPHQL_PARSE_FAILED'] }],
      [{ target: `/snapshots/x/payload?sig=${secret}` }, { path: '/snapshots/x/payload', status: 403 }],
      [
        { target: '/nowhere', method: 'DELETE' },
        { method: 'DELETE', path: '/nowhere', status: 404 },
      ],
      [{ target: `/${'x'.repeat(3000)}` }, { path: `/${'x'.repeat(199)}`, status: 404 }],
      [{ target: '/health/live' }, { path: '/health/live', status: 200, level: 20 }],
    ]
    for (const [request, expected] of requests) {
      lines.length = 0
      const { headers, body } = await send(server.url, request)
      await eventually(async () => assert.equal(lines.length, 1))
      const [line = assert.fail('no line')] = lines
      assert.deepEqual({ ...line, ...expected }, line)
      assert.deepEqual([line.msg, line.request], ['request', headers['x-request-id']])
      assert.ok(line.bytes > body.length && line.millis >= 0 && line.isCut === undefined)
      if (expected.level === undefined) assert.equal(line.level, 30)
      assert.doesNotMatch(JSON.stringify(line), /canary/)
    }
  })

  it('tells of an answer that was cut', async () => {
    const { lines, log } = createLog('info')
    const GET: Handler = async ({ response }) => {
      response.writeHead(200).write('some')
      throw new TypeError('unforeseen')
    }
    await using front = await serveRoutes([{ path: /^\/$/, methods: { GET } }], { log, logRequests: true })
    await assert.rejects(send(front.url, { target: '/' }))
    await eventually(async () => assert.equal(lines.length, 2))
    assert.deepEqual([lines[1]?.status, lines[1]?.isCut, lines[1]?.request], [200, true, lines[0]?.request])
  })

  it('is not there when nobody wants it', async () => {
    const { lines, log } = createLog('info')
    await using server = await startServer({ log, env: { LOG_REQUESTS: 'false' } })
    lines.length = 0
    await send(server.url, post({ query: '{ __typename }' }))
    assert.deepEqual(lines, [])
  })
})
