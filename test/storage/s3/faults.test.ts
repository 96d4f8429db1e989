import assert from 'node:assert/strict'
import { once } from 'node:events'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { isAppError } from '../../../src/errors.ts'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { createS3Backend, type S3BackendOptions } from '../../../src/storage/s3/s3-backend.ts'
import { chunked, hanging, yielding } from '../../contract/storage-backend.ts'
import { answer, failure, hang, reset, type ScriptedS3, type Step, startScriptedS3 } from './scripted-s3.ts'

const MIB = 1024 * 1024
const SECRET = 'canary-secret-key'
const URI = { scheme: 's3', bucket: 'bucket', key: 'a' }
const RANGE = { start: 0, end: 10 }
const PUT_ID = 'x-amz-meta-put-id'

const running: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one.close()
})

interface Scene {
  readonly server: ScriptedS3
  readonly backend: StorageBackend
}

async function play(steps: readonly Step[], options?: Partial<S3BackendOptions>): Promise<Scene> {
  const server = await startScriptedS3(...steps)
  const connection = { region: 'us-east-1', endpointUrl: server.endpoint, accessKey: 'key', secretKey: SECRET }
  const backend = createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection, ...options })
  running.push(backend, server)
  return { server, backend }
}

const lines = ({ requests }: ScriptedS3): readonly string[] => requests.map(({ line }) => line)
const OBJECT = answer(200, '0123456789', { etag: '"1"' })
const SLOW_DOWN = failure(503, 'SlowDown')

