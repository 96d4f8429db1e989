import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { afterEach, describe, it } from 'node:test'
import type { StorageBackend, UploadRequest } from '../../../src/storage/backend.ts'
import { partsOf } from '../../../src/storage/s3/parts.ts'
import { createS3Backend } from '../../../src/storage/s3/s3-backend.ts'
import { yielding } from '../../contract/storage-backend.ts'
import { answer, failure, hang, type ScriptedS3, type Step, startScriptedS3, stored } from './scripted-s3.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30
const TIB = 2 ** 40
const URI = { scheme: 's3', bucket: 'bucket', key: 'a' }

const running: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one.close()
})

async function play(...steps: readonly Step[]) {
  const server = await startScriptedS3(...steps)
  const connection = { region: 'us-east-1', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' }
  const publicEndpointUrl = 'https://public.example.com'
  const backend = createS3Backend({
    scheme: 's3',
    bucket: 'bucket',
    ...connection,
    publicEndpointUrl,
    deadlineMs: 5000,
  })
  running.push(backend, server)
  return { server, backend, uploads: uploadsOf(backend) }
}

function uploadsOf({ directUploads }: StorageBackend) {
  return directUploads ?? assert.fail('S3 can sign')
}

function requestOf(sizeBytes: number): UploadRequest {
  const sha256 = createHash('sha256').update('state').digest()
  return { sizeBytes, sha256, contentType: 'application/json', expiresInSeconds: 60 }
}

const lines = ({ requests }: ScriptedS3) => requests.map(({ line }) => line)
const BEGUN = answer(200, '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>')

describe('the parts of an upload', () => {
  for (const [sizeBytes, count, partBytes] of [
    [100_000_001, 3, 32 * MIB],
    [32_000 * MIB, 1000, 32 * MIB],
    [32_000 * MIB + 1, 970, 33 * MIB],
    [TIB, 1000, 1049 * MIB],
    [5000 * GIB, 1000, 5 * GIB],
    [5 * TIB, 1024, 5 * GIB],
  ] as const) {
    it(`of ${sizeBytes} bytes are ${count}, without gaps, and none larger than S3 takes`, () => {
      const parts = partsOf(sizeBytes)
      assert.deepEqual([parts.length, parts[0]?.sizeBytes], [count, partBytes])
      assert.equal(
        parts.reduce((end, part) => (part.offset === end ? end + part.sizeBytes : Number.NaN), 0),
        sizeBytes,
      )
      assert.ok(parts.every((part) => part.sizeBytes > 0 && part.sizeBytes <= partBytes && partBytes <= 5 * GIB))
    })
  }
})

describe('a signed upload', () => {
  it('is bound to what was announced, and carries the public host', async () => {
    const { backend, server, uploads } = await play(stored)
    await backend.put(URI, yielding('x'))
    const { parts, expiresAt } = await uploads.sign(URI, requestOf(1000))
    const [{ url, headers } = assert.fail()] = parts
    assert.deepEqual(headers, {
      'content-length': '1000',
      'content-type': 'application/json',
      'x-amz-checksum-sha256': createHash('sha256').update('state').digest('base64'),
      'if-none-match': '*',
    })
    const { origin, searchParams } = new URL(url)
    assert.equal(origin, 'https://public.example.com')
    assert.equal(
      searchParams.get('X-Amz-SignedHeaders'),
      ['content-length', 'content-type', 'host', 'if-none-match', 'x-amz-checksum-sha256'].join(';'),
    )
    assert.equal(searchParams.get('x-amz-checksum-sha256'), null)
    assert.equal(searchParams.get('X-Amz-Expires'), '60')
    assert.ok(expiresAt.getTime() <= Date.now() + 60_000)
    assert.equal(server.requests.length, 1, 'what the store needs is known already')
  })

  it('has no condition where the store takes none, which is tried once and leaves nothing', async () => {
    const { server, uploads } = await play(
      failure(501, 'NotImplemented'),
      answer(404),
      stored,
      answer(204),
      answer(200),
    )
    for (let count = 0; count < 2; count++) {
      const { parts } = await uploads.sign(URI, requestOf(1000))
      assert.equal(parts[0]?.headers['if-none-match'], undefined)
      assert.doesNotMatch(parts[0]?.url ?? '', /if-none-match/)
    }
    const trial = ['PUT /bucket/a', 'HEAD /bucket/a', 'PUT /bucket/a', 'DELETE /bucket/a']
    assert.deepEqual(lines(server), [...trial, 'GET /bucket/?versioning='])
  })

  it('is not given where the store does not answer', async () => {
    const denied = await play(failure(403, 'AccessDenied'))
    for (const sizeBytes of [1000, GIB]) {
      await assert.rejects(denied.uploads.sign(URI, requestOf(sizeBytes)), { code: 'STORAGE_UNAVAILABLE' })
    }
  })
})

describe('an upload in parts', () => {
  const upload = { sizeBytes: 100_000_001, multipartId: 'u' }
  const listed = (...sizes: readonly number[]) =>
    answer(
      200,
      `<ListPartsResult>${sizes.map((size, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>"e${index}"</ETag><Size>${size}</Size></Part>`).join('')}</ListPartsResult>`,
    )
  const SIZES = [32 * MIB, 32 * MIB, 100_000_001 - 64 * MIB] as const

  it('is begun by the name that each of its URLs carries', async () => {
    const { server, uploads } = await play(BEGUN)
    const { parts, multipartId } = await uploads.sign(URI, requestOf(upload.sizeBytes))
    assert.equal(multipartId, 'u')
    assert.deepEqual(lines(server), ['POST /bucket/a?uploads='])
    for (const [index, { url, headers, sizeBytes }] of parts.entries()) {
      const { searchParams } = new URL(url)
      assert.deepEqual([searchParams.get('uploadId'), searchParams.get('partNumber')], ['u', String(index + 1)])
      assert.equal(searchParams.get('X-Amz-SignedHeaders'), 'content-length;host')
      assert.deepEqual(headers, { 'content-length': String(sizeBytes) })
    }
  })

  it('is completed with the tags that the store gave', async () => {
    const done = answer(200, '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')
    const { server, uploads } = await play(listed(...SIZES), done)
    await uploads.complete(URI, upload)
    const body = String(server.requests[1]?.body)
    for (const tag of ['e0', 'e1', 'e2']) assert.ok(body.includes(tag))
  })

  it('D9: is completed when the object is seen to be there, if the answer does not name it', async () => {
    const nothing = answer(200, '<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>')
    const found = (sizeBytes: number) => answer(200, '', { 'content-length': String(sizeBytes) })
    const { server, uploads } = await play(listed(...SIZES), nothing, found(upload.sizeBytes))
    await uploads.complete(URI, upload)
    assert.equal(lines(server)[2], 'HEAD /bucket/a')
    const short = await play(listed(...SIZES), nothing, found(5))
    await assert.rejects(short.uploads.complete(URI, upload), { code: 'STORAGE_UNAVAILABLE' })
    const sorry = await play(listed(...SIZES), answer(200, '<Error><Code>InternalError</Code></Error>\n'))
    await assert.rejects(sorry.uploads.complete(URI, upload), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(sorry.server.requests.length, 4)
  })

  it('is not completed while parts are missing, or when one has another length', async () => {
    const short = await play(listed(SIZES[0], SIZES[1]))
    await assert.rejects(short.uploads.complete(URI, upload), { code: 'OBJECT_MISSING' })
    const other = await play(listed(SIZES[0], SIZES[1], 5))
    await assert.rejects(other.uploads.complete(URI, upload), { code: 'BAD_REQUEST' })
    const more = await play(listed(...SIZES, 5))
    await assert.rejects(more.uploads.complete(URI, upload), { code: 'BAD_REQUEST' })
    for (const { server } of [short, other, more]) assert.equal(server.requests.length, 1)
  })

  it('that the store no longer knows counts as completed, and as aborted', async () => {
    for (const name of ['NoSuchUpload', 'NoSuchKey']) {
      const { uploads } = await play(failure(404, name))
      await uploads.complete(URI, upload)
      await uploads.abort(URI, upload)
    }
  })

  it('fails as the store does', async () => {
    for (const [step, code] of [
      [failure(404, 'NoSuchBucket'), 'STORAGE_UNAVAILABLE'],
      [failure(403, 'AccessDenied'), 'STORAGE_UNAVAILABLE'],
    ] as const) {
      const { uploads } = await play(step)
      await assert.rejects(uploads.complete(URI, upload), { code })
      await assert.rejects(uploads.abort(URI, upload), { code })
      await assert.rejects(uploads.abort(URI, { ...upload, multipartId: null }), { code })
    }
  })

  it('lets go of a store that hangs, with the reason of its caller', async () => {
    const { uploads } = await play(hang)
    const controller = new AbortController()
    const reason = new Error('gone')
    const completing = uploads.complete(URI, upload, { signal: controller.signal })
    controller.abort(reason)
    await assert.rejects(completing, reason)
  })
})
