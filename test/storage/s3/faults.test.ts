import assert from 'node:assert/strict'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { isAppError } from '../../../src/errors.ts'
import { describeError } from '../../../src/log.ts'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { resuming } from '../../../src/storage/resume.ts'
import { createS3Backend, type S3BackendOptions } from '../../../src/storage/s3/s3-backend.ts'
import { yielding } from '../../contract/storage-backend.ts'
import { answer, failure, hang, reset, type ScriptedS3, type Step, startScriptedS3, stored } from './scripted-s3.ts'

const MIB = 1024 * 1024
const SECRET = 'canary-secret-key'
const URI = { scheme: 's3', bucket: 'bucket', key: 'a' }
const RANGE = { start: 0, end: 10 }

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
  const backend = resuming(createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection, ...options }))
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

describe('S3: what no repeat mends', () => {
  for (const [name, step] of [
    ['a bucket of another region', failure(301, 'PermanentRedirect')],
    ['another region in the signature', failure(400, 'AuthorizationHeaderMalformed')],
    ['a bucket that is not there', failure(404, 'NoSuchBucket')],
    ['a key that is not known', failure(403, 'InvalidAccessKeyId')],
    ['a secret that is wrong', failure(403, 'SignatureDoesNotMatch')],
  ] as const) {
    it(`says so, whatever is asked: ${name}`, async () => {
      const { backend } = await play([step])
      const isLasting = { code: 'STORAGE_UNAVAILABLE', isRetryable: false }
      await assert.rejects(backend.get(URI), isLasting)
      await assert.rejects(backend.put(URI, yielding('x'), { sizeBytes: 1 }), isLasting)
      await assert.rejects(backend.delete(URI), isLasting)
    })
  }

  it('knows another region where an answer has no words', async () => {
    const { backend } = await play([answer(301)])
    await assert.rejects(backend.stat(URI), { code: 'STORAGE_UNAVAILABLE', isRetryable: false })
    await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE', isRetryable: false })
  })

  it('does not take what may pass for it', async () => {
    for (const step of [failure(403, 'AccessDenied'), failure(400, 'ExpiredToken'), SLOW_DOWN, reset]) {
      const { backend } = await play([step])
      await assert.rejects(backend.get(URI), { code: 'STORAGE_UNAVAILABLE', isRetryable: true })
    }
  })

  it('is a body that the store, or a proxy in front of it, finds too large', async () => {
    const { backend } = await play([answer(413, '<html>413</html>')])
    await assert.rejects(backend.put(URI, yielding('x'), { sizeBytes: 1 }), { code: 'PAYLOAD_TOO_LARGE' })
  })
})

describe('a store that ignores ranges', () => {
  it('is read on, and cut', async () => {
    const { backend } = await play([OBJECT])
    for (const [start, end] of [
      [0, 10],
      [0, 1],
      [3, 7],
      [9, 10],
    ] as const) {
      const { sizeBytes, body } = await backend.get(URI, { range: { start, end } })
      assert.deepEqual([sizeBytes, await text(body)], [10, '0123456789'.slice(start, end)])
    }
    await assert.rejects(backend.get(URI, { range: { start: 5, end: 11 } }), { code: 'RANGE_NOT_SATISFIABLE' })
  })

  it('lets go of its connection when the part has come, or nobody wants it', async () => {
    const large = answer(200, 'x'.repeat(8 * MIB), { etag: '"1"' })
    const { backend, server } = await play([large])
    assert.equal(await text((await backend.get(URI, { range: { start: 1, end: 3 } })).body), 'xx')
    const { body } = await backend.get(URI, { range: { start: 0, end: 8 * MIB } })
    body.destroy()
    backend.close()
    await server.idle()
  })
})

/** What a log line shows of why this failed. */
async function loggedCause(failing: Promise<unknown>): Promise<{ readonly code?: unknown; readonly status?: unknown }> {
  const error = await failing.then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason,
  )
  const { code, status } = describeError(error)['cause'] as Record<string, unknown>
  return { code, status }
}

describe('D13: the log of a failure', () => {
  for (const [name, step, cause] of [
    ['AccessDenied', failure(403, 'AccessDenied'), { code: 'AccessDenied', status: 403 }],
    ['an answer without words', answer(500), { code: 'Unknown', status: 500 }],
    ['a reset', reset, { code: 'ECONNRESET', status: undefined }],
    ['words that a store chose', failure(403, 'canary with a space'), { code: 'unknown', status: 403 }],
  ] as const) {
    it(`says why: ${name}`, async () => {
      const { backend } = await play([step])
      assert.deepEqual(await loggedCause(backend.get(URI)), cause)
    })
  }

  it('says why: nobody listens, no such host', async () => {
    const { backend, server } = await play([hang])
    await server.close()
    assert.deepEqual((await loggedCause(backend.put(URI, yielding('x')))).code, 'ECONNREFUSED')
    const { backend: lost } = await play([hang], { endpointUrl: 'http://store.invalid' })
    assert.match(String((await loggedCause(lost.get(URI))).code), /^(ENOTFOUND|EAI_AGAIN)$/)
  })
})

describe('D18: a key that may not list the bucket', () => {
  it('does not make the store unusable when it may write', async () => {
    const { backend, server } = await play([answer(403), failure(404, 'NoSuchUpload')])
    await backend.check()
    assert.deepEqual(lines(server), ['HEAD /bucket/', 'PUT /bucket/snapshots/0?partNumber=1&uploadId=none'])
  })

  it('does when it is wrong, or may not write either', async () => {
    for (const step of [
      failure(403, 'SignatureDoesNotMatch'),
      failure(403, 'InvalidAccessKeyId'),
      failure(403, 'AccessDenied'),
      failure(404, 'NoSuchBucket'),
    ]) {
      const { backend } = await play([answer(403), step])
      await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE' })
    }
  })

  it('is not told whether an object is missing, and the log says why', async () => {
    const { backend } = await play([failure(403, 'AccessDenied')])
    await assert.rejects(backend.get(URI), { code: 'STORAGE_UNAVAILABLE' })
    assert.deepEqual(await loggedCause(backend.get(URI)), { code: 'AccessDenied', status: 403 })
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
    const { backend, server } = await play([SLOW_DOWN, failure(409, 'ConditionalRequestConflict'), stored])
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
    const { backend, server } = await play([brokenAfter(head, (response) => response.socket?.resetAndDestroy())])
    const { body } = await backend.get(URI)
    await server.idle()
    await assert.rejects(buffer(body), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('an answer without a length is refused', async () => {
    const { backend } = await play([answer(200, 'abc', { 'transfer-encoding': 'chunked' })])
    await assert.rejects(backend.get(URI), { code: 'STORAGE_UNAVAILABLE' })
  })

  it('an answer with another range than was asked for is refused', async () => {
    const { backend, server } = await play([
      answer(206, '1234567890', { 'content-range': 'bytes 1-10/30' }),
      answer(206, '0123456789', { 'content-range': 'bytes 0-9/*' }),
    ])
    for (let count = 0; count < 2; count += 1) {
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
