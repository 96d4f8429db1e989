import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { composeServices } from '@apollo/composition'
import { ApolloGateway } from '@apollo/gateway'
import { parse } from 'graphql'
import { composeSupergraph } from '../examples/supergraph/compose.ts'
import { createGateway } from '../examples/supergraph/gateway.ts'
import { createOrders, ORDERS_SDL } from '../examples/supergraph/orders.ts'
import { startServer, type TestServer } from './support/server.ts'

const ORDERS = 20
const MISSING = 'order-13'
const BIG = {
  rows: Array.from({ length: 50_000 }, (_, i) => ({
    i,
    text: `row ${i} of a state that is rather large: ${'é'.repeat(20)}`,
  })),
}
const NUMBERS = '{"one":1.0,"large":9007199254740993,"tiny":1e-400}'

interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: whatever comes is compared.
  readonly data: any
  readonly errors?: readonly { readonly path?: readonly unknown[]; readonly extensions?: { readonly code?: string } }[]
}
type Ask = (query: string) => Promise<Answer>

/** What is the same through every gateway. */
const gateways: Record<string, Ask> = {}

describe('a supergraph of runs and orders', () => {
  const cleanup = new AsyncDisposableStack()
  let server: TestServer
  let gatewayUrl: string

  before(async () => {
    server = cleanup.use(await startServer())
    await fill(server)
    const orders = Array.from({ length: ORDERS }, (_, i) => ({ id: String(i), runId: `order-${i}` }))
    const ordersUrl = await listen(cleanup, createOrders(orders))
    const supergraph = await composeSupergraph({ statelensUrl: server.url, ordersUrl })
    const hive = createGateway(supergraph)
    cleanup.defer(hive.close)
    gatewayUrl = await listen(cleanup, hive.server)
    gateways['Hive Gateway'] = async (query) => (await (await post(gatewayUrl, query)).json()) as Answer
    const apollo = new ApolloGateway({ supergraphSdl: await composeByApollo(server.url, ordersUrl) })
    await apollo.load()
    cleanup.defer(() => apollo.stop())
    gateways['Apollo Gateway'] = (query) => askApollo(apollo, query)
  })
  after(() => cleanup.disposeAsync())

  for (const name of ['Hive Gateway', 'Apollo Gateway']) {
    describe(`behind ${name}`, () => {
      const ask: Ask = (query) => (gateways[name] ?? assert.fail(name))(query)

      it('joins twenty orders with their runs, steps and states, in at most four statements', async () => {
        server.statements.length = 0
        const { data, errors } = await ask(
          `{ orders(first: ${ORDERS}) { id run { runId status steps(first: 5) { nodes { stepId snapshot { sizeBytes digest } } } } } }`,
        )
        // Some gateways say what others leave out: that of a run which is not there nothing can be told.
        for (const { path } of errors ?? []) assert.deepEqual(path?.slice(0, 3), ['orders', 13, 'run'])
        assert.equal(data.orders.length, ORDERS)
        for (const { id, run } of data.orders) {
          // Where nothing is recorded, the rest stands.
          if (`order-${id}` === MISSING) {
            assert.equal(run, null)
            continue
          }
          const [step] = run.steps.nodes
          assert.deepEqual([run.runId, run.status], [`order-${id}`, 'RUNNING'])
          assert.deepEqual([step.stepId, step.snapshot.sizeBytes], ['pack', NUMBERS.length])
        }
        assert.ok(server.statements.length <= 4, server.statements.join('\n'))
      })

      it('gives the other subgraph the fields of runs that it requires', async () => {
        const { data } = await ask('{ orders(first: 2) { run { contact } } }')
        assert.deepEqual(
          data.orders.map((order: { run: unknown }) => order.run),
          [{ contact: 'packing@example.com' }, { contact: 'packing@example.com' }],
        )
      })

      it('brings a payload of 5 MB through', async () => {
        const { data, errors } = await ask('{ snapshot(runId: "big", stepId: "s") { sizeBytes payload } }')
        assert.equal(errors, undefined)
        assert.ok(data.snapshot.sizeBytes > 4_500_000, String(data.snapshot.sizeBytes))
        assert.deepEqual(data.snapshot.payload, BIG)
      })

      it('tells what cannot be read at its place, by its code', async () => {
        const { data, errors } = await ask('{ snapshot(runId: "big", stepId: "s") { stepId payload(maxBytes: 10) } }')
        assert.deepEqual(data.snapshot, { stepId: 's', payload: null })
        assert.equal(errors?.[0]?.extensions?.code, 'PAYLOAD_TOO_LARGE')
      })

      it('rounds numbers as every JavaScript does: raw and download have them as they are', async () => {
        const { data } = await ask(
          '{ snapshot(runId: "order-1", stepId: "pack") { payload at { raw } download { url } } }',
        )
        const { payload, at, download } = data.snapshot
        assert.deepEqual(payload, JSON.parse(NUMBERS))
        assert.equal(at.raw, NUMBERS)
        assert.equal(await (await fetch(download.url)).text(), NUMBERS)
      })
    })
  }

  it('follows a run through Hive Gateway', async () => {
    const response = await post(
      gatewayUrl,
      'subscription { runEvents(runId: "over") { __typename ... on RunEnded { run { runId contact } } } }',
      {
        accept: 'text/event-stream',
      },
    )
    const text = await response.text()
    assert.match(text, /"__typename":"RunEnded"/)
    // What the other subgraph says of it is joined with each event.
    assert.match(text, /"contact":"runs@example\.com"/)
  })
})

async function fill(server: TestServer): Promise<void> {
  for (let i = 0; i < ORDERS; i++) {
    const runId = `order-${i}`
    if (runId === MISSING) continue
    await server.app.writer.upsertRun({ runId, workflowName: 'packing', status: 'RUNNING' })
    await server.app.writer.capture({ runId, stepId: 'pack' }, Buffer.from(NUMBERS))
  }
  await server.app.writer.capture({ runId: 'big', stepId: 's' }, Buffer.from(JSON.stringify(BIG)))
  await server.app.writer.upsertRun({ runId: 'over', status: 'SUCCEEDED' })
}

async function listen(cleanup: AsyncDisposableStack, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup.defer(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function composeByApollo(statelensUrl: string, ordersUrl: string): Promise<string> {
  const answer = await (await post(statelensUrl, '{ _service { sdl } }')).json()
  const { sdl } = (answer as { data: { _service: { sdl: string } } }).data._service
  const { supergraphSdl, errors } = composeServices([
    { name: 'statelens', url: `${statelensUrl}/graphql`, typeDefs: parse(sdl) },
    { name: 'orders', url: `${ordersUrl}/graphql`, typeDefs: parse(ORDERS_SDL) },
  ])
  assert.equal(errors, undefined)
  return supergraphSdl ?? ''
}

const NO_CACHE = { get: async () => undefined, set: async () => {}, delete: async () => false }

/** What Apollo Server would hand over; the gateway reads no more of it. */
async function askApollo(gateway: ApolloGateway, query: string): Promise<Answer> {
  const request = {
    document: parse(query),
    request: { query },
    queryHash: query,
    context: {},
    cache: NO_CACHE,
    metrics: {},
  }
  return JSON.parse(JSON.stringify(await gateway.executor(request as never)))
}

async function post(url: string, query: string, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query }),
  })
}
