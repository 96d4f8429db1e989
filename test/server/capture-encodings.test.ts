import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { payloadBytes } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { send } from '../support/http.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { eventually, put, refusalOf, type Stored, storedOf } from '../support/put.ts'
import { countRows, insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'

const MIB = 1_048_576
const INLINE_MAX_BYTES = 2000
const CODINGS = {
  gzip: { encode: (bytes: Buffer) => gzipSync(bytes), decode: gunzipSync },
  zstd: { encode: (bytes: Buffer) => zstdCompressSync(bytes), decode: zstdDecompressSync },
} as const
type Coding = keyof typeof CODINGS
const codings = Object.keys(CODINGS) as Coding[]

const SMALL = Buffer.from('{ "a": 1.0, "a": -0 }')
const MIDDLING = Buffer.from(` { "a": "${'🙂 '.repeat(INLINE_MAX_BYTES)}", "b": 1e400 }\n`)
/** Beyond what the cache takes, and hardly smaller when it is coded. */
const LARGE = Buffer.from(JSON.stringify({ noise: randomBytes(4 * MIB).toString('base64') }))

function* cut(bytes: Buffer, step: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()
const targetOf = ({ snapshotId }: Pick<Stored, 'snapshotId'>) => `/snapshots/${snapshotId}/payload`

function testEncodings(name: string, service?: S3Service): void {
  describe(`a coded PUT into ${name}`, () => {
    let server: TestServer
    before(async () => {
      const env = service ? s3Env(service) : {}
      server = await startServer({ env: { ...env, SNAPSHOT_INLINE_MAX_BYTES: String(INLINE_MAX_BYTES) } })
    })
    after(() => server[Symbol.asyncDispose]())

    const putCoded = (coding: Coding, body: Buffer | Iterable<Buffer>, runId = 'run') =>
      put(server.url, body, { runId, headers: { 'content-encoding': coding } })
    const get = (stored: Pick<Stored, 'snapshotId'>, headers = {}) =>
      send(server.url, { target: targetOf(stored), headers })

    async function uriOf({ snapshotId }: Stored): Promise<string> {
      const rows = await query<{ uri: string }>(
        server.databaseUrl,
        'select storage_uri as uri from state_snapshots where id = $1',
        [snapshotId],
      )
      return rows[0]?.uri ?? ''
    }

    it('is the payload that it holds: digest, size and bytes are of that', async () => {
      for (const coding of codings) {
        for (const payload of [SMALL, MIDDLING, LARGE]) {
          const coded = CODINGS[coding].encode(payload)
          for (const body of [coded, cut(coded, Math.max(5, coded.length >> 6))]) {
            const stored = storedOf(await putCoded(coding, body))
            assert.equal(stored.sizeBytes, payload.length)
            assert.equal(stored.digest, `sha256:${sha256(payload).toString('hex')}`)
            assert.equal(stored.storageTier, payload === SMALL ? 'INLINE' : 'OBJECT')
            const plain = await get(stored)
            assert.equal(plain.headers['content-encoding'], undefined)
            assert.equal(plain.headers['content-length'], String(payload.length))
            assert.ok(plain.body.equals(payload))
            const range = await get(stored, { range: 'bytes=5-14' })
            // D20: a part of a large one would cost all of it.
            if (payload === LARGE) assert.deepEqual([range.status, range.body.equals(payload)], [200, true])
            else assert.deepEqual([range.status, range.body], [206, payload.subarray(5, 15)])
            assert.equal(range.headers['accept-ranges'], payload === LARGE ? 'none' : 'bytes')
            assert.deepEqual(
              (await get(stored, { range: 'bytes=5-14', 'accept-encoding': coding })).status,
              range.status,
            )
          }
        }
      }
    })

    it('is the same state in GraphQL', async () => {
      for (const coding of codings) {
        for (const payload of [SMALL, MIDDLING, LARGE]) {
          const { snapshotId } = storedOf(await putCoded(coding, CODINGS[coding].encode(payload)))
          assert.ok((await payloadBytes(server, snapshotId)).equals(payload))
        }
      }
    })

    it('goes out as it came to a client that accepts the coding', async () => {
      for (const coding of codings) {
        const coded = CODINGS[coding].encode(MIDDLING)
        const stored = storedOf(await putCoded(coding, coded))
        const plain = await get(stored)
        const same = await get(stored, { 'accept-encoding': `br, ${coding}` })
        assert.deepEqual([same.status, same.headers['content-encoding'], same.body], [200, coding, coded])
        assert.equal(same.headers['accept-ranges'], 'none')
        assert.notEqual(same.headers.etag, plain.headers.etag)
        assert.deepEqual([same.headers.vary, plain.headers.vary], ['accept-encoding', 'accept-encoding'])
        const head = await send(server.url, {
          method: 'HEAD',
          target: targetOf(stored),
          headers: { 'accept-encoding': coding },
        })
        assert.equal(head.headers['content-length'], String(coded.length))
        const known = { 'if-none-match': String(same.headers.etag) }
        assert.equal((await get(stored, { ...known, 'accept-encoding': coding })).status, 304)
        assert.equal((await get(stored, known)).status, 200)
        const viaFetch = await fetch(server.url + targetOf(stored))
        assert.ok(Buffer.from(await viaFetch.arrayBuffer()).equals(MIDDLING))
        for (const refused of ['identity', `${coding};q=0, *`, 'br'])
          assert.ok((await get(stored, { 'accept-encoding': refused })).body.equals(MIDDLING))
      }
    })

    it('has a link that every client can read', async () => {
      const { snapshotId } = storedOf(await putCoded('gzip', CODINGS.gzip.encode(MIDDLING)))
      const { data } = await server.graphql<{ snapshotById: { signedUrl: string } }>(
        'query($id: ID!) { snapshotById(snapshotId: $id) { signedUrl } }',
        { id: snapshotId },
      )
      const { pathname, search } = new URL(data.snapshotById.signedUrl)
      assert.ok((await send(server.url, { target: pathname + search })).body.equals(MIDDLING))
    })

    it('is checked against a digest of what is sent, not of what that holds', async () => {
      for (const payload of [SMALL, MIDDLING]) {
        const coded = CODINGS.gzip.encode(payload)
        const headers = (of: Buffer) => ({
          'content-encoding': 'gzip',
          'content-digest': `sha-256=:${sha256(of).toString('base64')}:`,
        })
        storedOf(await put(server.url, coded, { headers: headers(coded) }))
        const refusal = refusalOf(await put(server.url, coded, { headers: headers(payload) }))
        assert.deepEqual(refusal, { status: 400, code: 'BAD_REQUEST' })
      }
    })

    it('is the same capture as the payload itself', async () => {
      const headers = { 'idempotency-key': 'the same' }
      const first = storedOf(await put(server.url, MIDDLING, { headers }))
      const coded = CODINGS.zstd.encode(MIDDLING)
      const again = storedOf(await put(server.url, coded, { headers: { ...headers, 'content-encoding': 'zstd' } }))
      assert.deepEqual([again.snapshotId, again.created], [first.snapshotId, false])
    })

    it('is refused, and leaves nothing, unless it is one whole stream of JSON', async () => {
      const { gzip, zstd } = CODINGS
      const wide = { params: { [constants.ZSTD_c_windowLog]: 25 } }
      const refused: readonly (readonly [Coding, Buffer, string])[] = [
        ['gzip', Buffer.from('{}'), 'BAD_REQUEST'],
        ['zstd', Buffer.from('{}'), 'BAD_REQUEST'],
        ['gzip', Buffer.alloc(0), 'BAD_REQUEST'],
        ['gzip', gzip.encode(MIDDLING).subarray(0, -4), 'BAD_REQUEST'],
        ['zstd', zstd.encode(MIDDLING).subarray(0, -4), 'BAD_REQUEST'],
        ['gzip', Buffer.concat([gzip.encode(MIDDLING), gzip.encode(Buffer.from(' '))]), 'BAD_REQUEST'],
        ['zstd', Buffer.concat([zstd.encode(MIDDLING), zstd.encode(Buffer.from(' '))]), 'BAD_REQUEST'],
        ['gzip', Buffer.concat([gzip.encode(Buffer.alloc(0)), gzip.encode(MIDDLING)]), 'BAD_REQUEST'],
        ['gzip', Buffer.concat([gzip.encode(MIDDLING), Buffer.from('junk')]), 'BAD_REQUEST'],
        ['zstd', zstd.encode(gzip.encode(MIDDLING)), 'INVALID_PAYLOAD'],
        ['gzip', gzip.encode(Buffer.concat([MIDDLING, Buffer.from(',')])), 'INVALID_PAYLOAD'],
        ['zstd', zstdCompressSync(Buffer.alloc(12 * MIB, ' '), wide), 'BAD_REQUEST'],
      ]
      for (const [index, [coding, body, code]] of refused.entries()) {
        for (const sent of [body, cut(body, Math.max(1, body.length >> 5))]) {
          assert.equal(refusalOf(await putCoded(coding, sent, 'refused')).code, code, `case ${index}`)
        }
      }
      assert.equal(await countRows(server.databaseUrl, "state_snapshots where run_id = 'refused'"), 0)
      await eventually(async () =>
        assert.equal(await countRows(server.databaseUrl, "statelens_objects where state <> 'live'"), 0),
      )
    })

    it('is refused when it inflates beyond all measure, or to nothing at all', async () => {
      const bomb = Buffer.from(`"${'x'.repeat(64 * MIB)}"`)
      for (const coding of codings) {
        const refusal = refusalOf(await putCoded(coding, cut(CODINGS[coding].encode(bomb), 4096)))
        assert.deepEqual(refusal, { status: 413, code: 'PAYLOAD_TOO_LARGE' })
      }
      const padding = Buffer.alloc(3 * MIB, Buffer.from([0, 0, 0, 0xff, 0xff]))
      const hollow = Buffer.concat([gzipSync('').subarray(0, 10), padding])
      assert.deepEqual(refusalOf(await putCoded('gzip', hollow)), { status: 400, code: 'BAD_REQUEST' })
    })

    it('is OBJECT_CORRUPT once its object holds something else, more of it or nothing that can be read', async () => {
      using objects = openObjects({ storagePath: server.storagePath, s3: service })
      const changed = Buffer.from(MIDDLING)
      changed[MIDDLING.length - 4] = 0x31
      for (const other of [
        CODINGS.gzip.encode(changed),
        CODINGS.gzip.encode(Buffer.alloc(MIDDLING.length + MIB, ' ')),
        CODINGS.gzip.encode(MIDDLING.subarray(1)),
        CODINGS.gzip.encode(MIDDLING).subarray(0, -9),
        MIDDLING,
      ]) {
        const stored = storedOf(await putCoded('gzip', CODINGS.gzip.encode(MIDDLING)))
        await objects.replace(await uriOf(stored), other)
        // What other tests captured of the same content would be served from the cache.
        await using uncached = await startServer({
          env: service ? s3Env(service) : {},
          store: { databaseUrl: server.databaseUrl, storagePath: server.storagePath },
        })
        const answer = await send(uncached.url, { target: targetOf(stored) })
        assert.deepEqual(refusalOf(answer), { status: 502, code: 'OBJECT_CORRUPT' })
      }
    })
  })
}

testEncodings('files')
await describeWith('a real S3 server', s3, (service) => testEncodings('S3', service))

describe('a coded object of another writer', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  async function insert(bytes: Buffer, contentEncoding: string, sizeBytes: number | null): Promise<string> {
    using objects = openObjects(server)
    const storageUri = `file:///foreign/${randomBytes(8).toString('hex')}.json`
    await objects.put(storageUri, bytes)
    const id = await insertForeign(server.databaseUrl, { storageUri })
    await query(server.databaseUrl, 'update state_snapshots set content_encoding = $2, size_bytes = $3 where id = $1', [
      id,
      contentEncoding,
      sizeBytes,
    ])
    return id
  }

  it('is inflated, and never handed on as it lies', async () => {
    for (const sizeBytes of [MIDDLING.length, null]) {
      const snapshotId = await insert(CODINGS.gzip.encode(MIDDLING), 'gzip', sizeBytes)
      const headers = { 'accept-encoding': 'gzip' }
      const answer = await send(server.url, { target: targetOf({ snapshotId }), headers })
      assert.equal(answer.headers['content-encoding'], undefined)
      assert.ok(answer.body.equals(MIDDLING))
      const range = await send(server.url, { target: targetOf({ snapshotId }), headers: { range: 'bytes=-3' } })
      assert.deepEqual([range.status, range.body.equals(MIDDLING), range.headers['accept-ranges']], [200, true, 'none'])
    }
  })

  it('in a coding that is not known is named as such', async () => {
    const snapshotId = await insert(MIDDLING, 'br', null)
    const refusal = refusalOf(await send(server.url, { target: targetOf({ snapshotId }) }))
    assert.deepEqual(refusal, { status: 422, code: 'INVALID_PAYLOAD' })
  })
})

it('a PUT in another coding is refused, and told which ones are taken', async () => {
  await using server = await startServer()
  for (const coding of ['br', 'deflate', 'gzip, gzip', 'x']) {
    const answer = await put(server.url, '{}', { headers: { 'content-encoding': coding } })
    assert.deepEqual(refusalOf(answer), { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
    assert.equal(answer.headers['accept-encoding'], 'gzip, zstd')
  }
})
