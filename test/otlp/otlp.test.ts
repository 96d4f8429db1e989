import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BatchSpanProcessor, NodeTracerProvider, type SpanExporter } from '@opentelemetry/sdk-trace-node'
import { startServer, type TestServer } from '../support/server.ts'
import { tokensFor } from '../support/tokens.ts'

const MESSAGES = '[{"role":"user","parts":[{"type":"text","content":"1.0 is not 1, café"}]}]'
const ANSWER = '[{"role":"assistant","parts":[{"type":"text","content":"indeed"}],"finish_reason":"stop"}]'
const EXPORTERS = {
  JSON: (url: string): SpanExporter => new JsonExporter({ url, timeoutMillis: 60_000 }),
  'protobuf by gzip': (url: string): SpanExporter =>
    new ProtobufExporter({ url, timeoutMillis: 60_000, compression: 'gzip' as never }),
}

/** `SPANS=10000` for the long form. */
const SPANS = Number(process.env['SPANS'] ?? 1000)

let server: TestServer
before(async () => {
  server = await startServer({ env: { PAYLOAD_MAX_BYTES: '67108864' } })
})
after(() => server[Symbol.asyncDispose]())

/** As an application sets it up. */
function createTracing(exporter: SpanExporter) {
  const processor = new BatchSpanProcessor(exporter, {
    maxExportBatchSize: 500,
    maxQueueSize: 20_000,
    exportTimeoutMillis: 60_000,
  })
  const provider = new NodeTracerProvider({ spanProcessors: [processor] })
  return { tracer: provider.getTracer('test'), flush: () => provider.forceFlush(), end: () => provider.shutdown() }
}

