import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { createBreaker } from '../../src/breaker.ts'
import { createMetrics, formatMetrics } from '../../src/metrics/metrics.ts'
import { send } from '../support/http.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { type MetricsText, readMetrics, scrape } from '../support/metrics.ts'
import { s3Env } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { query as sql } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { tokensFor } from '../support/tokens.ts'
import { watchBy } from '../support/watching.ts'

const MIB = 1_048_576
/** Never to be found in what is collected. */
const RUN_ID = 'run-of-a-customer'
const SECRET = 'canary-of-a-secret-key'

describe('what /metrics tells', () => {
  let server: TestServer
  let store: MemoryS3
  before(async () => {
    store = await startMemoryS3()
    const env = { ...s3Env(store.service), S3_SECRET_KEY: SECRET, EVENT_STREAMS_MAX: '3' }
    server = await startServer({ env, admission: { maxQueue: 0 } })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })

  /** What was added meanwhile, once the ends of all requests were noted. */
  async function during(work: () => Promise<unknown>): Promise<(name: string, labels?: object) => number> {
    const before = await scrape(server.url)
    await work()
    let now: MetricsText
    await eventually(async () => {
      now = await scrape(server.url)
      // The one that asks is under way itself.
      assert.equal(now.value('statelens_http_requests_in_flight'), 1)
    })
    return (name, labels) => now.value(name, labels) - before.value(name, labels)
  }

  it('counts requests by route, method and status, and those that nothing serves together', async () => {
    const added = await during(async () => {
      await send(server.url, { target: `/snapshots/${RUN_ID}/payload` })
      await send(server.url, { target: '/nowhere' })
      await send(server.url, { target: `/${RUN_ID}`, method: 'PROPFIND' })
      await send(server.url, { target: '/health/live', method: 'HEAD' })
    })
    const requests = (route: string, method: string, status: string) =>
      added('statelens_http_requests_total', { route, method, status })
    assert.equal(requests('/snapshots/{snapshotId}/payload', 'GET', '404'), 1)
    assert.equal(requests('none', 'GET', '404'), 1)
    assert.equal(requests('none', 'other', '404'), 1)
    assert.equal(requests('/health/live', 'HEAD', '200'), 1)
    assert.equal(added('statelens_http_request_duration_seconds_count', { route: 'none' }), 2)
    assert.equal(added('statelens_errors_total', { code: 'NOT_FOUND' }), 3)
  })

  it('counts operations by name and outcome, and each failure that a client reads once', async () => {
    await put(server.url, '[1]', { runId: RUN_ID, stepId: 'a' })
    const added = await during(async () => {
      for (const _twice of [1, 2]) {
        await server.graphql(`query Fine { run(runId: "${RUN_ID}") { status } }`)
        await server.graphql('query Partly { a: __typename node(id: "nonsense") { id } }')
      }
      await server.graphql('{ __typename }')
      await server.graphql('query Never { nothing }')
      await server.graphql('query {')
    })
    const operations = (operation: string, outcome: string) =>
      added('statelens_graphql_operations_total', { operation, type: 'query', outcome })
    assert.deepEqual(
      [
        operations('Fine', 'ok'),
        operations('Partly', 'partial'),
        operations('anonymous', 'ok'),
        operations('Never', 'failed'),
      ],
      [2, 2, 1, 0],
    )
    assert.equal(added('statelens_graphql_operation_duration_seconds_count', { operation: 'Fine', type: 'query' }), 2)
    const codes = ['BAD_REQUEST', 'GRAPHQL_VALIDATION_FAILED', 'GRAPHQL_PARSE_FAILED']
    assert.deepEqual(
      codes.map((code) => added('statelens_errors_total', { code })),
      [2, 1, 1],
    )
  })

  it('has series for a hundred names of operations, and one for all others', async () => {
    const added = await during(async () => {
      for (let i = 0; i < 120; i++) await server.graphql(`query Named${i} { __typename }`)
    })
    const { series } = await scrape(server.url)
    const names = new Set(
      series
        .filter(({ name }) => name === 'statelens_graphql_operations_total')
        .map(({ labels }) => labels['operation']),
    )
    assert.ok(names.has('Named0') && !names.has('Named119'))
    assert.equal(names.size, 102, 'a hundred, anonymous, other')
    assert.ok(added('statelens_graphql_operations_total', { operation: 'other', type: 'query', outcome: 'ok' }) >= 20)
  })

  it('counts the bytes of states by direction, tier and way', async () => {
    const large = JSON.stringify({ a: 'x'.repeat(2 * MIB), b: [1, 2, 3] })
    const small = JSON.stringify({ a: 'y'.repeat(1000) })
    const bytes = (direction: string, tier: string, way: string) =>
      added('statelens_payload_bytes_total', { direction, tier, way })
    let added: (name: string, labels?: object) => number = () => 0
    added = await during(async () => {
      const { snapshotId } = storedOf(await put(server.url, large, { runId: RUN_ID, stepId: 'large' }))
      const inline = storedOf(await put(server.url, small, { runId: RUN_ID, stepId: 'small' }))
      const of = (rest: string) => ({ target: `/snapshots/${snapshotId}/${rest}` })
      await send(server.url, of('payload'))
      await send(server.url, { ...of('payload'), headers: { range: 'bytes=10-109' } })
      await send(server.url, of('value?pointer=/b'))
      await send(server.url, of(`diff?from=${inline.snapshotId}`))
      await send(server.url, { target: `/snapshots/${inline.snapshotId}/payload` })
      const { data } = await server.graphql<{ snapshotById: { download: { url: string } } }>(
        `{ snapshotById(snapshotId: "${inline.snapshotId}") { payload download { url } } }`,
      )
      const { pathname, search } = new URL(data.snapshotById.download.url)
      await send(server.url, { target: pathname + search })
      await server.graphql(`{ snapshotById(snapshotId: "${snapshotId}") { payload at(pointer: "/b") { value } } }`)
    })
    assert.equal(bytes('in', 'object', 'capture'), large.length)
    assert.equal(bytes('in', 'inline', 'capture'), small.length)
    assert.equal(bytes('out', 'object', 'whole'), 2 * large.length)
    assert.equal(bytes('out', 'object', 'range'), 100)
    assert.equal(bytes('out', 'object', 'part'), 2 * '[1,2,3]'.length)
    assert.equal(bytes('out', 'inline', 'whole'), 2 * small.length)
    assert.equal(bytes('out', 'inline', 'link'), small.length)
    assert.ok(bytes('out', 'object', 'diff') > 0)
  })

  it('tells of the store, the cache and the database', async () => {
    const { snapshotId } = storedOf(await put(server.url, `"${'z'.repeat(2 * MIB)}"`, { runId: RUN_ID, stepId: 'z' }))
    const added = await during(async () => {
      for (const _again of [1, 2]) await send(server.url, { target: `/snapshots/${snapshotId}/payload` })
      store.objects.clear()
      await server.graphql(`{ snapshot(runId: "${RUN_ID}", stepId: "z", useCache: false) { payload } }`)
    })
    const get = { scheme: 's3', operation: 'get' }
    assert.equal(added('statelens_storage_call_duration_seconds_count', get), 2)
    assert.equal(added('statelens_storage_call_failures_total', { ...get, code: 'OBJECT_MISSING' }), 1)
    assert.equal(added('statelens_cache_reads_total', { outcome: 'hit' }), 1)
    assert.equal(added('statelens_cache_reads_total', { outcome: 'miss' }), 1)
    assert.ok(added('statelens_db_statement_duration_seconds_count', { statement: 'SELECT' }) >= 3)
    const { value } = await scrape(server.url)
    assert.ok(value('statelens_storage_sockets', { scheme: 's3', use: 'read', state: 'idle' }) > 0)
    assert.equal(value('statelens_db_connections_max', { pool: 'requests' }), 10)
    assert.ok(value('statelens_db_connections', { pool: 'requests', state: 'idle' }) > 0)
  })

  it('tells of who watches, and of who is refused', async () => {
    const added = await during(async () => {
      const watching = await Promise.all(
        ['SSE', 'WebSocket', 'SSE'].map((way) =>
          watchBy(way as 'SSE', server.url, `subscription Watch { runEvents(runId: "${RUN_ID}") { __typename } }`),
        ),
      )
      await Promise.all(watching.map((one) => one.until('CaughtUp')))
      assert.equal((await scrape(server.url)).value('statelens_event_streams'), 3)
      const refused = await watchBy('SSE', server.url, 'subscription { runsUpdated { __typename } }')
      assert.equal((await refused.next())?.errors?.[0]?.extensions.code ?? 'OVERLOADED', 'OVERLOADED')
      for (const one of [...watching, refused]) await one[Symbol.asyncDispose]()
      await eventually(async () => {
        assert.equal((await scrape(server.url)).value('statelens_event_streams'), 0)
      })
    })
    const began = { operation: 'Watch', type: 'subscription', outcome: 'ok' }
    assert.equal(added('statelens_graphql_operations_total', { ...began, operation: 'other' }), 3)
    assert.equal(added('statelens_errors_total', { code: 'OVERLOADED' }), 1)
    const sockets = { route: '/graphql (websocket)', method: 'GET', status: '101' }
    assert.equal(added('statelens_http_requests_total', sockets), 1)
  })

  it('tells of answers of which the client has less than all', async () => {
    const { snapshotId } = storedOf(await put(server.url, `"${'c'.repeat(12 * MIB)}"`, { runId: RUN_ID, stepId: 'c' }))
    const route = '/snapshots/{snapshotId}/payload'
    const added = await during(async () => {
      const left = new AbortController()
      const response = await fetch(`${server.url}/snapshots/${snapshotId}/payload`, { signal: left.signal })
      await response.body?.getReader().read()
      left.abort()
    })
    assert.equal(added('statelens_http_answers_cut_total', { route }), 1)
    const sent = added('statelens_payload_bytes_total', { direction: 'out', tier: 'object', way: 'whole' })
    assert.ok(sent > 0 && sent < 12 * MIB, `${sent} bytes`)
  })

  it('names no run, and nothing else of what was asked', async () => {
    const text = (await send(server.url, { target: '/metrics' })).body.toString()
    assert.ok(!text.includes(RUN_ID))
    assert.ok(!text.includes(SECRET))
    assert.ok(!/[0-9a-f]{8}-[0-9a-f]{4}-/.test(text))
  })

  it('has each of its names in the documentation, and none that is not there', async () => {
    const docs = await readFile('docs/operations.md', 'utf8')
    const told = new Set(
      docs.match(/\bstatelens_[a-z_]+[a-z]\b/g)?.filter((name) => !name.startsWith('statelens_stores')),
    )
    const { types } = await scrape(server.url)
    const own = [...types.keys()].filter((name) => name.startsWith('statelens_'))
    const known = own.flatMap((name) => [name, `${name}_bucket`, `${name}_count`, `${name}_sum`])
    assert.deepEqual(
      own.filter((name) => !told.has(name)),
      [],
    )
    const tables = new Set([
      'statelens_migrations',
      'statelens_objects',
      'statelens_complete_row',
      'statelens_create_parents',
    ])
    assert.deepEqual(
      [...told].filter((name) => !known.includes(name) && !tables.has(name) && name !== 'statelens_give_up_object'),
      [],
    )
  })
})

