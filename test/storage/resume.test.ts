import assert from 'node:assert/strict'
import { once } from 'node:events'
import { truncate, unlink, writeFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, it } from 'node:test'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { createFileBackend } from '../../src/storage/file/file-backend.ts'
import { type ResumeOptions, resuming } from '../../src/storage/resume.ts'
import { createS3Backend } from '../../src/storage/s3/s3-backend.ts'
import { temporaryFolder } from '../support/tmp.ts'
import { answer, failure, type ScriptedS3, type Step, startScriptedS3 } from './s3/scripted-s3.ts'

const URI = { scheme: 's3', bucket: 'bucket', key: 'a' }
const TEXT = '0123456789'
const ETAG = '"1"'

const running: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one.close()
})

interface Scene {
  readonly server: ScriptedS3
  readonly backend: StorageBackend
}

async function play(steps: readonly Step[], options: ResumeOptions = {}): Promise<Scene> {
  const server = await startScriptedS3(...steps)
  const connection = { region: 'us-east-1', endpointUrl: server.endpoint, accessKey: 'key', secretKey: 'secret' }
  const backend = resuming(createS3Backend({ scheme: 's3', bucket: 'bucket', ...connection }), {
    pauseMs: 1,
    ...options,
  })
  running.push(backend, server)
  return { server, backend }
}

/** Answers what was asked for, up to byte `until` of the object, and then breaks off. */
function upTo(until: number, breakOff: (response: Parameters<Step>[0]) => unknown, etag = ETAG): Step {
  return (response, { headers }) => {
    const [, from = '0', last = '9'] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
    const start = Number(from)
    const end = Number(last) + 1
    const extent = headers.range === undefined ? {} : { 'content-range': `bytes ${start}-${last}/10` }
    response.writeHead(headers.range === undefined ? 200 : 206, { ...extent, etag, 'content-length': end - start })
    if (until >= end) response.end(TEXT.slice(start, end))
    else response.write(TEXT.slice(start, until), () => breakOff(response))
  }
}

const reset = (response: Parameters<Step>[0]) => response.socket?.resetAndDestroy()
const close = (response: Parameters<Step>[0]) => response.socket?.end()
const nothing = () => undefined
const WHOLE = upTo(10, nothing)

const asked = ({ requests }: ScriptedS3) => requests.map(({ headers }) => [headers.range, headers['if-match']])
const read = async (backend: StorageBackend) => String(await buffer((await backend.get(URI)).body))