describe('S3: answers that fail', () => {
  const cases: readonly (readonly [string, Step, string])[] = [
    ['NoSuchKey', failure(404, 'NoSuchKey'), 'OBJECT_MISSING'],
    ['a 404 without a body', answer(404), 'OBJECT_MISSING'],
    ['NoSuchBucket', failure(404, 'NoSuchBucket'), 'STORAGE_UNAVAILABLE'],
    ['AccessDenied', failure(403, 'AccessDenied'), 'STORAGE_UNAVAILABLE'],
    ['a 502 of a proxy in HTML', answer(502, '<html><body>Bad gateway<br></body></html>'), 'STORAGE_UNAVAILABLE'],
    ['a 416', failure(416, 'InvalidRange'), 'RANGE_NOT_SATISFIABLE'],
    ['a 500 that is no XML', answer(500, '\0\0<<<&&&'), 'STORAGE_UNAVAILABLE'],
    ['a connection that is reset', reset, 'STORAGE_UNAVAILABLE'],
    ['an XML bomb', answer(500, xmlBomb()), 'STORAGE_UNAVAILABLE'],
  ]
  for (const [name, step, code] of cases) {
    it(`${name} is ${code}`, async () => {
      const { backend } = await play([step])
      await assert.rejects(backend.get(URI, { range: RANGE }), { code })
    })
  }

  it('a refused connection is STORAGE_UNAVAILABLE for every method', async () => {
    const { backend, server } = await play([hang])
    await server.close()
    await assert.rejects(backend.get(URI), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(backend.put(URI, yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(backend.delete(URI), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('a bucket that is not there makes the storage unusable', async () => {
    const { backend } = await play([answer(404)])
    await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(backend.put(URI, yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('no secret and no signature gets into an error or its cause', async () => {
    const signed = '<StringToSign>canary-string</StringToSign><AWSAccessKeyId>canary-id</AWSAccessKeyId>'
    const { backend } = await play([failure(403, 'SignatureDoesNotMatch', signed)])
    await assert.rejects(backend.get(URI), (error) => {
      assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /canary|Signature=|Authorization/)
      return isAppError(error, 'STORAGE_UNAVAILABLE')
    })
  })
})

describe('S3: retries', () => {
  it('outlasts a store that is busy twice', async () => {
    const { backend, server } = await play([SLOW_DOWN, SLOW_DOWN, OBJECT])
    assert.equal(await text((await backend.get(URI)).body), '0123456789')
    assert.equal(server.requests.length, 3)
  })

  it('gives up after three attempts', async () => {
    const { backend, server } = await play([SLOW_DOWN])
    await assert.rejects(backend.get(URI), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(server.requests.length, 3)
  })

  it('does not make a storm of many requests that fail', async () => {
    const { backend, server } = await play([failure(500, 'InternalError')])
    const gets = Array.from({ length: 100 }, () => backend.get(URI))
    const results = await Promise.allSettled(gets)
    assert.ok(results.every(({ status }) => status === 'rejected'))
    assert.ok(server.requests.length <= 130, `${server.requests.length} requests`)
  })

  it('sends a small body again, and a conditional write that met another one', async () => {
    const { backend, server } = await play([SLOW_DOWN, failure(409, 'ConditionalRequestConflict'), answer(200)])
    await backend.put(URI, yielding('abc'))
    assert.deepEqual(
      server.requests.map(({ body }) => String(body)),
      ['abc', 'abc', 'abc'],
    )
  })
})

describe('S3: deadlines and signals', () => {
  it('a store that never answers is STORAGE_TIMEOUT, and its connection is closed', async () => {
    const { backend, server } = await play([hang], { deadlineMs: 200 })
    await assert.rejects(backend.get(URI), { code: 'STORAGE_TIMEOUT' })
    await assert.rejects(backend.delete(URI), { code: 'STORAGE_TIMEOUT' })
    await assert.rejects(backend.check(), { code: 'STORAGE_TIMEOUT' })
    await server.idle()
  })

  it('an error that never ends is STORAGE_TIMEOUT', async () => {
    const { backend, server } = await play([(response) => void response.writeHead(500).write('<Error>')], {
      deadlineMs: 200,
    })
    await assert.rejects(backend.get(URI), { code: 'STORAGE_TIMEOUT' })
    await server.idle()
  })

  it('the deadline ends with the headers', async () => {
    const late: Step = (response) => {
      response.writeHead(200, { 'content-length': '2' }).write('a')
      setTimeout(() => response.end('b'), 400)
    }
    const { backend } = await play([late], { deadlineMs: 200 })
    assert.equal(await text((await backend.get(URI)).body), 'ab')
  })

  it('an abort ends a request that waits, and closes its connection', async () => {
    const controller = new AbortController()
    const reason = new Error('client went away')
    const { backend, server } = await play([() => controller.abort(reason)])
    await assert.rejects(backend.get(URI, { signal: controller.signal }), reason)
    await server.idle()
  })

  it('an abort ends a body that stalls, and closes its connection', async () => {
    const { backend, server } = await play([
      (response) => void response.writeHead(200, { 'content-length': '9' }).write('a'),
    ])
    const controller = new AbortController()
    const reason = new Error('client went away')
    const { body } = await backend.get(URI, { signal: controller.signal })
    const reading = buffer(body)
    controller.abort(reason)
    await assert.rejects(reading, reason)
    await server.idle()
  })
})

describe('S3: bodies that break', () => {
  const head = { 'content-length': '10', etag: '"1"' }
  const cases: readonly (readonly [string, Step])[] = [
    ['is reset in the middle', brokenAfter(head, (response) => response.socket?.resetAndDestroy())],
    ['ends early', brokenAfter(head, (response) => response.socket?.end())],
  ]
  for (const [name, step] of cases) {
    it(`a body that ${name} ends with an error`, async () => {
      const { backend } = await play([step])
      const { body, sizeBytes } = await backend.get(URI)
      assert.equal(sizeBytes, 10)
      await assert.rejects(buffer(body), { code: 'STORAGE_UNAVAILABLE' })
    })
  }

  for (const sent of ['01234', '0123456789abc']) {
    it(`a chunked body of ${sent.length} bytes where 10 were announced ends with an error`, async () => {
      const { backend } = await play([
        answer(206, sent, { 'content-range': 'bytes 0-9/30', 'transfer-encoding': 'chunked' }),
      ])
      const { body, sizeBytes } = await backend.get(URI, { range: RANGE })
      assert.equal(sizeBytes, 30)
      await assert.rejects(buffer(body), { code: 'STORAGE_UNAVAILABLE' })
    })
  }

  it('an error reaches a reader that comes late', async () => {
    const { backend } = await play([brokenAfter(head, (response) => response.socket?.resetAndDestroy())])
    const { body } = await backend.get(URI)
    await once(body, 'error')
    await assert.rejects(buffer(body))
  })

  it('an answer without a length is refused', async () => {
    const { backend } = await play([answer(200, 'abc', { 'transfer-encoding': 'chunked' })])
    await assert.rejects(backend.get(URI), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('an answer with the whole object, or another range, where a range was asked is refused', async () => {
    const { backend, server } = await play([
      OBJECT,
      answer(206, '1234567890', { 'content-range': 'bytes 1-10/30' }),
      answer(206, '0123456789', { 'content-range': 'bytes 0-9/*' }),
    ])
    for (let count = 0; count < 3; count += 1) {
      await assert.rejects(backend.get(URI, { range: RANGE }), { code: 'STORAGE_UNAVAILABLE' })
    }
    assert.equal(server.requests[0]?.headers.range, 'bytes=0-9')
  })

  it('stored bytes are passed on as they are, whatever their encoding', async () => {
    const { backend } = await play([answer(200, 'not gzip', { 'content-encoding': 'gzip' })])
    assert.equal(await text((await backend.get(URI)).body), 'not gzip')
  })
})

describe('S3: what a hostile store sends', () => {
  for (const status of [301, 302, 307, 308]) {
    it(`a redirect (${status}) is not followed`, async () => {
      const other = await startScriptedS3(OBJECT)
      running.push(other)
      const location = `${other.endpoint}/bucket/a`
      const moved = `<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1:${other.port}</Endpoint></Error>`
      const { backend } = await play([answer(status, moved, { location, 'x-amz-bucket-region': 'eu-west-1' })])
      await assert.rejects(backend.get(URI), { code: 'STORAGE_UNAVAILABLE' })
      await assert.rejects(backend.put(URI, yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
      await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE' })
      assert.equal(other.connections(), 0)
    })
  }

  for (const [status, code] of [
    [404, 'OBJECT_MISSING'],
    [403, 'STORAGE_UNAVAILABLE'],
  ] as const) {
    it(`an endless error (${status}) is cut off, and its status counts`, async () => {
      let sentBytes = 0
      const endless: Step = (response) => {
        response.writeHead(status, { 'content-length': String(100 * MIB) })
        const chunk = Buffer.alloc(64 * 1024, '<a>')
        const send = (): void => {
          if (response.destroyed || sentBytes >= 100 * MIB) return
          sentBytes += chunk.length
          response.write(chunk, send)
        }
        send()
      }
      const { backend, server } = await play([endless])
      await assert.rejects(backend.get(URI), { code })
      assert.ok(sentBytes < 32 * MIB, `${sentBytes} bytes were sent`)
      await server.idle()
    })
  }
})

describe('S3: create-only writes', () => {
  it('know their own object when the answer was lost', async () => {
    let putId = ''
    const store: Step = (response, { headers }) => {
      putId = String(headers[PUT_ID])
      reset(response, { line: '', headers, body: Buffer.alloc(0) })
    }
    const found: Step = (response) => void response.writeHead(200, { [PUT_ID]: putId }).end()
    const { backend, server } = await play([store, failure(412, 'PreconditionFailed'), found])
    assert.deepEqual(await backend.put(URI, yielding('abc')), { sizeBytes: 3 })
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
    const { backend, server } = await play([notImplemented, answer(404), answer(200), answer(200)])
    assert.deepEqual(await backend.put(URI, yielding('abc'), { sizeBytes: 3 }), { sizeBytes: 3 })
    await assert.rejects(backend.put(URI, yielding('abc')), { code: 'CONFLICT' })
    const attempts = ['PUT /bucket/a', 'HEAD /bucket/a', 'PUT /bucket/a', 'HEAD /bucket/a']
    assert.deepEqual(lines(server), attempts)
    assert.deepEqual(
      server.requests.map(({ headers }) => headers['if-none-match']),
      ['*', undefined, undefined, undefined],
    )
    assert.equal(String(server.requests[2]?.body), 'abc')
  })

  it('go in one streamed request once the store is known to take a condition', async () => {
    const { backend, server } = await play([answer(200)])
    await backend.put(URI, yielding('abc'))
    await backend.put(URI, chunked(Buffer.alloc(6 * MIB)), { sizeBytes: 6 * MIB })
    assert.equal(server.requests.length, 2)
    assert.equal(server.requests[1]?.headers['content-length'], String(6 * MIB))
    assert.equal(server.requests[1]?.headers['if-none-match'], '*')
    assert.equal(server.requests[1]?.body.length, 6 * MIB)
  })

  const begun = answer(200, '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>')
  const part = answer(200, '', { etag: '"p"' })

  it('know their own object when the answer to the last part was lost', async () => {
    let putId = ''
    const start: Step = (response, request) => {
      putId = String(request.headers[PUT_ID])
      begun(response, request)
    }
    const found: Step = (response) => void response.writeHead(200, { [PUT_ID]: putId }).end()
    const { backend, server } = await play([start, part, part, answer(404), reset, failure(404, 'NoSuchUpload'), found])
    assert.deepEqual(await backend.put(URI, chunked(Buffer.alloc(6 * MIB))), { sizeBytes: 6 * MIB })
    assert.equal(lines(server).at(-1), 'HEAD /bucket/a')
  })

  it('do without looking where the store hides what is absent, but not without looking and condition', async () => {
    const hidden = answer(403)
    const complete = answer(200, '<CompleteMultipartUploadResult/>')
    const { backend, server } = await play([begun, part, part, hidden, complete])
    await backend.put(URI, chunked(Buffer.alloc(6 * MIB)))
    assert.equal(server.requests.at(-1)?.headers['if-none-match'], '*')
    const blind = await play([failure(501, 'NotImplemented'), hidden])
    await assert.rejects(blind.backend.put(URI, yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(lines(blind.server).at(-1), 'HEAD /bucket/a')
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

  it('let go of the sender and the connection when a streamed request is refused', async () => {
    const { backend, server } = await play([answer(200), failure(403, 'AccessDenied')])
    await backend.put(URI, yielding('abc'))
    const refused = backend.put(URI, chunked(Buffer.alloc(6 * MIB)), { sizeBytes: 6 * MIB })
    await assert.rejects(refused, { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(server.requests.length, 2)
  })
})

function brokenAfter(headers: Record<string, string>, breakOff: (response: Parameters<Step>[0]) => unknown): Step {
  return (response) => {
    response.writeHead(200, headers)
    response.write('01234', () => breakOff(response))
  }
}

function xmlBomb(): string {
  const entities = Array.from({ length: 20 }, (_, index) => `<!ENTITY e${index + 1} "&e${index};&e${index};">`)
  return `<!DOCTYPE a [<!ENTITY e0 "bomb">${entities.join('')}]><Error><Code>&e20;</Code></Error>`
}
