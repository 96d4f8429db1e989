import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { send } from '../support/http.ts'
import { type MemoryS3, startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { eventually } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const SMALL = Buffer.from(` {"state": "${'é'.repeat(200)}", "n": 1.0}`)
const LARGE = Buffer.from(`{"text":"${'x'.repeat(5_000_000)}"}`)
const digestOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

describe('an object that another writer stored in a coding', () => {
  let store: MemoryS3
  let server: TestServer
  before(async () => {
    store = await startMemoryS3()
    server = await startServer({ env: s3Env(store.service) })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })

  interface Told {
    readonly suffix?: string
    readonly contentEncoding?: string
    readonly digest?: Buffer
  }

  async function add(bytes: Buffer, { suffix = '.json', contentEncoding, digest }: Told = {}) {
    const key = `${randomUUID()}${suffix}`
    store.objects.set(key, bytes)
    if (contentEncoding !== undefined) store.contentEncodings.set(key, contentEncoding)
    const snapshotId = await insertForeign(server.databaseUrl, { storageUri: `s3://memory/${key}` })
    const set = 'update state_snapshots set content_digest = $2 where id = $1'
    if (digest) await query(server.databaseUrl, set, [snapshotId, digest])
    return { key, snapshotId }
  }

  async function payloadOf(id: string): Promise<string> {
    const body = JSON.stringify({ query: `{ snapshotById(snapshotId: "${id}") { payload } }` })
    const headers = { 'content-type': 'application/json' }
    return (await send(server.url, { method: 'POST', target: '/graphql', headers, body })).body.toString()
  }

  /** The three ways to a state give the same bytes, in any order. */
  async function assertIs(id: string, state: Buffer): Promise<void> {
    const target = `/snapshots/${id}/payload`
    const { status, headers, body } = await send(server.url, { target })
    assert.ok(state.equals(body), `${status} ${body.subarray(0, 100)}`)
    assert.deepEqual([headers['content-type'], headers['content-encoding']], ['application/json', undefined])
    assert.equal((await send(server.url, { method: 'HEAD', target })).headers['content-length'], String(state.length))
    assert.equal(await payloadOf(id), `{"data":{"snapshotById":{"payload":${state.toString()}}}}`)
    const { data } = await server.graphql<{ s: { download: { url: string } } }>(
      `{ s: snapshotById(snapshotId: "${id}") { download { url } } }`,
    )
    const linked = await fetch(data.s.download.url)
    assert.ok(state.equals(Buffer.from(await linked.arrayBuffer())), 'the link')
  }

  it('is the state by every way, whatever the store and the name say', async () => {
    for (const state of [SMALL, LARGE]) {
      for (const [bytes, told] of [
        [gzipSync(state), { contentEncoding: 'gzip' }],
        [gzipSync(state), { contentEncoding: 'aws-chunked, X-GZIP' }],
        [gzipSync(state), { suffix: '.json.gz' }],
        [gzipSync(state), {}],
        [gzipSync(state), { digest: digestOf(state) }],
        [zstdCompressSync(state), { contentEncoding: 'zstd' }],
        [zstdCompressSync(state), { suffix: '.zst' }],
        [state, { suffix: '.json.gz' }],
        [state, { contentEncoding: 'aws-chunked' }],
        [state, { contentEncoding: '' }],
      ] as const) {
        await assertIs((await add(bytes, told)).snapshotId, state)
      }
    }
  })

  it('is found out whatever is asked first', async () => {
    const asked = [
      async (id: string) => {
        const { headers } = await send(server.url, { method: 'HEAD', target: `/snapshots/${id}/payload` })
        assert.equal(headers['content-length'], String(SMALL.length))
      },
      async (id: string) => {
        const request = { target: `/snapshots/${id}/payload`, headers: { range: 'bytes=5-9' } }
        const { status, body } = await send(server.url, request)
        assert.ok((status === 206 && body.equals(SMALL.subarray(5, 10))) || (status === 200 && body.equals(SMALL)))
      },
      async (id: string) => {
        const { data } = await server.graphql(`{ snapshotById(snapshotId: "${id}") { integrity(verify: true) } }`)
        assert.deepEqual(data, { snapshotById: { integrity: 'NOT_VERIFIABLE' } })
      },
    ]
    for (const ask of asked) {
      for (const told of [{ contentEncoding: 'gzip' }, { suffix: '.gz' }]) {
        const { snapshotId } = await add(gzipSync(SMALL), told)
        await ask(snapshotId)
        await assertIs(snapshotId, SMALL)
      }
    }
  })

  it('is noted in its row, so that the next server knows it', async () => {
    const { snapshotId } = await add(gzipSync(SMALL), {})
    await assertIs(snapshotId, SMALL)
    const codingOf = async () => {
      const [row] = await query(server.databaseUrl, 'select content_encoding c from state_snapshots where id = $1', [
        snapshotId,
      ])
      return row?.['c']
    }
    await eventually(async () => assert.equal(await codingOf(), 'gzip'))
    await using next = await startServer({ env: s3Env(store.service), store: server })
    store.requests.length = 0
    const { body } = await send(next.url, { target: `/snapshots/${snapshotId}/payload` })
    assert.ok(SMALL.equals(body))
    assert.equal(store.requests.length, 1, store.requests.join())
  })

  it('is learned anew when it was replaced, and refused when it is no state', async () => {
    const { key, snapshotId } = await add(gzipSync(SMALL), { contentEncoding: 'gzip' })
    await assertIs(snapshotId, SMALL)
    store.objects.set(key, LARGE)
    store.contentEncodings.delete(key)
    await assertIs(snapshotId, LARGE)
    store.objects.set(key, zstdCompressSync(SMALL))
    await assertIs(snapshotId, SMALL)
    store.objects.set(key, gzipSync('no JSON'))
    assert.match(await payloadOf(snapshotId), /"payload":null.*INVALID_PAYLOAD/)
    store.objects.set(key, gzipSync(SMALL).subarray(0, 30))
    assert.match(await payloadOf(snapshotId), /"payload":null.*OBJECT_CORRUPT/)
  })

  it('leaves the states that are stored here alone', async () => {
    const { status, body } = await send(server.url, {
      method: 'PUT',
      target: '/runs/own/steps/s/snapshot',
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      body: gzipSync(LARGE),
    })
    assert.equal(status, 201)
    await assertIs(JSON.parse(body.toString()).snapshotId, LARGE)
  })
})