for (const [name, createExporter] of Object.entries(EXPORTERS)) {
  describe(`the published exporter in ${name}`, () => {
    it('records a trace as a run, its spans as steps, and what a model got and gave as their states', async () => {
      const { tracer, end } = createTracing(createExporter(`${server.url}/v1/traces`))
      const root = tracer.startSpan('answer a question', { kind: SpanKind.SERVER }, ROOT_CONTEXT)
      const inside = trace.setSpan(ROOT_CONTEXT, root)
      const chat = tracer.startSpan('chat gpt', { kind: SpanKind.CLIENT }, inside)
      chat.setAttributes({
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'gpt',
        'gen_ai.usage.input_tokens': 12,
        'gen_ai.input.messages': MESSAGES,
        'gen_ai.system_instructions': 'be brief',
        'gen_ai.output.messages': ANSWER,
      })
      chat.end()
      const tool = tracer.startSpan('execute_tool search', {}, inside)
      tool.setAttributes({ 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.call.arguments': '{"q":1.0}' })
      tool.recordException(new TypeError('nothing found'))
      tool.setStatus({ code: SpanStatusCode.ERROR, message: 'failed' })
      tool.end()
      root.addEvent('gen_ai.user.message', { role: 'user', content: 'why?' })
      root.end()
      await end()

      const { traceId } = root.spanContext()
      const { data } = await server.graphql<{ run: Run }>(RUN, { runId: traceId })
      const steps = new Map(data.run.steps.nodes.map((step) => [step.name, step]))
      assert.deepEqual([data.run.workflowName, data.run.status], ['answer a question', 'SUCCEEDED'])
      assert.equal(data.run.tags.find(({ key }) => key === 'service.name')?.value.startsWith('unknown_service'), true)
      const [input, output] = steps.get('chat gpt')?.snapshots.nodes ?? []
      assert.equal(input?.at.raw, `{"gen_ai.input.messages":${MESSAGES},"gen_ai.system_instructions":"be brief"}`)
      assert.equal(output?.at.raw, `{"gen_ai.output.messages":${ANSWER}}`)
      assert.deepEqual([input?.kind, output?.kind], ['INPUT', 'OUTPUT'])
      assert.deepEqual(input?.metadata.attributes, {
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'gpt',
        'gen_ai.usage.input_tokens': 12,
      })
      const failed = steps.get('execute_tool search')
      assert.deepEqual([failed?.status, failed?.kind], ['FAILED', 'execute_tool'])
      assert.deepEqual([failed?.error?.message, failed?.error?.type], ['nothing found', 'TypeError'])
      assert.equal(failed?.snapshots.nodes[0]?.at.raw, '{"gen_ai.tool.call.arguments":{"q":1.0}}')
      const [asked] = steps.get('answer a question')?.snapshots.nodes ?? []
      assert.equal(asked?.at.raw, '{"messages":[{"event":"gen_ai.user.message","role":"user","content":"why?"}]}')
    })

    it('records each of many spans once, however often their batches come', async () => {
      const exporter = createExporter(`${server.url}/v1/traces`)
      const twice: SpanExporter = {
        // As an exporter does whose answer was lost.
        export: (spans, done) => exporter.export(spans, () => exporter.export(spans, done)),
        shutdown: () => exporter.shutdown(),
      }
      const { tracer, end } = createTracing(twice)
      const root = tracer.startSpan('many', {}, ROOT_CONTEXT)
      const inside = trace.setSpan(ROOT_CONTEXT, root)
      for (let i = 1; i < SPANS; i++) tracer.startSpan(`s${i}`, { attributes: { 'input.value': `${i}` } }, inside).end()
      root.end()
      await end()
      const { data } = await server.graphql<{ run: { stats: object } }>(
        'query ($runId: String!) { run(runId: $runId) { stats { stepCount snapshotCount } } }',
        { runId: root.spanContext().traceId },
      )
      assert.deepEqual(data.run.stats, { stepCount: SPANS, snapshotCount: SPANS - 1 })
    })

    it('keeps a message of 20 MB whole', async () => {
      const { tracer, end } = createTracing(createExporter(`${server.url}/v1/traces`))
      const span = tracer.startSpan('large', {}, ROOT_CONTEXT)
      const text = `[{"role":"user","content":"${'é'.repeat(10_000_000)}"}]`
      span.setAttribute('gen_ai.input.messages', text)
      span.end()
      await end()
      const { data } = await server.graphql<{ run: { latestSnapshot: { snapshotId: string } } }>(
        'query ($runId: String!) { run(runId: $runId) { latestSnapshot { snapshotId } } }',
        { runId: span.spanContext().traceId },
      )
      const answer = await fetch(`${server.url}/snapshots/${data.run.latestSnapshot.snapshotId}/payload`)
      assert.ok((await answer.text()) === `{"gen_ai.input.messages":${text}}`)
    })
  })
}

const RUN = `query ($runId: String!) { run(runId: $runId) {
  workflowName status tags { key value }
  steps(first: 50) { nodes { name kind status error { message type } snapshots(first: 5) { nodes { kind metadata at { raw } } } } }
} }`

interface Run {
  readonly workflowName: string
  readonly status: string
  readonly tags: readonly { readonly key: string; readonly value: string }[]
  readonly steps: {
    readonly nodes: readonly {
      readonly name: string
      readonly kind: string
      readonly status: string
      readonly error: { readonly message: string; readonly type: string } | null
      readonly snapshots: {
        readonly nodes: readonly {
          readonly kind: string
          readonly metadata: { readonly attributes: object }
          readonly at: { readonly raw: string }
        }[]
      }
    }[]
  }
}

const SPAN = {
  traceId: '5b8efff798038103d269b633813fc60c',
  spanId: 'eee19b7ec3c1b174',
  name: 'one',
  startTimeUnixNano: '1544712660000000000',
}

function batch(...spans: object[]): string {
  return JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] })
}

