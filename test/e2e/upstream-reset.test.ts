import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { after, before, it } from 'node:test'
import { DeleteObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { Snapshot } from '../../src/model/snapshot.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { startServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'

/** Larger than what the cache takes, so that every read goes to the storage. */
const PAYLOAD = Buffer.from(`"${'x'.repeat(24_000_000)}"`)
const MIB = 1_048_576

await describeWith('storage that resets its connections while it sends', s3, (service) => {
  const cleanup = new AsyncDisposableStack()
  let proxy: FaultProxy
  let child: RunningProcess
  let url: string
  let path: string
  /** Another one, whose object a test may delete behind the server's back. */
  let lost: Snapshot

  before(async () => {
    const { hostname, port } = new URL(service.endpoint)
    proxy = cleanup.use(await startFaultProxy({ host: hostname, port: Number(port) }))
    const database = cleanup.use(await freshDatabase())
    const settings = {
      SNAPSHOT_STORAGE_BACKEND: 's3',
      S3_BUCKET: service.bucket,
      S3_REGION: service.region,
      S3_ENDPOINT_URL: `http://${proxy.host}:${proxy.port}`,
      S3_ACCESS_KEY: service.accessKey,
      S3_SECRET_KEY: service.secretKey,
      S3_FORCE_PATH_STYLE: 'true',
    }
    await using server = await startServer({ env: settings, store: { databaseUrl: database.url, storagePath: '' } })
    const { snapshot } = await server.app.writer.capture({ runId: 'r', stepId: 's' }, PAYLOAD)
    path = `/snapshots/${snapshot.snapshotId}/payload`
    lost = (await server.app.writer.capture({ runId: 'r', stepId: 'lost' }, PAYLOAD)).snapshot
    child = cleanup.use(startProcess({ args: ['serve'], env: { ...settings, PORT: '0', DATABASE_URL: database.url } }))
    url = await child.waitForUrl()
  })
  after(() => cleanup.disposeAsync())

  /** Reads to the end, and lets the storage break as soon as the first bytes are there. */
  async function download(
    target: string,
    options: { readonly body?: string; readonly onBegin?: () => void | Promise<void> } = {},
  ) {
    const method = options.body === undefined ? 'GET' : 'POST'
    const sent = request(`${url}${target}`, { method, agent: false, headers: { 'content-type': 'application/json' } })
    sent.end(options.body)
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    const hash = createHash('sha256')
    let size = 0
    let begunAt = 0
    let code: string | undefined
    try {
      for await (const chunk of answer) {
        if (size === 0) {
          await options.onBegin?.()
          begunAt = performance.now()
        }
        size += chunk.length
        hash.update(chunk)
      }
    } catch (error) {
      code = (error as NodeJS.ErrnoException).code
    }
    const afterMillis = performance.now() - begunAt
    return { status: answer.statusCode, complete: answer.complete, code, size, digest: hash.digest('hex'), afterMillis }
  }

  it('is taken up again where it broke off, and nobody notices', async () => {
    proxy.limitData(5 * MIB, 'rst')
    const { status, complete, digest } = await download(path)
    assert.deepEqual([status, complete], [200, true])
    assert.equal(digest, createHash('sha256').update(PAYLOAD).digest('hex'))
    await proxy.heal()
  })

  it('breaks the connection of the client when it stays away, and the server lives', async () => {
    const onBegin = () => proxy.limitData(100, 'rst')
    const { status, complete, code, size, afterMillis } = await download(path, { onBegin })
    assert.deepEqual([status, complete, code], [200, false, 'ECONNRESET'])
    assert.ok(size < PAYLOAD.length)
    // Three more attempts, and the pauses between them.
    assert.ok(afterMillis < 3000, `${afterMillis} ms`)
    await proxy.heal()
    assert.equal((await download(path)).complete, true)
  })

  it('breaks the connection within a second when there is nothing to wait for', async () => {
    const onBegin = async () => {
      await deleteObject(service, lost.storageUri ?? '')
      proxy.resetNow()
    }
    const { complete, code, afterMillis } = await download(`/snapshots/${lost.snapshotId}/payload`, { onBegin })
    assert.deepEqual([complete, code], [false, 'ECONNRESET'])
    assert.ok(afterMillis < 1000, `${afterMillis} ms`)
  })

  it('breaks an answer of GraphQL as well, and never ends it as if it were whole', async () => {
    const body = JSON.stringify({ query: '{ snapshot(runId: "r", stepId: "s") { payload } }' })
    const { status, complete, code } = await download('/graphql', { body, onBegin: () => proxy.limitData(100, 'rst') })
    assert.deepEqual([status, complete, code], [200, false, 'ECONNRESET'])
    await proxy.heal()
    const whole = await download('/graphql', { body })
    assert.deepEqual([whole.status, whole.complete], [200, true])
    assert.ok(whole.size > PAYLOAD.length)
  })

  it('leaves the server able to stop as always', async () => {
    assert.deepEqual(await child.stop(), { code: 0, signal: null })
    assert.equal(child.stderr(), '')
  })
})

async function deleteObject(service: S3Service, storageUri: string): Promise<void> {
  const client = new S3Client({
    endpoint: service.endpoint,
    region: service.region,
    forcePathStyle: true,
    credentials: { accessKeyId: service.accessKey, secretAccessKey: service.secretKey },
  })
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(storageUri) ?? []
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }))
  client.destroy()
}
