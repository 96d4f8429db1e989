import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import type { DoomedObject, StorageUri } from '../../../src/storage/backend.ts'
import { createS3Backend } from '../../../src/storage/s3/s3-backend.ts'
import { answer, failure, type ScriptedS3, type Step, startScriptedS3 } from './scripted-s3.ts'

function doomed(uri: StorageUri, about: Partial<DoomedObject> = {}): DoomedObject {
  return { uri, multipartId: null, versionId: null, isUnfinished: false, ...about }
}

describe('S3: deletes that a store answers in its own way', () => {
  const running: { close(): unknown }[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
  })

  async function play(...steps: readonly Step[]) {
    const server = await startScriptedS3(...steps)
    const connection = { region: 'us-east-1', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' }
    const backend = createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection, deadlineMs: 2000 })
    running.push(backend, server)
    const deleteMany = backend.deleteMany ?? assert.fail()
    return { server, backend, deleteMany }
  }

  const uri = (key: string) => ({ scheme: 's3', bucket: 'bucket', key })
  const all = (...keys: readonly string[]) => keys.map((key) => doomed(uri(key)))
  const lines = ({ requests }: ScriptedS3) => requests.map(({ line }) => line)
  const result = (inner: string) => answer(200, `<DeleteResult>${inner}</DeleteResult>`)
  const deleted = (key: string, more = '') => `<Deleted><Key>${key}</Key>${more}</Deleted>`
  const refused = (key: string, code: string) => `<Error><Key>${key}</Key><Code>${code}</Code></Error>`
  const UNVERSIONED = answer(200, '<VersioningConfiguration/>')
  const GONE = answer(204)

  it('G18: one by one: those that are refused stay, those that nobody named are asked for again', async () => {
    const answered = result(
      deleted('a') + refused('b', 'AccessDenied') + refused('c', 'NoSuchKey') + refused('d', 'InternalError'),
    )
    const { server, deleteMany } = await play(answered, UNVERSIONED, GONE)
    const [a, b, c, d, e] = await deleteMany(all('a', 'b', 'c', 'd', 'e'))
    assert.deepEqual([a, c, e], [null, null, null])
    assert.deepEqual([b?.code, d?.code], ['STORAGE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'])
    assert.ok(b?.cause instanceof Error && 'code' in b.cause && b.cause.code === 'AccessDenied')
    assert.deepEqual(lines(server), ['POST /bucket/?delete=', 'GET /bucket/?versioning=', 'DELETE /bucket/e'])
    const { headers, body } = server.requests[0] ?? assert.fail()
    assert.ok(headers['content-md5'] && headers['x-amz-checksum-crc32'], 'stores ask for one or the other')
    assert.doesNotMatch(String(body), /Quiet>true/)
  })

  it('G18: an answer that says nothing, or that is an error, deletes nothing', async () => {
    for (const steps of [
      [result(''), failure(403, 'AccessDenied')],
      [answer(200, '<Error><Code>InternalError</Code></Error>')],
      [failure(403, 'AccessDenied')],
      [failure(503, 'SlowDown')],
    ]) {
      const { deleteMany } = await play(...steps)
      const outcomes = await deleteMany(all('a', 'b'))
      assert.deepEqual(
        outcomes.map((one) => one?.code),
        ['STORAGE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'],
      )
    }
  })

  for (const step of [
    failure(501, 'NotImplemented'),
    failure(400, 'MalformedXML'),
    failure(411, 'MissingContentLength'),
    failure(405, 'MethodNotAllowed'),
  ]) {
    it('each by itself where a store does not take many, which is then remembered', async () => {
      const { server, deleteMany } = await play(step, GONE, UNVERSIONED, GONE)
      assert.deepEqual(await deleteMany(all('a')), [null])
      assert.deepEqual(await deleteMany(all('b', 'c')), [null, null])
      const methods = server.requests.map(({ line }) => line.slice(0, 4))
      assert.deepEqual(methods, ['POST', 'DELE', 'GET ', 'DELE', 'DELE'])
    })
  }

  it('many at once again where one of them failed as well', async () => {
    const { server, deleteMany } = await play(
      failure(400, 'ExpiredToken'),
      failure(400, 'ExpiredToken'),
      result(deleted('a')),
    )
    assert.equal((await deleteMany(all('a')))[0]?.code, 'STORAGE_UNAVAILABLE')
    assert.deepEqual(await deleteMany(all('a')), [null])
    assert.equal(lines(server)[2], 'POST /bucket/?delete=')
  })

  it('in batches that an answer has room for', async () => {
    const keys = Array.from({ length: 250 }, (_, index) => String(index))
    const echo: Step = (response, request) => {
      if (request.line.startsWith('GET')) return UNVERSIONED(response, request)
      const named = [...String(request.body).matchAll(/<Key>(\d+)</g)].map(([, key = '']) => deleted(key))
      result(named.join(''))(response, request)
    }
    const { server, deleteMany } = await play(echo)
    assert.deepEqual(await deleteMany(all(...keys)), new Array(250).fill(null))
    assert.equal(lines(server).filter((line) => line.startsWith('POST')).length, 3)
  })

  it('S1: marks tell of versions where nobody may ask; all of them go, page by page', async () => {
    const version = (id: string, key = 'a') => `<Version><Key>${key}</Key><VersionId>${id}</VersionId></Version>`
    const marker = '<DeleteMarker><Key>a</Key><VersionId>m</VersionId></DeleteMarker>'
    const page = (inner: string, more: boolean) =>
      answer(200, `<ListVersionsResult><IsTruncated>${more}</IsTruncated>${inner}</ListVersionsResult>`)
    const marked = answer(204, '', { 'x-amz-delete-marker': 'true' })
    const pages = [page(version('1') + marker, true), GONE, GONE, page(version('2') + version('9', 'ab'), false), GONE]
    const { server, backend } = await play(marked, ...pages)
    await backend.delete(uri('a'))
    const deletes = lines(server).filter((line) => line.startsWith('DELETE'))
    assert.deepEqual(deletes, ['DELETE /bucket/a', ...['1', 'm', '2'].map((id) => `DELETE /bucket/a?versionId=${id}`)])
    const hidden = await play(marked, failure(403, 'AccessDenied'))
    await assert.rejects(hidden.backend.delete(uri('a')), { code: 'STORAGE_UNAVAILABLE' })
    const many = await play(result(deleted('a', '<DeleteMarker>true</DeleteMarker>')), ...pages)
    assert.deepEqual(await many.deleteMany(all('a')), [null])
    assert.equal(lines(many.server).filter((line) => line.startsWith('DELETE')).length, 3)
  })

  it('D8: a list of uploads that repeats itself ends', async () => {
    const upload = '<Upload><Key>a</Key><UploadId>u</UploadId></Upload>'
    const next = '<NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>'
    const list = `<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>${next}${upload}</ListMultipartUploadsResult>`
    const { server, backend } = await play(answer(200, list), answer(200, list), GONE, GONE, GONE, UNVERSIONED)
    await backend.delete(uri('a'), { isUnfinished: true })
    assert.equal(lines(server).filter((line) => line.startsWith('GET') && line.includes('uploads')).length, 2)
  })

  it('D8: parts that cannot be taken back keep the object among those to be deleted', async () => {
    const { server, deleteMany } = await play(failure(403, 'AccessDenied'))
    const outcomes = await deleteMany([doomed(uri('a'), { multipartId: 'u' })])
    assert.equal(outcomes[0]?.code, 'STORAGE_UNAVAILABLE')
    assert.deepEqual(lines(server), ['DELETE /bucket/a?uploadId=u'])
  })
})