async function post(body: string | Uint8Array, headers: Record<string, string> = {}) {
  const response = await fetch(`${server.url}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: body as BodyInit,
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, type: response.headers.get('content-type'), bytes }
}

describe('a batch', () => {
  it('is answered in its own encoding, with nothing where all is well', async () => {
    const json = await post(batch(SPAN))
    assert.deepEqual([json.status, json.type, String(json.bytes)], [200, 'application/json', '{}'])
    const empty = await post(new Uint8Array(), { 'content-type': 'application/x-protobuf' })
    assert.deepEqual([empty.status, empty.type, empty.bytes.length], [200, 'application/x-protobuf', 0])
    const coded = await post(gzipSync(batch({ ...SPAN, unknownField: [1] })), { 'content-encoding': 'gzip' })
    assert.equal(coded.status, 200)
  })

  it('tells how many of its spans cannot be recorded, and records the others', async () => {
    const good = { ...SPAN, traceId: '6b8efff798038103d269b633813fc60c' }
    const { status, bytes } = await post(
      batch({ ...SPAN, spanId: '0000000000000000' }, { ...SPAN, traceId: 'nonsense' }, good),
    )
    assert.equal(status, 200)
    assert.equal(JSON.parse(String(bytes)).partialSuccess.rejectedSpans, '2')
    const { data } = await server.graphql(
      '{ run(runId: "6b8efff798038103d269b633813fc60c") { workflowName startedAt } }',
    )
    assert.deepEqual(data, { run: { workflowName: 'one', startedAt: '2018-12-13T14:51:00Z' } })
  })

  it('tells what comes again with other content', async () => {
    const span = { ...SPAN, traceId: '7b8efff798038103d269b633813fc60c' }
    const withInput = (text: string) =>
      batch({ ...span, attributes: [{ key: 'input.value', value: { stringValue: text } }] })
    assert.equal(String((await post(withInput('a'))).bytes), '{}')
    assert.match(String((await post(withInput('b'))).bytes), /"rejectedSpans":"1","errorMessage":"CONFLICT/)
  })

  it('is refused where it is none, by a status that nobody sends it for again', async () => {
    for (const body of [
      '{',
      '[]',
      '"x"',
      '{"resourceSpans":7}',
      batch({ ...SPAN, name: 3 }),
      batch({ ...SPAN, startTimeUnixNano: 'soon' }),
    ]) {
      const { status, bytes } = await post(body)
      assert.deepEqual([status, JSON.parse(String(bytes)).code], [400, 3], body)
    }
    const protobuf = await post(Buffer.from('0a05ffffffffff', 'hex'), { 'content-type': 'application/x-protobuf' })
    assert.deepEqual([protobuf.status, protobuf.type], [400, 'application/x-protobuf'])
    assert.match(String(protobuf.bytes), /no ExportTraceServiceRequest/)
    assert.equal((await post('', { 'content-type': 'text/plain' })).status, 415)
    assert.equal((await post('x', { 'content-encoding': 'gzip' })).status, 400)
    assert.equal((await post('x', { 'content-encoding': 'br' })).status, 415)
    const bomb = gzipSync(Buffer.alloc(70_000_000, 0x20))
    assert.equal((await post(bomb, { 'content-encoding': 'gzip' })).status, 413)
  })

  it('is masked by what its application says of it', async () => {
    const span = { ...SPAN, traceId: '8b8efff798038103d269b633813fc60c' }
    const attributes = [
      { key: 'output.value', value: { stringValue: 'a name' } },
      { key: 'statelens.pii_tags', value: { arrayValue: { values: [{ stringValue: 'name' }] } } },
    ]
    await post(batch({ ...span, attributes }))
    const { data } = await server.graphql(
      '{ run(runId: "8b8efff798038103d269b633813fc60c") { latestSnapshot { piiTags } } }',
    )
    assert.deepEqual(data, { run: { latestSnapshot: { piiTags: ['name'] } } })
  })
})

it('takes spans of whoever may write, and of nobody else', async () => {
  await using tokens = await tokensFor(['read', 'write'])
  await using guarded = await startServer({ env: tokens.env })
  const statusOf = async (headers: Record<string, string>) => {
    const options = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: batch(SPAN) }
    return (await fetch(`${guarded.url}/v1/traces`, options)).status
  }
  assert.equal(await statusOf({}), 401)
  assert.equal(await statusOf({ authorization: `Bearer ${tokens.token('read')}` }), 403)
  assert.equal(await statusOf({ authorization: `Bearer ${tokens.token('write')}` }), 200)
})
