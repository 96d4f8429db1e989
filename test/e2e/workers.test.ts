import assert from 'node:assert/strict'
import { appendFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { createToken, formatTokenEntry } from '../../src/auth/tokens.ts'
import { freshDatabase } from '../support/database.ts'
import { send } from '../support/http.ts'
import { startProcess } from '../support/process.ts'
import { eventually, put, startPut, storedOf } from '../support/put.ts'
import { startLoad } from '../support/steady-load.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { tokensFor } from '../support/tokens.ts'
import { watchBy } from '../support/watching.ts'
import { startWorkers, type WorkersServer } from '../support/workers.ts'

const RUNS = '{ runs(first: 5) { nodes { runId } } }'
const EVENTS = 'subscription ($runId: String!) { runEvents(runId: $runId) { __typename } }'
const LARGE = JSON.stringify({ text: 'x'.repeat(3_000_000) })

/** Which workers answered the requests with these ids. */
function workersOf({ lines }: WorkersServer, isMeant: (request: string) => boolean): ReadonlySet<unknown> {
  return new Set(lines().flatMap(({ request, worker }) => (request && isMeant(request) ? [worker] : [])))
}

describe('several workers', () => {
  let server: WorkersServer
  before(async () => {
    server = await startWorkers({
      RATE_LIMIT_PER_MINUTE: '100000',
      EVENT_STREAMS_PER_VIEWER_MAX: '3',
      LOG_LEVEL: 'debug',
      DRAIN_DELAY_SECONDS: '1',
    })
  })
  after(() => server[Symbol.asyncDispose]())

  it('share one port, one store and the secret of links', async () => {
    const { snapshotId } = storedOf(await put(server.url, LARGE, { runId: 'shared' }))
    const { data } = await server.graphql<{ snapshotById: { download: { url: string } } }>(
      '($id: ID!) { snapshotById(snapshotId: $id) { download { url } } }'.replace('(', 'query ('),
      { id: snapshotId },
    )
    const link = new URL(data.snapshotById.download.url)
    for (let i = 0; i < 6; i++) {
      const headers = { 'x-request-id': `link-${i}` }
      const answer = await send(server.url, { target: `${link.pathname}${link.search}`, headers })
      assert.deepEqual([answer.status, answer.body.length], [200, LARGE.length])
    }
    await eventually(async () => assert.equal(workersOf(server, (id) => id.startsWith('link-')).size, 2))
  })

  it('tell each other’s events, and count subscriptions together', async () => {
    await server.graphql('mutation { upsertRun(input: { runId: "watched", status: RUNNING }) { runId } }')
    const streams = await Promise.all(
      (['SSE', 'SSE', 'WebSocket'] as const).map((way) =>
        watchBy(way, server.url, EVENTS, { variables: { runId: 'watched' } }),
      ),
    )
    for (const stream of streams) await stream.until('CaughtUp')
    const headers = { accept: 'text/event-stream', 'content-type': 'application/json' }
    const body = JSON.stringify({ query: EVENTS, variables: { runId: 'watched' } })
    for (let i = 0; i < 4; i++) {
      const refused = await send(server.url, { method: 'POST', target: '/graphql', headers, body })
      assert.equal(refused.status, 503)
      assert.match(refused.body.toString(), /OVERLOADED.*|You have 3 subscriptions/)
    }
    assert.equal((await put(server.url, '1', { runId: 'watched' })).status, 201)
    for (const stream of streams) {
      await stream.until('SnapshotCaptured')
      await stream[Symbol.asyncDispose]()
    }
    // Places that were left are free again, whichever worker had them.
    await eventually(async () => {
      const again = await watchBy('SSE', server.url, EVENTS, { variables: { runId: 'watched' } })
      assert.equal((await again.next())?.errors, undefined)
      await again[Symbol.asyncDispose]()
    })
  })

  it('are counted together, whichever is asked', async () => {
    const counted = async () => {
      const text = String((await send(server.url, { target: '/metrics' })).body)
      const [, count] = /^statelens_http_requests_total\{[^}]*route="\/health\/live"[^}]*\} (\d+)$/m.exec(text) ?? []
      return Number(count)
    }
    for (let i = 0; i < 8; i++) await send(server.url, { target: '/health/live' })
    await eventually(async () => assert.deepEqual([await counted(), await counted(), await counted()], [8, 8, 8]))
  })

  it('are restarted one after the other, and nobody notices', async () => {
    const before = await server.pids()
    await using load = startLoad({ origin: server.url, query: RUNS, connections: 4, pauseMillis: 20 })
    // Begun before, and to be ended by the worker that it began with.
    const upload = startPut(server.url, { runId: 'long', headers: { 'content-length': '10' } })
    const uploaded = new Promise<number>((resolve, reject) => {
      upload.once('response', (response) => resolve(response.resume().statusCode ?? 0)).once('error', reject)
    })
    upload.write('"')
    await eventually(async () => assert.ok(load.answers > 50))
    process.kill(server.process.pid, 'SIGHUP')
    await server.process.waitForLine(/a worker was replaced/)
    const { status, body } = await send(server.url, { target: '/health/ready' })
    assert.deepEqual([status, JSON.parse(body.toString()).status], [200, 'ready'])
    upload.end('12345678"')
    assert.equal(await uploaded, 201)
    await server.process.waitForLine(/"msg":"restarted"/)
    await load.stop()
    assert.deepEqual(load.failures, [])
    const now = await server.pids()
    assert.equal(now.length, 2)
    assert.deepEqual(
      now.filter((pid) => before.includes(pid)),
      [],
    )
  })

  it('are replaced when they die, which the log tells', async () => {
    const [first = 0, second = 0] = await server.pids()
    process.kill(first, 'SIGKILL')
    await server.process.waitForLine(/"signal":"SIGKILL".*a worker ended/)
    await eventually(async () => {
      const pids = await server.pids()
      assert.equal(pids.length, 2)
      assert.ok(pids.includes(second) && !pids.includes(first))
    })
    // Both answer again.
    const said = (id: string) => id.startsWith('again-')
    for (let i = 0; workersOf(server, said).size < 2 && i < 5000; i++) {
      const answer = await send(server.url, { target: '/health/live', headers: { 'x-request-id': `again-${i}` } })
      assert.equal(answer.status, 200)
    }
    assert.equal(workersOf(server, said).size, 2)
  })

  it('end together', async () => {
    const pids = await server.pids()
    assert.deepEqual(await server.process.stop('SIGTERM'), { code: 0, signal: null })
    for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
    assert.equal(server.process.stderr(), '')
  })
})