describe('the lag of events', () => {
  it('grows while nothing can be looked for, and is over when it can', async () => {
    await using server = await startServer()
    await put(server.url, '[1]', { runId: RUN_ID })
    const lag = async () => (await scrape(server.url)).value('statelens_events_poller_lag_seconds')
    assert.equal(await lag(), 0)
    const query = `subscription { runEvents(runId: "${RUN_ID}") { __typename } }`
    await using watching = await watchBy('SSE', server.url, query)
    await watching.until('CaughtUp')
    await sql(server.databaseUrl, 'alter table state_snapshots rename to gone')
    await eventually(async () => assert.ok((await lag()) > 2))
    await sql(server.databaseUrl, 'alter table gone rename to state_snapshots')
    await eventually(async () => assert.ok((await lag()) < 2))
  })
})

describe('/metrics by an address', () => {
  const asked = { target: '/metrics', headers: { host: '10.1.2.3:4000' } }

  it('is told to whoever shows a token of the scope admin', async () => {
    await using tokens = await tokensFor()
    await using server = await startServer({ env: tokens.env })
    const by = async (token?: string) => {
      const shown: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
      return (await send(server.url, { ...asked, headers: { ...asked.headers, ...shown } })).status
    }
    assert.deepEqual([await by(tokens.token('admin')), await by(tokens.token('read')), await by()], [200, 403, 401])
  })

  it('is told to nobody while nobody is asked who he is', async () => {
    await using server = await startServer()
    assert.equal((await send(server.url, asked)).status, 421)
  })
})

