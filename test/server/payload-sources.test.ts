import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { dataOf } from '../support/answers.ts'
import { send } from '../support/http.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { eventually, put, type Stored, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const MIB = 1_048_576
const READERS = 30

/** JSON of just so many bytes that no coding makes small. */
function state(sizeBytes: number): Buffer {
  return Buffer.from(
    `"${randomBytes(Math.ceil(sizeBytes / 2))
      .toString('hex')
      .slice(0, sizeBytes - 2)}"`,
  )
}

describe('a payload and the place that it is read from', () => {
  let store: MemoryS3
  let server: TestServer
  before(async () => {
    store = await startMemoryS3()
    server = await startServer({ env: { ...s3Env(store.service), SNAPSHOT_INLINE_MAX_BYTES: '1000' } })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    store.beforeGet = () => {}
    store.requests.length = 0
  })

  const targetOf = ({ snapshotId }: Pick<Stored, 'snapshotId'>) => `/snapshots/${snapshotId}/payload`
  const get = (stored: Stored, headers: Record<string, string> = {}) =>
    send(server.url, { target: targetOf(stored), headers })
  const isBroken = (reading: Promise<unknown>) => assert.rejects(reading, { code: 'ECONNRESET' })
  const gets = () => store.requests.filter((line) => line.startsWith('GET'))

  async function keyOf({ snapshotId }: Stored): Promise<string> {
    const [row] = await query<{ uri: string }>(
      server.databaseUrl,
      'select storage_uri as uri from state_snapshots where id = $1',
      [snapshotId],
    )
    return row?.uri.slice(`s3://${store.service.bucket}/`.length) ?? ''
  }

  const activeStatements = () =>
    query(
      server.databaseUrl,
      `select query from pg_stat_activity
       where state = 'active' and datname = current_database() and pid <> pg_backend_pid()`,
    )

  async function factsOf({ snapshotId }: Stored) {
    const [row] = await query<{ state: string; integrity: string | null }>(
      server.databaseUrl,
      'select storage_state as state, integrity from state_snapshots where id = $1',
      [snapshotId],
    )
    return [row?.state, row?.integrity]
  }

  /** A flipped bit in the object. */
  async function damage(stored: Stored, at: number): Promise<void> {
    const key = await keyOf(stored)
    const bytes = Buffer.from(store.objects.get(key) ?? '')
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    store.objects.set(key, bytes)
  }

  describe('D5: in its coding', () => {
    it('never comes to its end when other bytes lie there, whatever they decode to', async () => {
      const bytes = state(6 * MIB)
      const headers = { 'content-encoding': 'gzip' }
      const stored = storedOf(await put(server.url, gzipSync(bytes), { stepId: 'coded', headers }))
      const coded = await get(stored, { 'accept-encoding': 'gzip' })
      assert.deepEqual([coded.status, coded.headers['content-encoding']], [200, 'gzip'])
      assert.equal(coded.headers['content-length'], String(coded.body.length))
      const head = await send(server.url, {
        method: 'HEAD',
        target: targetOf(stored),
        headers: { 'accept-encoding': 'gzip' },
      })
      assert.equal(head.headers['content-length'], String(coded.body.length))
      store.objects.set(await keyOf(stored), gzipSync(state(6 * MIB)))
      await isBroken(get(stored, { 'accept-encoding': 'gzip' }))
      await isBroken(get(stored))
      await eventually(async () => assert.deepEqual(await factsOf(stored), ['CORRUPT', 'MISMATCH']))
    })

    it('is decoded where no digest of the stored bytes is known', async () => {
      const bytes = state(5 * MIB)
      const headers = { 'content-encoding': 'gzip' }
      const stored = storedOf(await put(server.url, gzipSync(bytes), { stepId: 'older', headers }))
      await forget(stored)
      const answer = await get(stored, { 'accept-encoding': 'gzip' })
      assert.equal(answer.headers['content-encoding'], undefined)
      assert.ok(answer.body.equals(bytes))
    })
  })

  /** As it was before the ledger knew what lies in storage. */
  async function forget({ snapshotId }: Stored): Promise<void> {
    await query(
      server.databaseUrl,
      'update statelens_objects set chunk_digests = null, stored_digest = null where snapshot_id = $1',
      [snapshotId],
    )
  }

  describe('D5: in parts', () => {
    it('is held to the digests of its chunks before a byte is handed on', async () => {
      const bytes = state(5 * MIB + 12_345)
      const stored = storedOf(await put(server.url, bytes, { stepId: 'parts' }))
      const ranges = [
        [0, 0],
        [MIB - 1, MIB],
        [MIB, 2 * MIB - 1],
        [3 * MIB - 5, 5 * MIB + 5],
        [5 * MIB + 12_344, 5 * MIB + 12_344],
      ] as const
      for (const [first, last] of ranges) {
        const part = await get(stored, { range: `bytes=${first}-${last}` })
        assert.deepEqual([part.status, part.headers['accept-ranges']], [206, 'bytes'])
        assert.ok(part.body.equals(bytes.subarray(first, last + 1)), `${first}-${last}`)
      }
      await damage(stored, 3 * MIB + 7)
      // Not one byte of the damaged chunk, and every other one.
      assert.equal((await get(stored, { range: `bytes=${2 * MIB}-${3 * MIB - 1}` })).body.length, MIB)
      await isBroken(get(stored, { range: `bytes=${3 * MIB + 900_000}-${3 * MIB + 900_001}` }))
      await isBroken(get(stored, { range: 'bytes=0-' }))
      assert.equal((await get(stored, { range: 'bytes=-1' })).status, 206)
      await eventually(async () => assert.deepEqual(await factsOf(stored), ['CORRUPT', 'MISMATCH']))
    })

    it('is not promised of what was never measured, and is once it was verified', async () => {
      const bytes = state(5 * MIB)
      const stored = storedOf(await put(server.url, bytes, { stepId: 'unmeasured' }))
      await forget(stored)
      const whole = await get(stored, { range: 'bytes=5-6' })
      assert.deepEqual([whole.status, whole.headers['accept-ranges'], whole.body.length], [200, 'none', bytes.length])
      const verify = `{ snapshotById(snapshotId: "${stored.snapshotId}") { integrity(verify: true) } }`
      assert.deepEqual(await dataOf(server.graphql(verify)), { snapshotById: { integrity: 'VERIFIED' } })
      const part = await get(stored, { range: 'bytes=5-6' })
      assert.deepEqual([part.status, part.body], [206, bytes.subarray(5, 7)])
    })
  })

  it('D6: a lost or damaged object says nothing of another one with the same content', async () => {
    for (const sizeBytes of [MIB, 6 * MIB]) {
      const bytes = state(sizeBytes)
      const [lost, healthy] = [
        storedOf(await put(server.url, bytes, { stepId: 'lost' })),
        storedOf(await put(server.url, bytes, { stepId: 'healthy' })),
      ]
      store.objects.delete(await keyOf(lost))
      store.beforeGet = () => delay(100)
      const [first, second] = await Promise.all([get(lost), delay(20).then(() => get(healthy))])
      assert.equal(first.status, 404)
      assert.ok(second.status === 200 && second.body.equals(bytes))
      await eventually(async () => assert.equal((await factsOf(lost))[0], 'MISSING'))
      assert.deepEqual(await factsOf(healthy), ['AVAILABLE', null])
      await damage(healthy, 5)
      store.objects.set(await keyOf(lost), bytes)
      // The cache has the content by now, if it is small enough: past it each place tells of itself.
      const read = ({ snapshotId }: Stored) =>
        server.graphql(`{ snapshotById(snapshotId: "${snapshotId}") { integrity(verify: true) } }`)
      assert.deepEqual(await dataOf(read(healthy)), { snapshotById: { integrity: 'MISMATCH' } })
      assert.deepEqual(await dataOf(read(lost)), { snapshotById: { integrity: 'VERIFIED' } })
      assert.deepEqual((await factsOf(lost))[0], 'AVAILABLE')
    }
  })

  it('N10: is fetched once for many cold readers of six megabytes, and for 15 aliases in one query', async () => {
    const bytes = state(6_000_000)
    const stored = storedOf(await put(server.url, bytes, { stepId: 'cold' }))
    store.requests.length = 0
    server.statements.length = 0
    // Each reader has found its row, and one of them the digests, when the bytes begin to come.
    store.beforeGet = async () => {
      await eventually(async () => assert.ok(server.statements.length > READERS))
      await eventually(async () => assert.deepEqual(await activeStatements(), []))
    }
    const digest = createHash('sha256').update(bytes).digest('hex')
    const readings = Array.from({ length: READERS }, async () => {
      const { status, body } = await get(stored)
      return status === 200 ? createHash('sha256').update(body).digest('hex') : `${status} ${body}`
    })
    assert.deepEqual(new Set(await Promise.all(readings)), new Set([digest]))
    assert.equal(gets().length, 1)
    store.requests.length = 0
    const aliases = Array.from(
      { length: 15 },
      (_, index) => `a${index}: snapshotById(snapshotId: "${stored.snapshotId}") { payload }`,
    )
    const answer = await server.graphql<Record<string, { payload: string }>>(`{ ${aliases.join(' ')} }`)
    assert.equal(answer.errors, undefined)
    const text = JSON.parse(bytes.toString())
    assert.ok(Object.values(answer.data).every(({ payload }) => payload === text))
    assert.equal(gets().length, 1)
  })

  it('is let go of in the store when the last of its readers has left', async () => {
    const stored = storedOf(await put(server.url, state(6_000_000), { stepId: 'left' }))
    const begun = Promise.withResolvers<void>()
    const over = Promise.withResolvers<void>()
    store.beforeGet = () => {
      begun.resolve()
      return over.promise
    }
    const sockets = [openGet(stored), openGet(stored)]
    await begun.promise
    for (const socket of sockets) socket.destroy()
    store.beforeGet = () => {}
    assert.equal((await get(stored)).status, 200, 'nobody who comes later waits for what nobody wanted')
    over.resolve()
  })

  /** A GET whose answer nobody reads. */
  function openGet(stored: Stored): Socket {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    socket.write(`GET ${targetOf(stored)} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`)
    return socket
  }
})

