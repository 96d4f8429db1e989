import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { type CaptureProgress, createClient, StatelensError } from '../../src/client/client.ts'
import { payloadOf } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { s3Env } from '../support/objects.ts'
import { countRows } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { inPieces, type RecordingClient, recordingClient, storedBytes } from './recording.ts'

/** What a parser that writes JSON again would change. */
const AWKWARD = Buffer.from('{"a":1e400, "a":-0,"b":1.0,"\\u0041":12345678901234567890123}')
const MUTATION = ['POST /graphql']
const PUT = ['PUT /runs/run/steps/step/snapshot']
const STEP = { runId: 'run', stepId: 'step' }

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

function testCaptures(name: string, env: Record<string, string>): void {
  describe(`the client with ${name}`, () => {
    let server: TestServer
    let client: RecordingClient
    before(async () => {
      server = await startServer({ env: { ...env, SNAPSHOT_INLINE_MAX_BYTES: '2000' } })
    })
    after(() => server[Symbol.asyncDispose]())
    beforeEach(() => {
      client = recordingClient({ url: server.url })
    })

    it('captures a small value by the mutation, with all that is known of it', async () => {
      const known = { kind: 'OUTPUT', attempt: 2, isSuccessState: true, replaySafe: true, piiTags: ['name'] } as const
      const more = { metadata: { model: 'm' }, redactionPolicy: 'mask', expiresAt: new Date('2030-01-01T00:00:00Z') }
      const snapshotId = randomUUID()
      const value = { text: 'naïve 🙂', list: [1, null, true] }
      const result = await client.capture({ runId: 'alone', snapshotId, ...known, ...more }, { value })
      const bytes = Buffer.from(JSON.stringify(value))
      assert.deepEqual(
        { ...result, seq: typeof result.seq },
        {
          snapshotId,
          seq: 'number',
          sizeBytes: bytes.length,
          digest: digestOf(bytes),
          storageTier: 'INLINE',
          created: true,
        },
      )
      assert.deepEqual(client.requests, MUTATION)
      const query = `{ snapshotById(snapshotId: "${snapshotId}") { kind attempt isSuccessState replaySafe piiTags metadata
        redactionPolicy expiresAt payload } }`
      const { data } = await server.graphql<{ snapshotById: { expiresAt: string } }>(query)
      const { expiresAt, ...told } = data.snapshotById
      assert.equal(Date.parse(expiresAt), more.expiresAt.getTime())
      const { metadata, redactionPolicy } = more
      assert.deepEqual(told, { ...known, metadata, redactionPolicy, payload: value })
    })

    it('keeps bytes as they are, inline and as an object', async () => {
      for (const bytes of [AWKWARD, Buffer.concat([AWKWARD, Buffer.alloc(3000, ' ')]), Buffer.from('-0')]) {
        const all = { kind: 'ERROR', attempt: 3, isSuccessState: false, piiTags: ['a&b', 'c=+ %2F'] } as const
        const result = await client.capture({ ...STEP, ...all, redactionPolicy: '' }, { bytes })
        assert.equal(result.digest, digestOf(bytes))
        assert.equal(result.storageTier, bytes.length > 2000 ? 'OBJECT' : 'INLINE')
        assert.ok((await storedBytes(server.url, result)).equals(bytes))
        const query = `{ snapshotById(snapshotId: "${result.snapshotId}") { kind attempt isSuccessState piiTags } }`
        assert.deepEqual((await server.graphql(query)).data, { snapshotById: all })
      }
      assert.deepEqual(new Set(client.requests), new Set(PUT))
    })

    it('captures a value that is larger by PUT, and any id with it', async () => {
      const value = payloadOf(300_000)
      const ids = { runId: 'a/b?c#d%2F', stepId: 'ü 🙂+' }
      const result = await client.capture(ids, { value })
      assert.deepEqual(client.requests, ['PUT /runs/a%2Fb%3Fc%23d%252F/steps/%C3%BC%20%F0%9F%99%82%2B/snapshot'])
      assert.equal(result.sizeBytes, 300_000)
      const query =
        'query($runId: String!, $stepId: String!) { step(runId: $runId, stepId: $stepId) { snapshot { id } } }'
      const { data } = await server.graphql<{ step: { snapshot: object } }>(query, ids)
      assert.ok(data.step.snapshot)
    })

    it('captures a file as a blob, and streams of both kinds, by PUT', async () => {
      await using folder = await temporaryFolder()
      const bytes = Buffer.concat([AWKWARD, Buffer.alloc(200_000, ' ')])
      await writeFile(`${folder.path}/state.json`, bytes)
      const blob = await openAsBlob(`${folder.path}/state.json`)
      const digest = digestOf(bytes)
      const payloads = [
        { blob },
        { stream: blob.stream() },
        { stream: inPieces(bytes, 7000), sizeBytes: bytes.length, digest },
        { stream: () => inPieces(bytes, 50_000) },
      ]
      for (const payload of payloads) {
        const result = await client.capture(STEP, payload)
        assert.deepEqual([result.digest, result.created], [digest, true])
      }
      assert.deepEqual(client.requests, Array(4).fill(PUT[0]))
    })

    it('tells how far it is, up to the whole and never back', async () => {
      const bytes = Buffer.concat([AWKWARD, Buffer.alloc(2_000_000, ' ')])
      for (const payload of [
        { bytes },
        { stream: inPieces(bytes, 65_536) },
        { value: 1 },
        { bytes: Buffer.from('1') },
      ]) {
        const told: CaptureProgress[] = []
        const { sizeBytes } = await client.capture(STEP, payload, { onProgress: (progress) => told.push(progress) })
        const sent = told.map(({ sentBytes }) => sentBytes)
        assert.deepEqual(
          sent,
          sent.toSorted((a, b) => a - b),
        )
        assert.deepEqual(told.at(-1), { sentBytes: sizeBytes, totalBytes: sizeBytes })
        if (sizeBytes > 1_000_000) assert.ok(told.length > 5)
      }
    })

    it('stores the same capture once, and says CONFLICT to another one under its key', async () => {
      const idempotencyKey = randomUUID()
      const first = await client.capture({ ...STEP, idempotencyKey }, { value: { a: 1 } })
      for (const payload of [{ value: { a: 1 } }, { bytes: Buffer.from('{"a":1}') }]) {
        const again = await client.capture({ ...STEP, idempotencyKey }, payload)
        assert.deepEqual(again, { ...first, created: false })
      }
      for (const payload of [{ value: 2 }, { bytes: AWKWARD }]) {
        const conflict = client.capture({ ...STEP, idempotencyKey }, payload)
        await assert.rejects(conflict, { name: 'StatelensError', code: 'CONFLICT', retryable: false })
      }
      const { snapshotId } = first
      const byId = await client.capture({ ...STEP, snapshotId }, { value: { a: 1 } })
      assert.deepEqual([byId.snapshotId, byId.created], [snapshotId, false])
      assert.equal(client.requests.length, 6)
    })

    it('says what is wrong with a state, and leaves nothing of it', async () => {
      const rows = () => countRows(server.databaseUrl, 'state_snapshots')
      const earlier = await rows()
      const half = Buffer.from('{"a":')
      for (const payload of [{ bytes: half }, { stream: inPieces(half, 2) }, { blob: new Blob([]) }]) {
        await assert.rejects(client.capture(STEP, payload), { code: 'INVALID_PAYLOAD', status: 422, retryable: false })
      }
      const large = Buffer.concat([Buffer.alloc(3_000_000, ' '), half, Buffer.alloc(3_000_000, ' ')])
      await assert.rejects(client.capture(STEP, { stream: inPieces(large, 65_536) }), { code: 'INVALID_PAYLOAD' })
      const wrong = { stream: inPieces(AWKWARD, 9), digest: digestOf(half) }
      await assert.rejects(client.capture(STEP, wrong), StatelensError)
      await assert.rejects(client.capture({ ...STEP, attempt: 0 }, { value: 1 }), { code: 'BAD_REQUEST' })
      await assert.rejects(client.capture({ runId: '' }, { value: 1 }), { code: 'BAD_REQUEST' })
      assert.equal(await rows(), earlier)
    })

    it('ends by its signal in the middle of a stream, and closes the stream', async () => {
      const rows = await countRows(server.databaseUrl, 'state_snapshots')
      const controller = new AbortController()
      const closed = Promise.withResolvers<void>()
      async function* endless() {
        try {
          yield Buffer.from('["')
          for (;;) yield Buffer.alloc(10_000, 'x')
        } finally {
          closed.resolve()
        }
      }
      const onProgress = ({ sentBytes }: CaptureProgress) =>
        sentBytes > 1_000_000 && controller.abort(new Error('enough'))
      const options = { signal: controller.signal, onProgress }
      await assert.rejects(client.capture(STEP, { stream: endless() }, options), { message: 'enough' })
      await closed.promise
      await assert.rejects(client.capture(STEP, { value: 1 }, options), { message: 'enough' })
      assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), rows)
      assert.equal(client.requests.length, 1)
    })

    it('creates runs and steps', async () => {
      await client.upsertRun({ runId: 'r', workflowName: 'w', status: 'RUNNING', startedAt: new Date(0) })
      await client.upsertStep({ runId: 'r', stepId: 's', status: 'SKIPPED', name: 'embed' })
      const { data } = await server.graphql(
        '{ step(runId: "r", stepId: "s") { name status run { workflowName status } } }',
      )
      const run = { workflowName: 'w', status: 'RUNNING' }
      assert.deepEqual(data, { step: { name: 'embed', status: 'SKIPPED', run } })
      await assert.rejects(client.upsertRun({ runId: '' }), { code: 'BAD_REQUEST' })
    })
  })
}

