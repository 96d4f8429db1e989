/** Runs beside the examples, where the package is installed: see package.test.ts. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

type Settings = Record<string, string>

const STATE = `{"n":1.0,"text":"${'x'.repeat(3_000_000)}"}`
const BASE = 'http://127.0.0.1/states'

export async function check(name: string, settings: Settings): Promise<void> {
  const found = { fastify: checkFastify, express: checkExpress, 'fetch-handler': checkFetchHandler }[name]
  await (found ?? assert.fail(name))({ ...settings, PUBLIC_URL: BASE })
}

async function checkFastify(settings: Settings): Promise<void> {
  const { createServer } = await import('./fastify/server.ts')
  const app = await createServer(settings)
  const url = await app.listen({ port: 0 })
  const order = await send(`${url}/orders/7`, { method: 'POST', body: '{"sum":12}' })
  assert.equal(order.runId, 'order-7')
  await roundTrip(`${url}/states`)
  const query = '{ run(runId: "order-7") { workflowName latestSnapshot { kind payload } } }'
  const { data } = await send(`${url}/states/graphql`, { method: 'POST', body: JSON.stringify({ query }) })
  assert.deepEqual(data, { run: { workflowName: 'order', latestSnapshot: { kind: 'INPUT', payload: { sum: 12 } } } })
  await app.close()
}

async function checkExpress(settings: Settings): Promise<void> {
  const { createServer } = await import('./express/server.ts')
  const { server, close } = await createServer(settings)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const run of ['ada-1', 'bob-1']) {
    const captured = await send(`${url}/agents/${run}`, { method: 'POST', body: '{"thought":1}' })
    assert.equal(captured.created, true)
  }
  const body = JSON.stringify({ query: '{ viewer { name } runs { nodes { runId } } }' })
  const ask = (session: string) =>
    send(`${url}/states/graphql`, { method: 'POST', body, headers: { 'x-session': session } })
  assert.deepEqual((await ask('session-of-bob')).data, {
    viewer: { name: 'bob' },
    runs: { nodes: [{ runId: 'bob-1' }] },
  })
  assert.equal((await ask('session-of-ada')).data.runs.nodes.length, 2)
  const nobody = await send(`${url}/states/graphql`, { method: 'POST', body })
  assert.equal(nobody.errors[0].extensions.code, 'UNAUTHENTICATED')
  await close()
}

async function checkFetchHandler(settings: Settings): Promise<void> {
  Object.assign(process.env, settings)
  const { GET, POST, PUT } = await import('./fetch-handler/route.ts')
  const put = await PUT(new Request(`${BASE}/runs/r/steps/s/snapshot`, { ...JSON_TYPE, method: 'PUT', body: STATE }))
  assert.equal(put.status, 201)
  const got = await GET(new Request(new URL(put.headers.get('location') ?? '', BASE)))
  assert.equal(await got.text(), STATE)
  const body = JSON.stringify({ query: '{ runs { nodes { runId } } }' })
  const answer = await POST(new Request(`${BASE}/graphql`, { ...JSON_TYPE, method: 'POST', body }))
  assert.deepEqual(await answer.json(), { data: { runs: { nodes: [{ runId: 'r' }] } } })
  // Frameworks end their process; nothing else ends what a module holds.
  process.exit(0)
}

const JSON_TYPE = { headers: { 'content-type': 'application/json' } }

async function roundTrip(url: string): Promise<void> {
  const put = await fetch(`${url}/runs/r/steps/s/snapshot`, { ...JSON_TYPE, method: 'PUT', body: STATE })
  assert.equal(put.status, 201)
  const got = await fetch(new URL(put.headers.get('location') ?? '', url))
  assert.equal(await got.text(), STATE)
}

// biome-ignore lint/suspicious/noExplicitAny: whatever comes is compared.
async function send(url: string, init: RequestInit): Promise<any> {
  const headers = { ...JSON_TYPE.headers, ...(init.headers as Record<string, string> | undefined) }
  return await (await fetch(url, { ...init, headers })).json()
}