describe('D4, D14: clients that take nothing', () => {
  it('keep nobody from what is small, inline or cached, and hold no more than they are given', async () => {
    await using store = await startMemoryS3()
    const env = { ...s3Env(store.service), SNAPSHOT_INLINE_MAX_BYTES: '100000' }
    await using server = await startServer({
      env,
      admission: { payloadStreamsMax: 4, memoryMaxBytes: 16 * MIB, queueMillis: 300 },
    })
    const capture = async (stepId: string, sizeBytes: number) =>
      storedOf(await put(server.url, state(sizeBytes), { runId: stepId, stepId }))
    const large = await capture('large', 40 * MIB)
    const cached = await capture('cached', 2 * MIB)
    const inline = await capture('inline', 50_000)
    const target = (one: Stored) => `/snapshots/${one.snapshotId}/payload`
    const status = async (one: Stored) => (await send(server.url, { target: target(one) })).status
    assert.equal(await status(cached), 200)
    const held = await Promise.all(Array.from({ length: 8 }, (_, index) => capture(`held ${index}`, 4 * MIB)))
    const port = Number(new URL(server.url).port)
    const sockets = [...Array.from({ length: 6 }, () => large), ...held].map((one) => {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      socket.pause()
      socket.write(`GET ${target(one)} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`)
      return socket
    })
    try {
      await eventually(async () => assert.equal(await status(large), 503, 'all places are taken'))
      assert.equal(await status(inline), 200)
      const answer = await server.graphql(
        `{ a: snapshotById(snapshotId: "${large.snapshotId}") { sizeBytes payload }
          b: snapshotById(snapshotId: "${inline.snapshotId}") { sizeBytes payload } }`,
      )
      assert.deepEqual(
        answer.errors?.map(({ path, extensions }) => [path?.join('.'), extensions.code]),
        [['a.payload', 'OVERLOADED']],
      )
      assert.equal(Object(answer.data['a']).sizeBytes, 40 * MIB)
      assert.equal(typeof Object(answer.data['b']).payload, 'string')
      assert.equal((await put(server.url, '{}', { stepId: 'small' })).status, 201)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
    await eventually(async () => assert.equal(await status(large), 200, 'the places are free again'))
    assert.equal(await status(held[7] as Stored), 200)
  })
})