testCaptures('files', {})
await describeWith('captures into S3', s3, (service) => testCaptures('S3', s3Env(service)))

describe('the client alone', () => {
  it('refuses what no server could take, and sends nothing', async () => {
    const client = recordingClient({ url: 'http://127.0.0.1:9' })
    const circle: { self?: object } = {}
    circle.self = circle
    for (const value of [undefined, 1n, circle, () => {}]) {
      await assert.rejects(client.capture(STEP, { value }), { code: 'INVALID_PAYLOAD' })
    }
    const stream = () => inPieces(AWKWARD, 5)
    const refused = [
      client.capture({ runId: 'run' }, { stream }),
      client.capture({ ...STEP, metadata: {} }, { stream }),
      client.capture(STEP, { stream, digest: 'sha256:AA' }),
      client.capture(STEP, { stream, sizeBytes: -1 }),
      client.capture({ ...STEP, expiresAt: new Date(Number.NaN) }, { value: 1 }),
      client.capture({ ...STEP, metadata: 1n }, { value: 1 }),
    ]
    for (const refusal of refused) await assert.rejects(refusal, { code: 'BAD_REQUEST', status: undefined })
    assert.deepEqual(client.requests, [])
  })

  it('refuses an address or a token that no request could be made with', () => {
    for (const url of ['', 'file:///x', '127.0.0.1:4000', 'http://user:pw@host', 'http://host?x=1']) {
      assert.throws(() => createClient({ url }), { code: 'BAD_REQUEST' })
    }
    assert.throws(() => createClient({ url: 'http://host', token: 'a\nb' }), { code: 'BAD_REQUEST' })
    assert.throws(() => createClient({ url: 'http://host', retries: -1 }), { code: 'BAD_REQUEST' })
  })

  it('says how a stream differs from what was said of it, and throws what it throws', async () => {
    await using server = await startServer()
    const client = recordingClient({ url: server.url })
    for (const sizeBytes of [AWKWARD.length - 1, AWKWARD.length + 1]) {
      await assert.rejects(client.capture(STEP, { stream: () => inPieces(AWKWARD, 5), sizeBytes }), {
        code: 'BAD_REQUEST',
      })
    }
    async function* broken() {
      yield Buffer.from('[')
      throw new RangeError('of the producer')
    }
    await assert.rejects(client.capture(STEP, { stream: broken }), RangeError)
    assert.equal(client.requests.length, 3)
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 0)
  })

  it('keeps nothing of a stream that it has sent', async () => {
    await using sink = createHttpServer((request, response) => {
      request
        .resume()
        .once('end', () => response.writeHead(201).end(JSON.stringify({ snapshotId: 'id', created: true })))
    })
    await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve))
    const address = sink.address()
    const client = createClient({ url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` })
    let peak = 0
    async function* chunks() {
      for (let i = 0; i < 1200; i++) {
        peak = Math.max(peak, process.memoryUsage().arrayBuffers)
        yield Buffer.alloc(262_144, 'x')
      }
    }
    const earlier = process.memoryUsage().arrayBuffers
    await client.capture(STEP, { stream: chunks() })
    // Of some 300 MB.
    assert.ok(peak - earlier < 150_000_000, `${peak - earlier} bytes`)
  })

  it('sends its token to the server, which captures whatever it is', async () => {
    await using server = await startServer()
    const client = recordingClient({ url: `${server.url}/`, token: 'wrong' })
    await client.capture(STEP, { value: 1 })
    await client.capture(STEP, { bytes: AWKWARD })
    assert.deepEqual(client.authorizations, ['Bearer wrong', 'Bearer wrong'])
  })

  it('names the answer of something else than the server', async () => {
    await using proxy = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () =>
        socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!'),
      )
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const address = proxy.address()
    const client = createClient({ url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` })
    for (const payload of [{ value: 1 }, { bytes: AWKWARD }]) {
      const wanted = { code: 'UNEXPECTED_ANSWER', status: 404, retryable: false }
      await assert.rejects(client.capture(STEP, payload), wanted)
    }
  })
})
