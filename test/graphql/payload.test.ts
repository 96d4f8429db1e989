import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eventually } from '../contract/byte-cache.ts'
import { capture, codesByPath, payloadBytes, payloadOf, uncachedBytes, uriOf } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith, isUnavailable } from '../support/describe-with.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3, valkey } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const LARGE = payloadOf(2_000_000)
const SMALL = payloadOf(2000)

type Env = Readonly<Record<string, string>>

interface Setup {
  readonly scheme: 's3' | 'minio' | 'file'
  readonly env: Env
  readonly s3?: S3Service
}

describe('payloads in files, cached in the process', () => testPayloads({ scheme: 'file', env: {} }))

await describeWith('payloads in files, cached in Valkey', valkey, ({ url }) =>
  testPayloads({ scheme: 'file', env: { VALKEY_URL: url } }),
)

await describeWith('payloads in S3', s3, (service) => {
  for (const scheme of ['s3', 'minio'] as const) {
    testPayloads({ scheme, env: s3Env(service, scheme), s3: service })
  }
})

await describeWith('payloads in S3, cached in Valkey', storeAndCache, ({ store, cache }) => {
  for (const scheme of ['s3', 'minio'] as const) {
    testPayloads({ scheme, env: { ...s3Env(store, scheme), VALKEY_URL: cache.url }, s3: store })
  }
})

async function storeAndCache() {
  const [store, cache] = await Promise.all([s3(), valkey()])
  if (isUnavailable(store)) return store
  return isUnavailable(cache) ? cache : { store, cache }
}

function testPayloads({ scheme, env, s3: service }: Setup): void {
  it(`${scheme}: a large one lies in object storage, a small one inline, and both come back equal after a restart`, async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const store = { databaseUrl: database.url, storagePath: folder.path }
    const ids: string[] = []
    {
      await using server = await startServer({ env, store })
      await cacheIsUp(server)
      const large = await capture(server, { runId: 'run', stepId: 'large', payload: LARGE })
      const small = await capture(server, { runId: 'run', stepId: 'small', payload: SMALL })
      assert.equal(large.snapshot.storageTier, 'OBJECT')
      assert.ok(large.snapshot.storageUri?.startsWith(`${scheme}://`))
      assert.equal(large.snapshot.sizeBytes, 2_000_000)
      assert.deepEqual([small.snapshot.storageTier, small.snapshot.storageUri], ['INLINE', null])
      assert.equal(small.snapshot.sizeBytes, 2000)
      ids.push(large.snapshot.snapshotId, small.snapshot.snapshotId)
      await readsEqual(server, ids)
    }
    await using again = await startServer({ env, store })
    await readsEqual(again, ids)
  })

  it(`${scheme}: the cache saves a read of the object, and useCache: false reads it`, async () => {
    await using server = await startServer({ env })
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    await cacheIsUp(server)
    const captured = await capture(server, { runId: 'run', stepId: 'large', payload: LARGE })
    await objects.remove(uriOf(captured))
    assert.ok((await payloadBytes(server, captured.snapshot.snapshotId)).equals(Buffer.from(JSON.stringify(LARGE))))
    const uncached = await server.graphql(
      '{ snapshot(runId: "run", stepId: "large", useCache: false) { seq payload } }',
    )
    assert.deepEqual(codesByPath(uncached), { 'snapshot.payload': 'OBJECT_MISSING' })
    assert.deepEqual(uncached.data, { snapshot: { seq: captured.snapshot.seq, payload: null } })
  })
}

/** Twice by the cache, once through to storage. */
async function readsEqual(server: TestServer, [large = '', small = '']: readonly string[]): Promise<void> {
  for (const [id, stepId, payload] of [
    [large, 'large', LARGE],
    [small, 'small', SMALL],
  ] as const) {
    const bytes = Buffer.from(JSON.stringify(payload))
    for (let i = 0; i < 2; i++) assert.ok((await payloadBytes(server, id)).equals(bytes), `${stepId}, read ${i}`)
    assert.ok((await uncachedBytes(server, 'run', stepId)).equals(bytes), `${stepId}, uncached`)
  }
}

async function cacheIsUp({ url }: TestServer): Promise<void> {
  const isUp = async () => {
    const ready = (await (await fetch(`${url}/health/ready`)).json()) as { cache: string }
    return ready.cache === 'up'
  }
  assert.ok(await eventually(isUp))
}
