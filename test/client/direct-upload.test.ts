import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ClientOptions } from '../../src/client/client.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { s3Env } from '../support/objects.ts'
import { countRows } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'
import { recordingClient, storedBytes } from './recording.ts'

const STEP = { runId: 'run', stepId: 'step' }
const ALWAYS = { mutationMaxBytes: 0, directMinBytes: 0 }
const TO_STORE = 'PUT elsewhere'

/** Awkward JSON of this size, unlike every other. */
function uniqueJson(sizeBytes: number): Buffer<ArrayBuffer> {
  const head = Buffer.from(`{"a":1e400,"a":-0,"id":"${randomUUID()}"}`)
  return Buffer.concat([head, Buffer.alloc(sizeBytes - head.length, ' ')])
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const snapshots = ({ databaseUrl }: TestServer) => countRows(databaseUrl, 'state_snapshots')

/** Sends each request, and loses the answer of one of them. */
function losing(lost: number): typeof fetch {
  let calls = 0
  return async (input, init) => {
    const answer = await fetch(input, init)
    if (calls++ !== lost) return answer
    await answer.arrayBuffer()
    throw new TypeError('lost')
  }
}

function testDirectUploads(name: string, env: Record<string, string>): void {
  describe(`direct upload into ${name}`, () => {
    let server: TestServer
    before(async () => {
      server = await startServer({ env: { ...env, SNAPSHOT_INLINE_MAX_BYTES: '2000' } })
    })
    after(() => server[Symbol.asyncDispose]())

    const clientOf = (options: Partial<ClientOptions> = {}) => recordingClient({ url: server.url, ...options })

    it('keeps every byte, with all that is known of the state', async () => {
      for (const sizeBytes of [1000, 50_000]) {
        const client = clientOf({ ...ALWAYS, token: 'token' })
        const bytes = uniqueJson(sizeBytes)
        const known = { metadata: { note: 'ü' }, kind: 'OUTPUT', piiTags: ['name'], replaySafe: true } as const
        const result = await client.capture({ runId: 'alone', ...known, expiresAt: '2030-01-01T00:00:00Z' }, { bytes })
        const tier = sizeBytes > 2000 ? 'OBJECT' : 'INLINE'
        assert.deepEqual([result.digest, result.storageTier, result.created], [digestOf(bytes), tier, true])
        assert.ok((await storedBytes(server.url, result)).equals(bytes))
        const query = `{ snapshotById(snapshotId: "${result.snapshotId}") { metadata kind piiTags replaySafe step { id } } }`
        assert.deepEqual((await server.graphql(query)).data, { snapshotById: { ...known, step: null } })
        // The store is signed for: it never sees the token.
        assert.deepEqual(client.authorizations, ['Bearer token', null, 'Bearer token'])
      }
    })

    it('is chosen for what is large, and for bytes that only it can bring over as they are', async () => {
      const large = clientOf()
      await large.capture(STEP, { blob: new Blob([uniqueJson(8 * 2 ** 20)]) })
      const awkward = clientOf()
      await awkward.capture({ runId: 'alone' }, { bytes: uniqueJson(100) })
      const plain = clientOf()
      await plain.capture({ runId: 'alone' }, { bytes: Buffer.from('{"plain":true}') })
      const upTo = (requests: readonly string[]) => requests.map((request) => request.replace(/uploads\/.*/, 'uploads'))
      const to = name === 'files' ? 'PUT /uploads' : TO_STORE
      assert.deepEqual(upTo(large.requests), ['POST /graphql', to, 'POST /graphql'])
      assert.deepEqual(upTo(awkward.requests), ['POST /graphql', to, 'POST /graphql'])
      assert.deepEqual(plain.requests, ['POST /graphql'])
    })

    it('sends nothing of what is stored already', async () => {
      const bytes = uniqueJson(100_000)
      const first = await clientOf(ALWAYS).capture(STEP, { bytes })
      const client = clientOf(ALWAYS)
      const told: unknown[] = []
      const second = await client.capture(STEP, { bytes }, { onProgress: (progress) => told.push(progress) })
      assert.deepEqual(client.requests, ['POST /graphql', 'POST /graphql'])
      assert.deepEqual(told, [{ sentBytes: 100_000, totalBytes: 100_000 }])
      assert.notEqual(second.snapshotId, first.snapshotId)
      assert.ok((await storedBytes(server.url, second)).equals(bytes))
    })

    it('stores a capture once, whichever answer is lost', async () => {
      for (const lost of [0, 1, 2]) {
        const earlier = await snapshots(server)
        const bytes = uniqueJson(20_000)
        const client = clientOf({ ...ALWAYS, fetch: losing(lost) })
        const result = await client.capture({ runId: 'lossy' }, { bytes })
        assert.equal(client.requests.length, 4)
        assert.equal(await snapshots(server), earlier + 1)
        assert.ok((await storedBytes(server.url, result)).equals(bytes))
      }
    })

    it('S12: sends by another ticket what comes too late for the first', async () => {
      const bytes = uniqueJson(20_000)
      let isLate = false
      const client = clientOf({
        ...ALWAYS,
        ticketSeconds: 1,
        async fetch(input, init) {
          if (init?.method === 'PUT' && !isLate) {
            isLate = true
            await delay(1100)
          }
          return await fetch(input, init)
        },
      })
      const result = await client.capture({ runId: 'late' }, { bytes })
      assert.ok((await storedBytes(server.url, result)).equals(bytes))
      assert.ok(client.requests.length >= 5)
      assert.equal(await countRows(server.databaseUrl, "state_snapshots where run_id = 'late'"), 1)
    })

    it('says what is wrong with a state, and leaves nothing of it', async () => {
      const client = clientOf(ALWAYS)
      const idempotencyKey = randomUUID()
      await client.capture({ ...STEP, idempotencyKey }, { bytes: uniqueJson(5000) })
      const earlier = await snapshots(server)
      const other = client.capture({ ...STEP, idempotencyKey }, { bytes: uniqueJson(5000) })
      await assert.rejects(other, { code: 'CONFLICT', retryable: false })
      await assert.rejects(client.capture(STEP, { bytes: uniqueJson(5000).fill('[') }), { code: 'INVALID_PAYLOAD' })
      await assert.rejects(client.capture({ ...STEP, attempt: 0 }, { bytes: uniqueJson(5000) }), {
        code: 'BAD_REQUEST',
      })
      assert.equal(await snapshots(server), earlier)
    })
  })
}

testDirectUploads('files', {})

await describeWith('direct upload to a store', s3, (service) => {
  testDirectUploads('S3', s3Env(service))

  describe('a bad line to the store', () => {
    let server: TestServer
    let proxy: FaultProxy
    before(async () => {
      const { hostname, port } = new URL(service.endpoint)
      proxy = await startFaultProxy({ host: hostname, port: Number(port) })
      const env = { ...s3Env(service), S3_PUBLIC_ENDPOINT_URL: `http://${proxy.host}:${proxy.port}` }
      server = await startServer({ env })
    })
    after(async () => {
      await server[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    })

    const clientOf = (options: Partial<ClientOptions> = {}) => recordingClient({ url: server.url, ...options })

    it('goes by PUT where the store cannot be reached, and says so where PUT cannot say it', async () => {
      await proxy.refuse()
      const bytes = uniqueJson(300_000)
      const client = clientOf({ directMinBytes: 1 })
      const result = await client.capture(STEP, { bytes })
      const put = 'PUT /runs/run/steps/step/snapshot'
      assert.deepEqual(client.requests, ['POST /graphql', TO_STORE, TO_STORE, put])
      assert.ok((await storedBytes(server.url, result)).equals(bytes))
      const cannot = clientOf({ retries: 1 }).capture({ ...STEP, metadata: {} }, { bytes: uniqueJson(300_000) })
      await assert.rejects(cannot, { code: 'NETWORK', retryable: true })
      await proxy.heal()
    })

    it('sends again what broke off, in one piece', async () => {
      const bytes = uniqueJson(10_000_000)
      const client = clientOf()
      let broken = false
      const result = await client.capture(
        STEP,
        { bytes },
        {
          onProgress({ sentBytes }) {
            if (broken || sentBytes < 5_000_000 || proxy.openSockets === 0) return
            broken = true
            proxy.resetNow()
          },
        },
      )
      assert.deepEqual(client.requests, ['POST /graphql', TO_STORE, TO_STORE, 'POST /graphql'])
      assert.equal(result.digest, digestOf(bytes))
    })

    it('sends more than 100 MB in parts, and of these again only what broke off', async () => {
      const bytes = uniqueJson(100_000_001)
      const client = clientOf({ parallelParts: 2 })
      const told: number[] = []
      let broken = false
      const result = await client.capture(
        { runId: 'parts' },
        { blob: new Blob([bytes]) },
        {
          onProgress({ sentBytes }) {
            told.push(sentBytes)
            if (broken || sentBytes < 50_000_000) return
            broken = true
            proxy.resetNow()
          },
        },
      )
      // Three parts; at most the two under way are sent twice.
      const sent = client.requests.filter((request) => request === TO_STORE).length
      assert.ok(sent > 3 && sent <= 5, `${sent} requests`)
      assert.deepEqual(
        told,
        told.toSorted((a, b) => a - b),
      )
      assert.equal(told.at(-1), bytes.length)
      assert.deepEqual([result.sizeBytes, result.digest, result.storageTier], [bytes.length, digestOf(bytes), 'OBJECT'])
    })

    it('ends by its signal, and sends nothing more', async () => {
      const earlier = await snapshots(server)
      const controller = new AbortController()
      const client = clientOf()
      const aborted = client.capture(
        STEP,
        { bytes: uniqueJson(10_000_000) },
        {
          signal: controller.signal,
          onProgress: ({ sentBytes }) => sentBytes > 5_000_000 && controller.abort(new Error('enough')),
        },
      )
      await assert.rejects(aborted, { message: 'enough' })
      assert.deepEqual(client.requests, ['POST /graphql', TO_STORE])
      assert.equal(await snapshots(server), earlier)
    })

    it('says that the store refuses, without the address', async () => {
      const client = clientOf({
        ...ALWAYS,
        ticketSeconds: 1,
        fetch: async (input, init) => {
          const { searchParams } = new URL(String(input))
          if (!searchParams.has('X-Amz-Signature')) return await fetch(input, init)
          return await fetch(String(input).replace(/X-Amz-Signature=../, 'X-Amz-Signature=00'), init)
        },
      })
      await assert.rejects(client.capture(STEP, { bytes: uniqueJson(1000) }), (error: Error) => {
        assert.match(JSON.stringify({ ...error }), /"code":"UPLOAD_REFUSED","status":403,"retryable":false/)
        assert.ok(!error.message.includes('http'))
        return true
      })
    })
  })
})