describe('a body that breaks', () => {
  it('goes on from the byte after the last one that came, in the version that it began with', async () => {
    for (const breakOff of [reset, close]) {
      const { backend, server } = await play([upTo(4, breakOff), upTo(7, breakOff), WHOLE])
      assert.equal(await read(backend), TEXT)
      assert.deepEqual(asked(server), [
        [undefined, undefined],
        ['bytes=4-9', ETAG],
        ['bytes=7-9', ETAG],
      ])
    }
  })

  it('goes on within the range that was asked', async () => {
    const { backend, server } = await play([upTo(4, reset), WHOLE])
    const { body, sizeBytes } = await backend.get(URI, { range: { start: 2, end: 8 } })
    assert.deepEqual([String(await buffer(body)), sizeBytes], [TEXT.slice(2, 8), 10])
    assert.deepEqual(
      asked(server).map(([range]) => range),
      ['bytes=2-7', 'bytes=4-7'],
    )
  })

  it('goes on when nothing more comes', async () => {
    const { backend } = await play([upTo(4, nothing), WHOLE], { stallMs: 50 })
    assert.equal(await read(backend), TEXT)
  })

  it('may break as often as it likes while it moves on', async () => {
    const { backend } = await play([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((until) => upTo(until, reset)))
    assert.equal(await read(backend), TEXT)
  })

  it('ends with an error after three attempts that bring nothing', async () => {
    for (const step of [upTo(4, reset), failure(400, 'BadRequest')]) {
      const { backend, server } = await play([upTo(4, reset), step])
      await assert.rejects(read(backend), { code: 'STORAGE_UNAVAILABLE' })
      assert.equal(server.requests.length, 4)
    }
  })

  it('ends with an error when its time is over, however often something comes', async () => {
    const graceMs = 300
    const { backend } = await play([upTo(4, nothing)], { graceMs, stallMs: 10_000 })
    await assert.rejects(read(backend), { code: 'STORAGE_TIMEOUT' })
    const drip: Step = (response, request) =>
      upTo(Number(/\d+/.exec(request.headers.range ?? '3')) + 1, nothing)(response, request)
    const dripping = await play([drip], { graceMs, stallMs: 80 })
    await assert.rejects(read(dripping.backend), { code: 'STORAGE_TIMEOUT' })
    await dripping.server.idle()
  })

  it('is never continued by another version, whether or not the store minds the condition', async () => {
    for (const step of [failure(412, 'PreconditionFailed'), upTo(10, nothing, '"2"')]) {
      const { backend, server } = await play([upTo(4, reset), step])
      await assert.rejects(read(backend), { code: 'STORAGE_UNAVAILABLE' })
      assert.equal(server.requests.length, 2)
    }
  })

  it('is not continued where nothing tells one version from another', async () => {
    for (const etag of ['', 'W/"1"']) {
      const { backend, server } = await play([upTo(4, reset, etag), WHOLE])
      await assert.rejects(read(backend), { code: 'STORAGE_UNAVAILABLE' })
      assert.equal(server.requests.length, 1)
    }
  })

  it('says that the object is gone when it is', async () => {
    const { backend } = await play([upTo(4, reset), answer(404)])
    await assert.rejects(read(backend), { code: 'OBJECT_MISSING' })
  })

  it('is left alone until somebody reads on, and then goes on', async () => {
    const { backend, server } = await play([upTo(0, reset), WHOLE], { graceMs: 50, stallMs: 20 })
    const { body } = await backend.get(URI)
    await server.idle()
    assert.equal(server.requests.length, 1)
    assert.equal(String(await buffer(body)), TEXT)
  })
})

describe('a file that changes while it is read', () => {
  const SIZE = 8 * 1_048_576
  const cases: readonly (readonly [string, (path: string) => Promise<void>, boolean])[] = [
    ['cut', (path) => truncate(path, SIZE / 2), false],
    ['deleted', (path) => unlink(path), true],
    ['replaced', (path) => unlink(path).then(() => writeFile(path, Buffer.alloc(SIZE, 'b'))), true],
  ]
  for (const [how, change, isWhole] of cases) {
    it(`gives ${isWhole ? 'all of what was opened' : 'an error'} when it is ${how}`, async () => {
      await using folder = await temporaryFolder()
      const uri = { scheme: 'file', bucket: '', key: 'a' }
      await writeFile(`${folder.path}/a`, Buffer.alloc(SIZE, 'a'))
      const { body } = await resuming(createFileBackend({ root: folder.path })).get(uri)
      await once(body, 'readable')
      await change(`${folder.path}/a`)
      if (isWhole) assert.ok(Buffer.alloc(SIZE, 'a').equals(await buffer(body)))
      else await assert.rejects(buffer(body), { code: 'STORAGE_UNAVAILABLE' })
    })
  }
})

describe('a reader that goes', () => {
  it('stops an attempt that is under way', async () => {
    for (const go of ['destroy', 'abort'] as const) {
      const controller = new AbortController()
      const reason = new Error('client went away')
      const reached = Promise.withResolvers<void>()
      const { backend, server } = await play([upTo(4, reset), () => reached.resolve()])
      const { body } = await backend.get(URI, { signal: controller.signal })
      const ended = assert.rejects(buffer(body), go === 'abort' ? reason : { code: 'ERR_STREAM_PREMATURE_CLOSE' })
      await reached.promise
      if (go === 'abort') controller.abort(reason)
      else body.destroy()
      await ended
      await server.idle()
    }
  })
})
