import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLogger } from '../../src/log.ts'
import { serveRoutes } from '../support/front.ts'
import { send } from '../support/http.ts'
import { put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'

interface Line {
  readonly msg: string
  readonly request?: string
  readonly method?: string
  readonly path?: string
  readonly err: { readonly code?: string }
}

/** A log, and its lines so far. */
function createLog() {
  const lines: Line[] = []
  const output = { write: (line: string) => void lines.push(JSON.parse(line)) }
  return { lines, log: createLogger({ level: 'error', output }) }
}

describe('a failure whose cause clients do not see', () => {
  it('D13: is logged with the request that it happened in, and the answer names that', async () => {
    const { lines, log } = createLog()
    await using server = await startServer({ log })
    const { snapshotId } = storedOf(await put(server.url, '[1]'))
    const target = `/snapshots/${snapshotId}/payload`
    const refused = await send(server.url, { target: `${target}?sig=canary`, headers: { 'x-request-id': 'told-1' } })
    assert.deepEqual([refused.status, refused.headers['x-request-id'], lines], [403, undefined, []])
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