describe('limits of a server of several workers', () => {
  it('hold for all of them together, and a change of tokens is told once', async () => {
    await using tokens = await tokensFor()
    await using server = await startWorkers({ RATE_LIMIT_PER_MINUTE: '60', ...tokens.env })
    const added = createToken('newcomer', ['read'])
    await appendFile(`${tokens.folder}/tokens`, `${formatTokenEntry(added.entry)}\n`)
    await server.process.waitForLine(/"audit":"tokens"/)
    const headers = { authorization: `Bearer ${added.token}` }
    const ask = async (length: number) =>
      await Promise.all(
        Array.from(
          { length },
          async () => (await send(server.url, { target: '/graphql?query={__typename}', headers })).status,
        ),
      )
    const began = performance.now()
    let early = 0
    // Each worker reads the file by itself.
    await eventually(async () => {
      const statuses = await ask(4)
      early += statuses.filter((status) => status === 200).length
      assert.deepEqual(new Set(statuses), new Set([200]))
    })
    const statuses = await ask(200)
    const minutes = (performance.now() - began) / 60_000
    const answered = early + statuses.filter((status) => status === 200).length
    assert.deepEqual([...new Set(statuses)].sort(), [200, 429])
    assert.ok(answered >= 55 && answered <= 61 + 60 * minutes, `${answered} in ${minutes} minutes`)
    assert.equal(server.lines().filter(({ audit }) => audit === 'tokens').length, 1)
    // A second signal waits for nobody.
    process.kill(server.process.pid, 'SIGTERM')
    await server.process.waitForLine(/"msg":"draining"/)
    const pids = await server.pids()
    assert.deepEqual(await server.process.stop('SIGTERM'), { code: 1, signal: null })
    await eventually(async () => {
      for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
    })
  })
})

describe('workers that cannot start', () => {
  it('end with one message, and 1', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await using folder = await temporaryFolder()
    const env = { PORT: '0', WORKERS: '2', DATABASE_URL: database.url, DATA_DIR: folder.path }
    await using server = startProcess({ args: ['serve'], env })
    assert.deepEqual(await server.exited, { code: 1, signal: null })
    assert.match(server.stderr(), /^The database needs a migration [^\n]*\n$/)
  })
})