describe('a breaker', () => {
  it('tells when it opens, and when it closes', () => {
    const changes: boolean[] = []
    const breaker = createBreaker({
      threshold: 2,
      probeIntervalMs: 60_000,
      probe: async () => false,
      onChange: (isOpen) => void changes.push(isOpen),
    })
    for (let i = 0; i < 3; i++) breaker.failed()
    breaker.succeeded()
    breaker.succeeded()
    breaker.close()
    assert.deepEqual(changes, [true, false])
  })
})

describe('the metrics of several processes', () => {
  it('are told as those of one: added up, or the highest', async () => {
    const snapshots = await Promise.all(
      [1, 2].map(async (factor) => {
        const { telemetry, watch, snapshot } = createMetrics()
        const answered = { route: '/graphql', method: 'POST', status: 200, isCut: false }
        for (let i = 0; i < factor; i++) {
          telemetry.requestBegan()
          telemetry.requestEnded({ ...answered, seconds: 0.02 * factor })
        }
        telemetry.breaker('cache')(factor === 2)
        watch({
          pools: { requests: () => ({ max: 10, inUse: factor, idle: 0, waiting: 0 }) },
          gates: { streams: () => ({ capacity: 64, taken: factor, waiting: 0, refused: factor }) },
          sockets: () => [],
          eventStreams: () => ({ open: factor, max: 5 }),
          pollerLagSeconds: () => factor,
        })
        // As it comes out of a channel between processes.
        return JSON.parse(JSON.stringify(await snapshot()))
      }),
    )
    const { value, types } = readMetrics(await formatMetrics(snapshots))
    assert.equal(value('statelens_http_requests_total', { route: '/graphql', method: 'POST', status: '200' }), 3)
    const durations = 'statelens_http_request_duration_seconds'
    assert.equal(value(`${durations}_bucket`, { route: '/graphql', le: '0.025' }), 1)
    assert.equal(value(`${durations}_bucket`, { route: '/graphql', le: '+Inf' }), 3)
    assert.ok(Math.abs(value(`${durations}_sum`, { route: '/graphql' }) - 0.1) < 1e-9)
    assert.equal(value('statelens_db_connections', { pool: 'requests', state: 'in_use' }), 3)
    assert.equal(value('statelens_db_connections_max', { pool: 'requests' }), 20)
    assert.equal(value('statelens_admission_refused_total', { gate: 'streams' }), 3)
    assert.equal(value('statelens_breaker_open', { breaker: 'cache' }), 1)
    assert.equal(value('statelens_events_poller_lag_seconds'), 2)
    assert.deepEqual([types.get('process_start_time_seconds'), types.get(durations)], ['gauge', 'histogram'])
  })
})
