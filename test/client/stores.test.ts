import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { s3Env } from '../support/objects.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'
import { recordingClient, storedBytes } from './recording.ts'

const MIB = 2 ** 20
const SIZES = process.env['STATELENS_LONG_TESTS'] ? [2, 4, 5, 6, 12, 20, 30, 40, 63, 64, 70] : [2, 6, 40, 70]
/** How long the store takes for a body here, and when it breaks off. */
const PUT_MILLIS = 600
const BREAK_MILLIS = 200

function stateOf(sizeBytes: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(sizeBytes, ' ')
  bytes.write(`{"id":"${randomUUID()}"}`)
  return bytes
}

await describeWith('the client and a server whose store', s3, (service) => {
  describe('breaks off', () => {
    let server: TestServer
    let proxy: FaultProxy
    before(async () => {
      const { hostname, port } = new URL(service.endpoint)
      proxy = await startFaultProxy({ host: hostname, port: Number(port) })
      server = await startServer({ env: { ...s3Env(service), S3_ENDPOINT_URL: `http://${proxy.host}:${proxy.port}` } })
      // What the store can do is known from here on.
      await server.app.writer.capture({ runId: 'first' }, stateOf(2 * MIB))
    })
    after(async () => {
      await server[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    })

    for (const mib of SIZES) {
      it(`D2: store ${mib} MiB by PUT all the same, after one reset`, async () => {
        const bytes = stateOf(mib * MIB)
        const client = recordingClient({ url: server.url, directMinBytes: Number.POSITIVE_INFINITY })
        // The next request needs a connection of its own.
        proxy.resetNow()
        const earlier = proxy.connections
        proxy.bandwidth((bytes.length / PUT_MILLIS) * 1000)
        const capturing = client.capture({ runId: 'run', stepId: 'step' }, { bytes })
        while (proxy.connections === earlier) await delay(5)
        await delay(BREAK_MILLIS)
        await proxy.heal()
        proxy.resetNow()
        const result = await capturing
        assert.ok((await storedBytes(server.url, result)).equals(bytes))
        assert.ok(client.requests.every((asked) => asked.startsWith('PUT ')))
      })
    }
  })

  describe('is another one than it was', () => {
    const large = { mutationMaxBytes: 0, directMinBytes: 0 }

    it('D10: store what only the old one has, which is not configured any more', async () => {
      await using old = await startServer({ env: s3Env(service) })
      const bytes = stateOf(9 * MIB)
      await recordingClient({ url: old.url }).capture({ runId: 'old' }, { bytes })
      await using server = await startServer({ store: old })
      const client = recordingClient({ url: server.url, retries: 0 })
      const result = await client.capture({ runId: 'new' }, { bytes })
      assert.ok((await storedBytes(server.url, result)).equals(bytes))
      assert.equal(client.requests.length, 3)
    })

    it('D10: store what only the old one has, which is down', async () => {
      const { hostname, port } = new URL(service.endpoint)
      await using proxy = await startFaultProxy({ host: hostname, port: Number(port) })
      const env = { ...s3Env(service), S3_ENDPOINT_URL: `http://${proxy.host}:${proxy.port}` }
      await using old = await startServer({ env })
      const bytes = stateOf(20_000)
      await recordingClient({ url: old.url, ...large }).capture({ runId: 'old' }, { bytes })
      await proxy.refuse()
      await using server = await startServer({ store: old, env: { ...env, SNAPSHOT_STORAGE_BACKEND: 'filesystem' } })
      const client = recordingClient({ url: server.url, retries: 0, ...large })
      const result = await client.capture({ runId: 'new' }, { bytes })
      assert.ok((await storedBytes(server.url, result)).equals(bytes))
      assert.equal(client.requests.length, 3)
    })
  })
})
