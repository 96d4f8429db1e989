import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { createS3Backend } from '../../../src/storage/s3/s3-backend.ts'
import { chunked, hanging, yielding } from '../../contract/storage-backend.ts'
import { answer, failure, reset, type ScriptedS3, type Step, startScriptedS3, stored } from './scripted-s3.ts'

const MIB = 1024 * 1024
const URI = { scheme: 's3', bucket: 'bucket', key: 'a' }
const PUT_ID = 'x-amz-meta-put-id'
const COMPLETE = answer(200, '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')

const running: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one.close()
})

interface Scene {
  readonly server: ScriptedS3
  readonly backend: StorageBackend
}

async function play(steps: readonly Step[]): Promise<Scene> {
  const server = await startScriptedS3(...steps)
  const connection = { region: 'us-east-1', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' }
  const backend = createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection })
  running.push(backend, server)
  return { server, backend }
}

const lines = ({ requests }: ScriptedS3): readonly string[] => requests.map(({ line }) => line)

describe('S3: create-only writes', () => {
  it('know their own object when the answer was lost', async () => {
    let putId = ''
    const store: Step = (response, { headers }) => {
      putId = String(headers[PUT_ID])
      reset(response, { line: '', headers, body: Buffer.alloc(0) })
    }
    const found: Step = (response) => void response.writeHead(200, { [PUT_ID]: putId, 'content-length': 3 }).end()
    const { backend, server } = await play([store, failure(412, 'PreconditionFailed'), found])
    assert.equal((await backend.put(URI, yielding('abc'))).sizeBytes, 3)
    assert.deepEqual(lines(server), ['PUT /bucket/a', 'PUT /bucket/a', 'HEAD /bucket/a'])
    assert.equal(server.requests[0]?.headers['if-none-match'], '*')
  })

  it('do not take the object of another put for their own', async () => {
    const found = answer(200, '', { [PUT_ID]: 'of another put' })
    const { backend } = await play([failure(412, 'PreconditionFailed'), found])
    await assert.rejects(backend.put(URI, yielding('abc')), { code: 'CONFLICT' })
  })

  it('look first where the store cannot take a condition', async () => {
    const notImplemented = failure(501, 'NotImplemented')
    const { backend, server } = await play([notImplemented, answer(404), stored, answer(200)])
    assert.equal((await backend.put(URI, yielding('abc'), { sizeBytes: 3 })).sizeBytes, 3)
    await assert.rejects(backend.put(URI, yielding('abc')), { code: 'CONFLICT' })
    const attempts = ['PUT /bucket/a', 'HEAD /bucket/a', 'PUT /bucket/a', 'HEAD /bucket/a']
    assert.deepEqual(lines(server), attempts)
    assert.deepEqual(
      server.requests.map(({ headers }) => headers['if-none-match']),
      ['*', undefined, undefined, undefined],
    )
    assert.equal(String(server.requests[2]?.body), 'abc')
  })

  it('go in one request where they fit in memory, whether or not anything is known of the store', async () => {
    const { backend, server } = await play([stored])
    for (const sizeBytes of [3, 6 * MIB, 20 * MIB]) {
      await backend.put(URI, chunked(Buffer.alloc(sizeBytes)), { sizeBytes })
      const { headers, body } = server.requests.at(-1) ?? assert.fail()
      assert.deepEqual([headers['content-length'], body.length], [String(sizeBytes), sizeBytes])
      assert.equal(headers['if-none-match'], '*')
    }
    assert.equal(server.requests.length, 3)
  })

  const begun = answer(200, '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>')

  it('know their own object when the answer to the last part was lost', async () => {
    let putId = ''
    const start: Step = (response, request) => {
      putId = String(request.headers[PUT_ID])
      begun(response, request)
    }
    const size = 6 * MIB
    const found: Step = (response) => void response.writeHead(200, { [PUT_ID]: putId, 'content-length': size }).end()
    const lost = [answer(404), reset, failure(404, 'NoSuchUpload'), found]
    const { backend, server } = await play([start, stored, stored, ...lost])
    assert.equal((await backend.put(URI, chunked(Buffer.alloc(size)))).sizeBytes, size)
    assert.equal(lines(server).at(-1), 'HEAD /bucket/a')
  })

  it('do without looking where the store hides what is absent, but not without looking and condition', async () => {
    const hidden = answer(403)
    const { backend, server } = await play([begun, stored, stored, hidden, COMPLETE])
    await backend.put(URI, chunked(Buffer.alloc(6 * MIB)))
    assert.equal(server.requests.at(-1)?.headers['if-none-match'], '*')
    const blind = await play([failure(501, 'NotImplemented'), hidden])
    await assert.rejects(blind.backend.put(URI, yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(lines(blind.server).at(-1), 'HEAD /bucket/a')
  })

  const SORRY = '<Error><Code>InternalError</Code><Message>no</Message></Error>'
  const XML = '<?xml version="1.0" encoding="UTF-8"?>'
  for (const [name, body] of [
    ['as it is', SORRY],
    ['with white space around it', `  \n${XML}\n${SORRY}\r\n \n`],
  ] as const) {
    it(`D9: a 200 that is an error is one, is asked again, and is never success (${name})`, async () => {
      const sorry = answer(200, body, { etag: '"e"' })
      const whole = await play([sorry, stored])
      await whole.backend.put(URI, yielding('abc'))
      assert.equal(whole.server.requests.length, 2)
      const parts = await play([begun, sorry, stored, stored, answer(404), sorry, sorry, COMPLETE])
      await parts.backend.put(URI, chunked(Buffer.alloc(6 * MIB)))
      assert.equal(parts.server.requests.length, 8)
      for (const steps of [[sorry], [begun, stored, stored, answer(404), sorry, sorry, sorry, answer(404)]]) {
        const { backend } = await play(steps)
        await assert.rejects(backend.put(URI, chunked(Buffer.alloc(6 * MIB))), { code: 'STORAGE_UNAVAILABLE' })
      }
    })
  }

  for (const [name, found, isStored] of [
    ['is there and whole', 6 * MIB, true],
    ['is there and short', 5 * MIB, false],
    ['is not there', null, false],
  ] as const) {
    it(`D9: an answer that names nothing is looked after: the object ${name}`, async () => {
      let putId = ''
      const start: Step = (response, request) => {
        putId = String(request.headers[PUT_ID])
        begun(response, request)
      }
      const head: Step = (response) => {
        if (found === null) response.writeHead(404).end()
        else response.writeHead(200, { [PUT_ID]: putId, 'content-length': found, 'x-amz-version-id': 'v' }).end()
      }
      const nothing = answer(200, '<CompleteMultipartUploadResult/>')
      const { backend, server } = await play([start, stored, stored, answer(404), nothing, head, answer(204)])
      const put = backend.put(URI, chunked(Buffer.alloc(6 * MIB)))
      if (isStored) assert.deepEqual(await put, { sizeBytes: 6 * MIB, versionId: 'v' })
      else await assert.rejects(put, { code: 'STORAGE_UNAVAILABLE' })
      assert.equal(lines(server)[5], 'HEAD /bucket/a')
    })
  }

  it('D9: a part, or a whole body, that the answer does not name is not there', async () => {
    const { backend, server } = await play([begun, answer(200), answer(204)])
    await assert.rejects(backend.put(URI, chunked(Buffer.alloc(6 * MIB))), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(lines(server).at(-1), 'DELETE /bucket/a?uploadId=u')
    const whole = await play([answer(200), answer(404)])
    await assert.rejects(whole.backend.put(URI, yielding('abc')), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('are told as too large where the store says so', async () => {
    const { backend } = await play([failure(400, 'EntityTooLarge')])
    await assert.rejects(backend.put(URI, yielding('abc')), { code: 'PAYLOAD_TOO_LARGE' })
  })

  it('take parts back when one fails, without waiting for a sender that hangs', async () => {
    const denied = failure(403, 'AccessDenied')
    const { backend, server } = await play([begun, denied, answer(204)])
    const body = hanging({ first: Buffer.alloc(6 * MIB), onHang: () => undefined })
    await assert.rejects(backend.put(URI, body), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(body.returned(), true)
    assert.deepEqual(lines(server), [
      'POST /bucket/a?uploads=',
      'PUT /bucket/a?partNumber=1&uploadId=u',
      'DELETE /bucket/a?uploadId=u',
    ])
  })
})
