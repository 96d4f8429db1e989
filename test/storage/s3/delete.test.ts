import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { DoomedObject, RawBackend, StorageUri } from '../../../src/storage/backend.ts'
import { createS3Backend } from '../../../src/storage/s3/s3-backend.ts'
import { chunked, hanging, yielding } from '../../contract/storage-backend.ts'
import { describeWith } from '../../support/describe-with.ts'
import { type S3Service, s3 } from '../../support/services.ts'

const MIB = 1024 * 1024

type About = Partial<Omit<DoomedObject, 'uri'>>

function doomed(uri: StorageUri, about: About = {}): DoomedObject {
  return { uri, multipartId: null, versionId: null, isUnfinished: false, ...about }
}

await describeWith('S3: what is left of a deleted object', s3, (server) => {
  const { endpoint, region, accessKey, secretKey } = server
  const admin = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  after(() => admin.destroy())

  testUploads(server, admin)
  testVersions(server, admin)
})

function connect({ endpoint, ...server }: S3Service, bucket: string): RawBackend {
  const backend = createS3Backend({ ...server, scheme: 's3', endpointUrl: endpoint, bucket })
  after(() => backend.close())
  return backend
}

function testUploads(server: S3Service, admin: S3Client): void {
  describe('G17, D8: no part of an upload that never became it', () => {
    const { bucket } = server
    const backend = connect(server, bucket)
    const newUri = () => ({ scheme: 's3', bucket, key: randomUUID() })

    async function begin(key: string): Promise<string> {
      const { UploadId } = await admin.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }))
      return UploadId ?? assert.fail()
    }

    async function uploadsOf(prefix: string): Promise<(string | undefined)[]> {
      const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }))
      return Uploads.map(({ Key }) => Key)
    }

    it('when its name is known: that of a put that is cut off as by a kill', async () => {
      const uri = newUri()
      const told: string[] = []
      const onMultipart = async (id: string) => void told.push(id)
      const reached = Promise.withResolvers<void>()
      const gone = new AbortController()
      // What a killed process leaves is what the store has while this hangs.
      const body = hanging({ first: Buffer.alloc(12 * MIB), onHang: reached.resolve })
      const put = assert.rejects(backend.put(uri, body, { onMultipart, signal: gone.signal }))
      await reached.promise
      const [multipartId = assert.fail()] = told
      assert.deepEqual(await uploadsOf(uri.key), [uri.key])
      await backend.delete(uri, { multipartId })
      assert.deepEqual(await uploadsOf(uri.key), [])
      await backend.delete(uri, { multipartId })
      gone.abort(new Error('gone'))
      await put
      await assert.rejects(backend.get(uri), { code: 'OBJECT_MISSING' })
    })

    it('when no name is known: however many there are, and none of another object', async () => {
      const uri = newUri()
      const other = `${uri.key}x`
      await Promise.all([begin(other), ...Array.from({ length: 105 }, () => begin(uri.key))])
      await backend.delete(uri)
      assert.equal((await uploadsOf(uri.key)).length, 106, 'a put that was finished has none')
      await backend.delete(uri, { isUnfinished: true })
      assert.deepEqual(await uploadsOf(uri.key), [other])
      await backend.delete({ ...uri, key: other }, { isUnfinished: true })
    })

    it('when many are deleted at once', async () => {
      const uris = [newUri(), newUri(), newUri()] as const
      const multipartId = await begin(uris[0].key)
      await begin(uris[1].key)
      await backend.put(uris[2], yielding('x'))
      const objects = [doomed(uris[0], { multipartId }), doomed(uris[1], { isUnfinished: true }), doomed(uris[2])]
      assert.deepEqual(await backend.deleteMany?.(objects), [null, null, null])
      for (const uri of uris) {
        assert.deepEqual(await uploadsOf(uri.key), [])
        await assert.rejects(backend.get(uri), { code: 'OBJECT_MISSING' })
      }
    })
  })
}

function testVersions(server: S3Service, admin: S3Client): void {
  describe('S1: no version in a bucket that keeps them', () => {
    const bucket = `versions-${randomUUID()}`
    let backend: RawBackend
    before(async () => {
      await admin.send(new CreateBucketCommand({ Bucket: bucket }))
      const VersioningConfiguration = { Status: 'Enabled' } as const
      await admin.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }))
    })
    const newUri = () => ({ scheme: 's3', bucket, key: randomUUID() })

    async function versionsOf(prefix: string): Promise<number> {
      const list = await admin.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix }))
      return (list.Versions?.length ?? 0) + (list.DeleteMarkers?.length ?? 0)
    }

    for (const sizeBytes of [3, 22 * MIB]) {
      it(`of ${sizeBytes} bytes, whose version is known`, async () => {
        backend = connect(server, bucket)
        for (const isMany of [false, true]) {
          const uri = newUri()
          const { versionId } = await backend.put(uri, chunked(Buffer.alloc(sizeBytes)))
          assert.ok(versionId)
          if (isMany) assert.deepEqual(await backend.deleteMany?.([doomed(uri, { versionId })]), [null])
          else await backend.delete(uri, { versionId })
          assert.equal(await versionsOf(uri.key), 0)
        }
      })
    }

    it('when none is known, also after a delete that was cut off', async () => {
      for (const isMany of [false, true]) {
        backend = connect(server, bucket)
        const [uri, cut] = [newUri(), newUri()]
        for (const one of [uri, cut]) await backend.put(one, yielding('abc'))
        await markAsDeleted(admin, cut)
        const objects = [doomed(uri), doomed(cut), doomed(newUri())]
        if (isMany) assert.deepEqual(await backend.deleteMany?.(objects), [null, null, null])
        else for (const object of objects) await backend.delete(object.uri)
        for (const object of objects) assert.equal(await versionsOf(object.uri.key), 0)
      }
    })

    it('nor of the trial that tells whether a store takes a condition', async () => {
      const uri = newUri()
      const request = { sizeBytes: 1, sha256: Buffer.alloc(32), contentType: 'a/b', expiresInSeconds: 60 }
      await connect(server, bucket).directUploads?.sign(uri, request)
      assert.equal(await versionsOf(uri.key), 0)
    })

    it('D18: and such a bucket is usable by who may not list it, and by nobody else', async () => {
      const deny = async (...actions: readonly string[]) => {
        const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
        const Statement = [{ Effect: 'Deny', Principal: '*', Action: actions, Resource }]
        const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
        await admin.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
      }
      backend = connect(server, bucket)
      await deny('s3:ListBucket')
      await backend.check()
      await deny('s3:ListBucket', 's3:PutObject')
      await assert.rejects(backend.check(), { code: 'STORAGE_UNAVAILABLE' })
    })
  })
}

/** As a delete does that knows of no versions. */
async function markAsDeleted(admin: S3Client, { bucket, key }: StorageUri): Promise<void> {
  await admin.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }))
}
