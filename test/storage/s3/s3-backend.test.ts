import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import type { StorageUri } from '../../../src/storage/backend.ts'
import { createS3Backend, type S3BackendOptions } from '../../../src/storage/s3/s3-backend.ts'
import { chunked, hanging, testStorageBackend, yielding } from '../../contract/storage-backend.ts'
import { describeWith } from '../../support/describe-with.ts'
import { type S3Service, s3 } from '../../support/services.ts'

const MIB = 1024 * 1024
const KEYS = ['x//y', 'x/', '/x', 'x\\y', 'a\u2028b', ' a']

await describeWith('S3', s3, (server) => {
  const prefix = randomUUID()
  for (const scheme of ['s3', 'minio'] as const) {
    testStorageBackend(`${scheme}://`, {
      create: async () => ({ backend: connect(server, { scheme }), uri: uriOf(server, `${prefix}/${scheme}`) }),
      moreKeys: KEYS,
    })
  }
  testUploads(server)
  testSigning(server)
})

function connect(server: S3Service, options?: Partial<S3BackendOptions>) {
  const { endpoint: endpointUrl, region, accessKey, secretKey, bucket } = server
  const backend = createS3Backend({ scheme: 's3', endpointUrl, region, accessKey, secretKey, bucket, ...options })
  after(() => backend.close())
  return backend
}

function uriOf({ bucket }: S3Service, prefix: string): (key: string) => StorageUri {
  return (key) => ({ scheme: 's3', bucket, key: `${prefix}/${key}` })
}

function testUploads(server: S3Service): void {
  describe('uploads in parts', () => {
    const { endpoint, region, accessKey: accessKeyId, secretKey: secretAccessKey, bucket } = server
    const admin = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    })
    after(() => admin.destroy())
    const prefix = randomUUID()
    const uri = uriOf(server, prefix)

    it('leave no part behind when they are aborted, or when the sender breaks', async () => {
      const backend = connect(server)
      const controller = new AbortController()
      const body = hanging({ first: Buffer.alloc(12 * MIB), onHang: () => controller.abort(new Error('gone')) })
      await assert.rejects(backend.put(uri('aborted'), body, { signal: controller.signal }), { message: 'gone' })
      const broken = (async function* () {
        yield Buffer.alloc(12 * MIB)
        throw new Error('broken')
      })()
      await assert.rejects(backend.put(uri('broken'), broken), { message: 'broken' })
      const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }))
      assert.deepEqual(Uploads, [])
    })

    it('keep the content type', async () => {
      const backend = connect(server)
      for (const [key, sizeBytes] of [
        ['small', 10],
        ['large', 6 * MIB],
      ] as const) {
        await backend.put(uri(key), chunked(Buffer.alloc(sizeBytes)), { contentType: 'application/json' })
        const { url } = (await backend.getSignedUrl?.(uri(key), { expiresInSeconds: 60 })) ?? assert.fail()
        const response = await fetch(url)
        assert.equal(response.headers.get('content-type'), 'application/json')
        await response.body?.cancel()
      }
    })
  })

  describe('credentials and buckets that are wrong', () => {
    it('are STORAGE_UNAVAILABLE, not a missing object', async () => {
      const uri = uriOf(server, randomUUID())('a')
      const wrong = [connect(server, { secretKey: 'wrong' }), connect(server, { accessKey: 'nobody' })]
      for (const backend of wrong) {
        await assert.rejects(backend.get(uri), { code: 'STORAGE_UNAVAILABLE' })
        await assert.rejects(backend.put(uri, yielding('x')), { code: 'STORAGE_UNAVAILABLE' })
        await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE' })
      }
      const elsewhere = connect(server, { bucket: 'no-such-bucket' })
      await assert.rejects(elsewhere.check(), { code: 'STORAGE_UNAVAILABLE' })
      await assert.rejects(elsewhere.get({ ...uri, bucket: 'no-such-bucket' }), { code: 'STORAGE_UNAVAILABLE' })
    })
  })
}

