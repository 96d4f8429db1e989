import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { after, afterEach, describe, it } from 'node:test'
import { createS3Backend, type S3BackendOptions } from '../../../src/storage/s3/s3-backend.ts'
import { chunked } from '../../contract/storage-backend.ts'
import { describeWith } from '../../support/describe-with.ts'
import { s3 } from '../../support/services.ts'
import { answer, failure, hang, type ScriptedS3, type Step, startScriptedS3 } from './scripted-s3.ts'

const MIB = 1024 * 1024
const PARTS = { wholeBytes: 6 * MIB, partBytes: 5 * MIB }

await describeWith('S3: a copy in parts', s3, ({ endpoint, ...server }) => {
  const prefix = randomUUID()
  const uri = (key: string) => ({ scheme: 's3', bucket: server.bucket, key: `${prefix}/${key}` })
  const backend = createS3Backend({ ...server, scheme: 's3', endpointUrl: endpoint, copyRules: PARTS })
  after(() => backend.close())

  it('is the same object, of keys of every kind, and its upload has a name', async () => {
    for (const key of ['a b+c?d#e&f', "x//é/🙂/'(1)*!"]) {
      const bytes = randomBytes(7 * MIB)
      const [from, to] = [uri(`from ${key}`), uri(`to ${key}`)]
      await backend.put(from, chunked(bytes), { contentType: 'application/json' })
      const told: string[] = []
      const onMultipart = async (id: string) => void told.push(id)
      const copy = backend.copy ?? assert.fail()
      assert.equal((await copy(from, to, { sizeBytes: bytes.length, onMultipart })).sizeBytes, bytes.length)
      assert.ok(bytes.equals(await buffer((await backend.get(to)).body)))
      assert.equal(told.length, 1)
      await assert.rejects(copy(from, to, { sizeBytes: bytes.length }), { code: 'CONFLICT' })
      for (const one of [from, to]) await backend.delete(one)
    }
  })
})

describe('S3: copies that a store answers in its own way', () => {
  const running: { close(): unknown }[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
  })
  const uri = (key: string) => ({ scheme: 's3', bucket: 'bucket', key })

  async function play(steps: readonly Step[], options: Partial<S3BackendOptions> = {}) {
    const server = await startScriptedS3(...steps)
    const connection = { region: 'us-east-1', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' }
    const backend = createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection, ...options })
    running.push(backend, server)
    const make = backend.copy ?? assert.fail()
    return { server, make, copy: (sizeBytes = 10, more = {}) => make(uri('a'), uri('b'), { sizeBytes, ...more }) }
  }

  const lines = ({ requests }: ScriptedS3) => requests.map(({ line }) => line)
  const SOURCE = answer(200, '0123456789', { etag: '"s"', 'content-type': 'application/json' })
  const ABSENT = answer(404)
  const copied = (what: string) => answer(200, `\n<${what}><ETag>"e"</ETag></${what}>`, { 'x-amz-version-id': 'v' })
  const SORRY = answer(200, ' \n<Error><Code>InternalError</Code></Error>\n')

  it('asks for the version that it looked at, as an object that is new', async () => {
    const { server, copy } = await play([SOURCE, ABSENT, copied('CopyObjectResult')])
    assert.deepEqual(await copy(), { sizeBytes: 10, versionId: 'v' })
    assert.deepEqual(lines(server), ['HEAD /bucket/a', 'HEAD /bucket/b', 'PUT /bucket/b'])
    const { headers } = server.requests[2] ?? assert.fail()
    assert.deepEqual(
      ['x-amz-copy-source', 'x-amz-copy-source-if-match', 'if-none-match', 'content-type'].map((name) => headers[name]),
      ['bucket/a', '"s"', '*', 'application/json'],
    )
  })

  it('D9: a 200 that is an error is asked again, and is never success', async () => {
    const once = await play([SOURCE, ABSENT, SORRY, copied('CopyObjectResult')])
    await once.copy()
    assert.equal(once.server.requests.length, 4)
    for (const last of [SORRY, answer(200, '<CopyObjectResult/>')]) {
      const never = await play([SOURCE, ABSENT, last, last, last, ABSENT])
      await assert.rejects(never.copy(), { code: 'STORAGE_UNAVAILABLE' })
    }
  })

  it('tells a place that is taken from a source that was replaced meanwhile', async () => {
    const failed = failure(412, 'PreconditionFailed')
    const taken = await play([SOURCE, ABSENT, failed, SOURCE, SOURCE])
    await assert.rejects(taken.copy(), { code: 'CONFLICT' })
    for (const step of [failed, failure(404, 'NoSuchKey')]) {
      const replaced = await play([SOURCE, ABSENT, step, ABSENT, ABSENT])
      await assert.rejects(replaced.copy(), { code: 'STORAGE_UNAVAILABLE' })
    }
  })

  it('in parts takes them back when one fails, or when nobody waits any more', async () => {
    const begun = answer(200, '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>')
    const copyRules = { wholeBytes: 5, partBytes: 5 }
    const refused = await play([SOURCE, ABSENT, begun, failure(403, 'AccessDenied')], { copyRules })
    await assert.rejects(refused.copy(), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(lines(refused.server).at(-1), 'DELETE /bucket/b?uploadId=u')

    const gone = new AbortController()
    const leave: Step = () => gone.abort(new Error('gone'))
    const left = await play([SOURCE, ABSENT, begun, leave, answer(204)], { copyRules })
    await assert.rejects(left.copy(10, { signal: gone.signal }), { message: 'gone' })
    assert.equal(lines(left.server).at(-1), 'DELETE /bucket/b?uploadId=u')
  })

  it('in parts is not asked for where stores differ in how they read the name', async () => {
    const { server, make } = await play([SOURCE, ABSENT], { copyRules: { wholeBytes: 5, partBytes: 5 } })
    await assert.rejects(make(uri('a%20b'), uri('b'), { sizeBytes: 10 }), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(server.requests.length, 2)
  })

  it('N4: is given up when the store hangs', async () => {
    const { copy } = await play([SOURCE, ABSENT, hang], { deadlineMs: 500 })
    const from = performance.now()
    await assert.rejects(copy(), { code: 'STORAGE_TIMEOUT' })
    assert.ok(performance.now() - from < 1500)
  })
})
