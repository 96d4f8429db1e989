import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { createClient } from '../../src/client/client.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { countRows } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { inPieces, recordingClient, storedBytes } from './recording.ts'

const STEP = { runId: 'run', stepId: 'step' }
const SMALL = Buffer.from('{"a":1e400}')
/** More than the buffers between the two ends hold. */
const LARGE = Buffer.from(JSON.stringify({ text: 'x'.repeat(8_000_000) }))

describe('the client on a bad line', () => {
  let server: TestServer
  let proxy: FaultProxy
  let url: string

  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())
  beforeEach(async () => {
    const { hostname, port } = new URL(server.url)
    proxy = await startFaultProxy({ host: hostname, port: Number(port) })
    url = `http://${proxy.host}:${proxy.port}`
  })
  afterEach(() => proxy[Symbol.asyncDispose]())

  const rows = () => countRows(server.databaseUrl, 'state_snapshots')

  /** Lets the first answer get lost: the connection ends after one byte of it, and the next one is good. */
  function loseFirstAnswer(): typeof fetch {
    proxy.limitData(1, 'rst')
    let calls = 0
    return async (input, init) => {
      if (calls++ === 1) await proxy.heal()
      return await fetch(input, init)
    }
  }

  it('stores a capture once whose answer was lost', async () => {
    const payloads = [{ value: 1 }, { bytes: SMALL }, { stream: () => inPieces(LARGE, 65_536) }]
    for (const payload of payloads) {
      const earlier = await rows()
      const client = recordingClient({ url, fetch: loseFirstAnswer() })
      const result = await client.capture(STEP, payload)
      assert.equal(client.requests.length, 2)
      assert.equal(result.created, false)
      assert.equal(await rows(), earlier + 1)
    }
  })

  it('sends again what broke off in the middle, and tells no progress twice', async () => {
    for (const payload of [{ bytes: LARGE }, { blob: new Blob([LARGE]) }, { stream: () => inPieces(LARGE, 65_536) }]) {
      const earlier = await rows()
      const client = recordingClient({ url })
      const told: number[] = []
      let broken = false
      const result = await client.capture(STEP, payload, {
        onProgress({ sentBytes }) {
          told.push(sentBytes)
          if (!broken && sentBytes > 2_500_000 && proxy.openSockets > 0) {
            broken = true
            proxy.resetNow()
          }
        },
      })
      assert.equal(client.requests.length, 2)
      assert.deepEqual(
        told,
        told.toSorted((a, b) => a - b),
      )
      assert.equal(told.at(-1), LARGE.length)
      assert.equal(await rows(), earlier + 1)
      assert.ok((await storedBytes(server.url, result)).equals(LARGE))
    }
  })

  it('does not repeat a stream that was begun', async () => {
    const earlier = await rows()
    const client = recordingClient({ url })
    const broken = client.capture(
      STEP,
      { stream: inPieces(LARGE, 65_536) },
      { onProgress: ({ sentBytes }) => sentBytes > 5_000_000 && proxy.resetNow() },
    )
    await assert.rejects(broken, { code: 'NETWORK', status: undefined, retryable: true })
    assert.equal(client.requests.length, 1)
    assert.equal(await rows(), earlier)
  })

  it('repeats a stream that was not begun', async () => {
    await proxy.refuse()
    let calls = 0
    const client = recordingClient({
      url,
      async fetch(input, init) {
        if (calls++ === 1) await proxy.heal()
        return await fetch(input, init)
      },
    })
    const result = await client.capture(STEP, { stream: inPieces(LARGE, 65_536) })
    assert.deepEqual([result.sizeBytes, client.requests.length], [LARGE.length, 2])
  })

  it('gives up after its retries, and the same capture can be made later', async () => {
    await proxy.refuse()
    const client = recordingClient({ url, retries: 1 })
    const request = { ...STEP, idempotencyKey: randomUUID() }
    for (const payload of [{ value: 2 }, { bytes: Buffer.from('2') }]) {
      await assert.rejects(client.capture(request, payload), { code: 'NETWORK', retryable: true })
    }
    assert.equal(client.requests.length, 4)
    await proxy.heal()
    assert.equal((await client.capture(request, { value: 2 })).created, true)
  })

  it('takes an answer that does not come for a lost one', async () => {
    proxy.blackhole('replies')
    let calls = 0
    const client = recordingClient({
      url,
      timeoutMillis: 300,
      async fetch(input, init) {
        if (calls++ === 1) await proxy.heal()
        return await fetch(input, init)
      },
    })
    await client.upsertRun({ runId: 'run', status: 'RUNNING' })
    assert.equal(client.requests.length, 2)
  })

  it('ends by its signal while it waits to repeat', async () => {
    await proxy.refuse()
    const controller = new AbortController()
    const client = createClient({
      url,
      fetch: async (input, init) => {
        try {
          return await fetch(input, init)
        } finally {
          setImmediate(() => controller.abort(new Error('enough')))
        }
      },
    })
    const options = { signal: controller.signal }
    await assert.rejects(client.capture(STEP, { value: 1 }, options), { message: 'enough' })
  })
})

describe('the client with a busy server', () => {
  /** Answers each request by the next of the scripts. */
  async function scripted(answers: readonly ((response: ServerResponse) => void)[]) {
    const times: number[] = []
    const server = createServer((request, response) => {
      times.push(performance.now())
      request.resume().once('end', () => answers[times.length - 1]?.(response))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    return {
      url: `http://127.0.0.1:${port}`,
      times,
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  const json =
    (status: number, body: object, headers = {}) =>
    (response: ServerResponse) =>
      void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  const stored = { snapshotId: 'id', seq: 1, sizeBytes: 1, digest: 'sha256:', storageTier: 'INLINE', created: true }
  const failed = (extensions: object) => json(200, { data: null, errors: [{ message: 'no', extensions }] })

  it('waits as long as it is asked to', async () => {
    const overloaded = json(503, { code: 'OVERLOADED', message: 'later' }, { 'retry-after': '1' })
    await using server = await scripted([overloaded, json(201, stored)])
    const { snapshotId } = await createClient({ url: server.url }).capture(STEP, { bytes: SMALL })
    assert.equal(snapshotId, 'id')
    const [first = 0, second = 0] = server.times
    assert.ok(second - first >= 1000)
  })

  it('repeats what the server says may pass, by status and by extension', async () => {
    const good = json(200, { data: { captureSnapshot: { created: true, snapshot: stored } } })
    const passing = [failed({ code: 'DATABASE_UNAVAILABLE', retryable: true }), json(429, {}), json(502, {}), good]
    await using server = await scripted(passing)
    const result = await createClient({ url: server.url }).capture(STEP, { value: 1 })
    assert.deepEqual(result, stored)
    assert.equal(server.times.length, 4)
  })

  it('does not repeat what stays as it is', async () => {
    const corrupt = json(502, { code: 'OBJECT_CORRUPT', message: 'no' })
    await using server = await scripted([failed({ code: 'INTERNAL_SERVER_ERROR' }), corrupt, json(200, { data: {} })])
    const client = createClient({ url: server.url })
    await assert.rejects(client.capture(STEP, { value: 1 }), { code: 'INTERNAL_SERVER_ERROR', retryable: false })
    await assert.rejects(client.capture(STEP, { bytes: SMALL }), { code: 'OBJECT_CORRUPT', status: 502 })
    await assert.rejects(client.capture(STEP, { value: 1 }), { code: 'UNEXPECTED_ANSWER', status: 200 })
    assert.equal(server.times.length, 3)
  })
})