function testSigning(server: S3Service): void {
  describe('signed URLs', () => {
    const uri = uriOf(server, randomUUID())
    const sign = (
      key: string,
      options: { expiresInSeconds: number; contentDisposition?: string; contentType?: string },
    ) => connect(server).getSignedUrl?.(uri(key), options) ?? assert.fail()

    it('give the object of every key to whoever holds them', async () => {
      for (const key of ['plain.json', 'a?b#c%20d e+f&g', 'é/🙂', "q'(1)*!", ...KEYS]) {
        await connect(server).put(uri(key), yielding(key))
        const { url } = await sign(key, { expiresInSeconds: 60 })
        assert.equal(await (await fetch(url)).text(), key)
      }
    })

    it('carry the headers of the answer', async () => {
      await connect(server).put(uri('headers'), yielding('{}'))
      const headers = { contentDisposition: 'attachment; filename="a b.json"', contentType: 'application/json' }
      const { url } = await sign('headers', { expiresInSeconds: 60, ...headers })
      const response = await fetch(url)
      assert.equal(response.headers.get('content-disposition'), headers.contentDisposition)
      assert.equal(response.headers.get('content-type'), headers.contentType)
      await response.body?.cancel()
    })

    it('are void when they are altered, or once the object is gone', async () => {
      await connect(server).put(uri('gone'), yielding('x'))
      const { url } = await sign('gone', { expiresInSeconds: 60 })
      assert.equal((await fetch(url.replace('/gone', '/other'))).status, 403)
      await connect(server).delete(uri('gone'))
      assert.equal((await fetch(url)).status, 404)
    })

    it('say when they expire', async () => {
      const earliest = Math.floor(Date.now() / 1000) * 1000 + 60_000
      const { url, expiresAt } = await sign('any', { expiresInSeconds: 60 })
      const signedAt = new URL(url).searchParams.get('X-Amz-Date') ?? ''
      const [, date, time] = /^(\d{8})T(\d{6})Z$/.exec(signedAt) ?? []
      const iso = `${date?.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time?.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`
      assert.equal(expiresAt.getTime(), new Date(iso).getTime() + 60_000)
      assert.ok(expiresAt.getTime() >= earliest)
    })

    it('live 1 second to 7 days', async () => {
      for (const expiresInSeconds of [0, -1, 1.5, 604_801, Number.NaN]) {
        await assert.rejects(sign('any', { expiresInSeconds }), { code: 'BAD_REQUEST' })
      }
      await sign('any', { expiresInSeconds: 604_800 })
    })

    it('carry the public host, and are signed for it', async () => {
      const backend = connect(server, { publicEndpointUrl: server.endpoint.replace('127.0.0.1', 'localhost') })
      await backend.put(uri('public'), yielding('x'))
      const { url } = (await backend.getSignedUrl?.(uri('public'), { expiresInSeconds: 60 })) ?? assert.fail()
      assert.equal(
        new URL(url).hostname,
        new URL(server.endpoint).hostname === '127.0.0.1' ? 'localhost' : new URL(server.endpoint).hostname,
      )
      assert.equal(await (await fetch(url)).text(), 'x')
    })

    it('end before the credentials that signed them', async () => {
      const expiration = Math.floor(Date.now() / 1000) * 1000 + 600_000
      const { expiresAt, url } = await withEnvironment(
        server,
        expiration,
        (backend) => backend.getSignedUrl?.(uri('any'), { expiresInSeconds: 3600 }) ?? assert.fail(),
      )
      assert.equal(expiresAt.getTime(), expiration - 60_000)
      assert.ok(Number(new URL(url).searchParams.get('X-Amz-Expires')) <= 540)
    })

    it('live at least half of what is left to the credentials, when that is little', async () => {
      const expiration = Math.floor(Date.now() / 1000) * 1000 + 60_000
      const { expiresAt, url } = await withEnvironment(
        server,
        expiration,
        (backend) => backend.getSignedUrl?.(uri('any'), { expiresInSeconds: 3600 }) ?? assert.fail(),
      )
      const seconds = Number(new URL(url).searchParams.get('X-Amz-Expires'))
      assert.ok(seconds >= 1 && seconds <= 30, String(seconds))
      assert.ok(expiration - expiresAt.getTime() >= seconds * 1000)
    })

    it('are refused when the credentials have expired', async () => {
      for (const expiration of [Date.now() - 1000, Date.now()]) {
        const signing = withEnvironment(
          server,
          expiration,
          (backend) => backend.getSignedUrl?.(uri('any'), { expiresInSeconds: 3600 }) ?? assert.fail(),
        )
        await assert.rejects(signing, { code: 'STORAGE_UNAVAILABLE' })
      }
    })
  })

  describe('without keys in the settings', () => {
    it("the SDK's own credentials are used", async () => {
      const uri = uriOf(server, randomUUID())('a')
      const read = await withEnvironment(server, Date.now() + 3600_000, async (backend) => {
        await backend.put(uri, yielding('x'))
        return text((await backend.get(uri)).body)
      })
      assert.equal(read, 'x')
    })
  })
}

/** A backend without keys, where the environment has them until `expiration`. */
async function withEnvironment<T>(
  server: S3Service,
  expiration: number,
  run: (backend: ReturnType<typeof connect>) => Promise<T>,
): Promise<T> {
  const names = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_CREDENTIAL_EXPIRATION'] as const
  const values = [server.accessKey, server.secretKey, new Date(expiration).toISOString()]
  const saved = names.map((name) => process.env[name])
  names.forEach((name, index) => {
    process.env[name] = values[index]
  })
  try {
    return await run(connect(server, { accessKey: undefined, secretKey: undefined }))
  } finally {
    names.forEach((name, index) => {
      if (saved[index] === undefined) delete process.env[name]
      else process.env[name] = saved[index]
    })
  }
}
