import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openSpans } from '../../src/tracing/open-spans.ts'
import { freshDatabase } from '../support/database.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'

const TRACING = fileURLToPath(new URL('../../examples/observability/tracing.mjs', import.meta.url))
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'
const CALLER_SPAN_ID = 'b7ad6b7169203331'
/** Neither a state nor a value of a variable may get into a trace. */
const CANARY = 'canary-of-a-state'
const MIB = 1_048_576
const [INTERNAL, SERVER, CLIENT] = [1, 2, 3]

const ENTITIES = `query Federated($of: [_Any!]!) {
  _entities(representations: $of) { ... on Snapshot { snapshotId sizeBytes payload run { runId status } } }
}`

const LOST = 'query Lost { snapshot(runId: "run", stepId: "large", useCache: false) { payload } }'

/** The clock that begins a span counts in milliseconds. */
const CLOCK_MS = 1
const msOf = (nanos: string) => Number(BigInt(nanos) / 1000n) / 1000

/** JSON of at least so many bytes. */
function stateOf(sizeBytes: number): string {
  const word = `"${CANARY}",`
  return `[${word.repeat(Math.ceil(sizeBytes / word.length))}0]`
}

describe('traces, where somebody collects them', () => {
  let receiver: OtlpReceiver
  let store: MemoryS3
  let database: Awaited<ReturnType<typeof freshDatabase>>
  let server: RunningProcess
  let url = ''
  let spans: readonly ReceivedSpan[] = []
  let large = ''
  let medium = ''

  before(async () => {
    receiver = await startOtlpReceiver()
    store = await startMemoryS3()
    database = await freshDatabase()
    server = startProcess({
      args: ['serve'],
      nodeArgs: ['--import', TRACING],
      env: {
        PORT: '0',
        DATABASE_URL: database.url,
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_BSP_SCHEDULE_DELAY: '50',
        ...s3Env(store.service),
      },
    })
    url = (await server.waitForUrl()).replace(/\/graphql$/, '')
    large = stateOf(5 * MIB)
    medium = stateOf(2 * MIB)
    const ids = []
    for (const [stepId, state] of Object.entries({ large, medium })) {
      ids.push(storedOf(await put(url, state, { stepId })).snapshotId)
    }
    const of = ids.map((snapshotId) => ({ __typename: 'Snapshot', snapshotId }))
    const response = await fetch(`${url}/graphql?sig=${CANARY}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent: `00-${TRACE_ID}-${CALLER_SPAN_ID}-01` },
      body: JSON.stringify({ query: ENTITIES, variables: { of } }),
    })
    const answer = await response.text()
    assert.ok(answer.includes(large) && answer.includes(medium) && !answer.includes('"errors"'))
    spans = await receiver.trace(TRACE_ID, (got) => got.some(({ kind }) => kind === SERVER))
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await receiver[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  const named = (name: string) => spans.filter((span) => span.name === name)
  const one = (name: string): ReceivedSpan => {
    const [span, ...more] = named(name)
    assert.ok(span && more.length === 0, `${named(name).length} spans ${name} of ${spans.map((any) => any.name)}`)
    return span
  }
  const attributesOf = ({ attributes }: ReceivedSpan) =>
    Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

  it('hold the request within the span of who asks, and its work within it', () => {
    const request = one('POST /graphql')
    assert.deepEqual([request.kind, request.parentSpanId], [SERVER, CALLER_SPAN_ID])
    const { 'statelens.request.id': id, 'user_agent.original': _agent, ...told } = attributesOf(request)
    assert.match(String(id), /^[\w-]{36}$/)
    assert.deepEqual(told, {
      'http.request.method': 'POST',
      'http.route': '/graphql',
      'http.response.status_code': 200,
      'network.protocol.version': '1.1',
      'url.path': '/graphql',
      'url.scheme': 'http',
    })
    const operation = one('query Federated')
    assert.deepEqual([operation.kind, operation.parentSpanId], [INTERNAL, request.spanId])
    assert.deepEqual(attributesOf(operation), {
      'graphql.operation.name': 'Federated',
      'graphql.operation.type': 'query',
    })
  })

  it('hold one read for both states, and its statement within it', () => {
    const read = one('load snapshots')
    assert.deepEqual(
      [read.parentSpanId, attributesOf(read)],
      [one('query Federated').spanId, { 'statelens.batch.size': 2 }],
    )
    const statement = one('SELECT state_snapshots')
    assert.deepEqual([statement.kind, statement.parentSpanId], [CLIENT, read.spanId])
    const { 'db.query.text': text, ...told } = attributesOf(statement)
    assert.match(String(text), /^select s\.id .* = any\(\$1::uuid\[\]\)$/s)
    assert.deepEqual(told, {
      'db.system.name': 'postgresql',
      'db.operation.name': 'SELECT',
      'db.query.summary': 'SELECT state_snapshots',
    })
    assert.equal(one('load runs').parentSpanId, one('query Federated').spanId)
  })

  it('hold what is read of the store while the answer goes out, as long as its bytes come', () => {
    const request = one('POST /graphql')
    const gets = named('storage get')
    assert.deepEqual(
      gets.map((span) => [span.kind, span.parentSpanId, attributesOf(span)['statelens.storage.scheme']]),
      [large, medium].map(() => [CLIENT, request.spanId, 's3']),
    )
    assert.deepEqual(
      gets.map((span) => Number(attributesOf(span)['statelens.object.size'])).toSorted((a, b) => a - b),
      [medium.length, large.length],
    )
    assert.ok(spans.some(({ name }) => name === 'cache get'))
    assert.ok(spans.some(({ name }) => name === 'cache set'))
  })

  it('have each span begin and end within the one around it', () => {
    const byId = new Map(spans.map((span) => [span.spanId, span]))
    let nested = 0
    for (const span of spans) {
      const parent = byId.get(span.parentSpanId ?? '')
      if (!parent) continue
      nested++
      const [begins, ends] = [msOf(span.startTimeUnixNano), msOf(span.endTimeUnixNano)]
      assert.ok(begins >= msOf(parent.startTimeUnixNano) - CLOCK_MS, `${span.name} begins in ${parent.name}`)
      assert.ok(ends <= msOf(parent.endTimeUnixNano) + CLOCK_MS, `${span.name} ends in ${parent.name}`)
    }
    assert.equal(nested, spans.length - 1)
    assert.ok(nested >= 7)
  })

  it('hold no word of a state, a variable or a query', () => {
    assert.ok(receiver.text().includes('query Federated'))
    assert.ok(!receiver.text().includes(CANARY))
  })

  it('are named in the line of the request', async () => {
    await server.waitForLine(new RegExp(`"operation":"Federated".*"trace_id":"${TRACE_ID}"`))
  })

  it('tell of failures by their codes alone', async () => {
    const id = TRACE_ID.replace('0af', 'fff')
    store.objects.clear()
    const snapshot = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent: `00-${id}-${CALLER_SPAN_ID}-01` },
      body: JSON.stringify({ query: LOST }),
    })
    assert.match(await snapshot.text(), /OBJECT_MISSING/)
    const failed = await receiver.trace(id, (got) => got.some(({ kind }) => kind === SERVER))
    const get = failed.find(({ name }) => name === 'storage get')
    assert.ok(get)
    assert.deepEqual([get.status?.code, attributesOf(get)['error.type']], [2, 'OBJECT_MISSING'])
  })
})

it('no spans are there while nobody collects them', () => {
  assert.equal(openSpans(), undefined)
})
