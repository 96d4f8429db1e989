import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { eventually } from '../contract/byte-cache.ts'
import { CAPTURE, capture, codesByPath, codesOf, dataOf, payloadOf, uriOf } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { countRows, insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'

/** Everything captured becomes an object. */
const ALL_OBJECTS = { SNAPSHOT_INLINE_MAX_BYTES: '0' }

const READ = '{ snapshot(runId: "run", stepId: "step", useCache: false) { payload } }'

describe('a payload that cannot be read from files', () => testBroken({ root: () => 'file:///' }))

await describeWith('a payload that cannot be read from S3', s3, (service) => {
  testBroken({ service, root: (scheme) => `${scheme}://${service.bucket}/` })

  it('opens no connection for a URI that is not allowed', async () => {
    await using behind = await serverBehindProxy(service)
    const { server, proxy } = behind
    const uris = [
      's3://not-allowed/key',
      's3://not-allowed@127.0.0.1/key',
      `s3://${service.bucket}/../key`,
      'gs://b/key',
    ]
    const ids = await Promise.all(uris.map((storageUri) => insertForeign(server.databaseUrl, { storageUri })))
    const before = proxy.connections
    const { errors, data } = await server.graphql(manyPayloads(ids))
    assert.deepEqual(codesByPath({ errors }), {
      'a0.payload': 'STORAGE_URI_REJECTED',
      'a1.payload': 'STORAGE_URI_REJECTED',
      'a2.payload': 'STORAGE_URI_REJECTED',
      'a3.payload': 'UNSUPPORTED_STORAGE_SCHEME',
    })
    assert.deepEqual(data, Object.fromEntries(ids.map((_, i) => [`a${i}`, { payload: null }])))
    assert.equal(proxy.connections, before)
  })

  it('tells that storage is down, that a retry may help, and is read again once storage is back', async () => {
    await using behind = await serverBehindProxy(service)
    const { server, proxy } = behind
    const stepId = randomUUID()
    await capture(server, { runId: 'run', stepId, payload: 'here' })
    await proxy.refuse()
    proxy.resetNow()
    const text = `{ snapshot(runId: "run", stepId: "${stepId}", useCache: false) { sizeBytes storageState payload }
      run(runId: "run") { status } }`
    const answer = await server.graphql(text)
    assert.deepEqual([answer.status, codesByPath(answer)], [200, { 'snapshot.payload': 'STORAGE_UNAVAILABLE' }])
    assert.equal(answer.errors?.[0]?.extensions.retryable, true)
    const snapshot = { sizeBytes: 6, storageState: 'AVAILABLE', payload: null }
    assert.deepEqual(answer.data, { snapshot, run: { status: 'UNKNOWN' } })
    await proxy.heal()
    assert.deepEqual(await dataOf(server.graphql(text)), {
      snapshot: { ...snapshot, payload: 'here' },
      run: { status: 'UNKNOWN' },
    })
  })

  it('is not stored while storage is down, and the retry stores it once', async () => {
    await using behind = await serverBehindProxy(service)
    const { server, proxy } = behind
    const input = { runId: 'run', stepId: 'down', payload: 'later', idempotencyKey: randomUUID() }
    await proxy.refuse()
    proxy.resetNow()
    const answer = await server.graphql(CAPTURE, { input })
    assert.deepEqual(codesByPath(answer), { captureSnapshot: 'STORAGE_UNAVAILABLE' })
    assert.equal(answer.errors?.[0]?.extensions.retryable, true)
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 0)
    await proxy.heal()
    assert.equal((await capture(server, input)).created, true)
    assert.equal((await capture(server, input)).created, false)
  })

  it('tells nothing of wrong credentials but that storage cannot be used', async () => {
    const secret = 'a-wrong-secret-of-this-test'
    await using server = await startServer({ env: { ...s3Env(service), S3_SECRET_KEY: secret } })
    const id = await insertForeign(server.databaseUrl, { storageUri: `s3://${service.bucket}/key` })
    const answer = await server.graphql(manyPayloads([id]))
    assert.deepEqual([answer.status, codesByPath(answer)], [200, { 'a0.payload': 'STORAGE_UNAVAILABLE' }])
    assert.equal(answer.errors?.[0]?.extensions.retryable, undefined, 'trying again mends no key')
    assert.doesNotMatch(JSON.stringify(answer), new RegExp(`${secret}|${service.accessKey}|signature`, 'i'))
  })
})

interface Broken {
  readonly service?: S3Service
  /** What the URIs of the scheme begin with. */
  root(scheme: 's3' | 'minio'): string
}

function testBroken({ service, root }: Broken): void {
  for (const scheme of service ? (['s3', 'minio'] as const) : (['s3'] as const)) {
    const env = { ...ALL_OBJECTS, ...(service ? s3Env(service, scheme) : {}) }

    it(`${root(scheme)}: tells why at its path, and the rest of the answer stands`, async () => {
      await using server = await startServer({ env })
      using objects = openObjects({ storagePath: server.storagePath, s3: service })
      const own = (payload: unknown) => capture(server, { runId: 'run', stepId: randomUUID(), payload })
      const [good, missing, changed, longer] = [
        await own('good'),
        await own('gone'),
        await own('abc'),
        await own('abc'),
      ]
      await objects.remove(uriOf(missing))
      await objects.replace(uriOf(changed), '"abd"')
      await objects.replace(uriOf(longer), '"abc" ')
      const foreign = async (bytes: string | Buffer) => {
        const storageUri = `${root(scheme)}foreign/${randomUUID()}.json`
        await objects.put(storageUri, bytes)
        return insertForeign(server.databaseUrl, { storageUri })
      }
      const row = (storageUri?: string) => insertForeign(server.databaseUrl, { storageUri })
      const ids = [
        [good.snapshot.snapshotId, ''],
        [missing.snapshot.snapshotId, 'OBJECT_MISSING'],
        [changed.snapshot.snapshotId, 'OBJECT_CORRUPT'],
        [longer.snapshot.snapshotId, 'OBJECT_CORRUPT'],
        [await foreign('{"fine":1.0}'), ''],
        [await foreign('{"a":NaN}'), 'INVALID_PAYLOAD'],
        [await foreign('"}],"errors":['), 'INVALID_PAYLOAD'],
        [await foreign(''), 'INVALID_PAYLOAD'],
        [await foreign(Buffer.from([0x22, 0xff, 0x22])), 'INVALID_PAYLOAD'],
        [await row(`${root(scheme)}nobody/wrote/this.json`), 'OBJECT_MISSING'],
        [await row(), 'OBJECT_MISSING'],
        [await row('s3://a-bucket-of-others/key'), service ? 'STORAGE_URI_REJECTED' : 'UNSUPPORTED_STORAGE_SCHEME'],
        [await row(`${root(scheme)}a/../../b`), 'STORAGE_URI_REJECTED'],
        [await row('gs://bucket/key'), 'UNSUPPORTED_STORAGE_SCHEME'],
        [await row('http://127.0.0.1:1/key'), 'UNSUPPORTED_STORAGE_SCHEME'],
        [await row('no uri'), 'UNSUPPORTED_STORAGE_SCHEME'],
        [good.snapshot.snapshotId, ''],
      ] as const
      // The cache still has what was captured here: a new server has not.
      await using fresh = await startServer({ env, store: server })
      const answer = await fresh.graphql(manyPayloads(ids.map(([id]) => id)))
      const expected = ids.map(([, code], i) => [`a${i}.payload`, code] as const).filter(([, code]) => code !== '')
      assert.equal(answer.status, 200)
      assert.deepEqual(codesByPath(answer), Object.fromEntries(expected))
      assert.deepEqual(
        [answer.data['a0'], answer.data['a4'], answer.data['a16']],
        [{ payload: 'good' }, { payload: { fine: 1 } }, { payload: 'good' }],
      )
      assert.ok(expected.every(([path]) => Object(answer.data[path.slice(0, -8)]).payload === null))
      assert.ok(answer.errors?.every(({ extensions }) => extensions.retryable === undefined))
      const shown = JSON.stringify(answer)
      assert.ok(!shown.includes(server.storagePath) && !shown.includes('a-bucket-of-others'))
    })

    it(`${root(scheme)}: storageState tells what the last read showed, and AVAILABLE once the object is back`, async () => {
      await using server = await startServer({ env })
      using objects = openObjects({ storagePath: server.storagePath, s3: service })
      const captured = await capture(server, { runId: 'run', stepId: 'step', payload: { state: 'here' } })
      const bytes = await objects.get(uriOf(captured))
      await objects.remove(uriOf(captured))
      await readShows(server, { code: 'OBJECT_MISSING', state: 'MISSING' })
      await objects.put(uriOf(captured), bytes)
      await readShows(server, { code: '', state: 'AVAILABLE' })
      await objects.replace(uriOf(captured), Buffer.from(bytes).fill('x', 3, 4))
      await readShows(server, { code: 'OBJECT_CORRUPT', state: 'CORRUPT' })
      await objects.replace(uriOf(captured), bytes.subarray(1))
      await readShows(server, { code: 'OBJECT_CORRUPT', state: 'CORRUPT' })
      await objects.replace(uriOf(captured), bytes)
      await readShows(server, { code: '', state: 'AVAILABLE' })
    })
  }

  it('storageState tells of a corrupt object that is too large for the cache as well', async () => {
    await using server = await startServer({ env: service ? s3Env(service) : {} })
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const bytes = Buffer.from(JSON.stringify(payloadOf(8_500_000)))
    const { snapshot } = await server.app.writer.capture({ runId: 'run', stepId: 'step' }, bytes)
    const storageUri = snapshot.storageUri ?? ''
    await readShows(server, { code: '', state: 'AVAILABLE' })
    await objects.replace(storageUri, Buffer.from(bytes).fill('y', bytes.length - 5, bytes.length - 4))
    const { errors } = await server.graphql(READ).catch(() => ({ errors: undefined }))
    assert.ok(errors === undefined || codesOf({ errors }).join() === 'OBJECT_CORRUPT')
    await becomes(server, 'CORRUPT')
  })

  it('storageState of a foreign object is UNKNOWN until it is read', async () => {
    await using server = await startServer({ env: service ? s3Env(service) : {} })
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const storageUri = `${root('s3')}foreign/${randomUUID()}.json`
    await insertForeign(server.databaseUrl, { runId: 'run', stepId: 'step', storageUri })
    assert.equal(await stateOf(server), 'UNKNOWN')
    await readShows(server, { code: 'OBJECT_MISSING', state: 'MISSING' })
    await objects.put(storageUri, '1')
    await readShows(server, { code: '', state: 'AVAILABLE' })
  })
}

/** What a read through to storage answers, and which state it leaves. */
async function readShows(server: TestServer, { code, state }: { code: string; state: string }): Promise<void> {
  const answer = await server.graphql(READ)
  assert.deepEqual(codesByPath(answer), code === '' ? {} : { 'snapshot.payload': code })
  await becomes(server, state)
}

/** The state is noted beside the answer, which does not wait for it. */
async function becomes(server: TestServer, state: string): Promise<void> {
  assert.ok(await eventually(async () => (await stateOf(server)) === state), `${await stateOf(server)}, not ${state}`)
}

async function stateOf(server: TestServer): Promise<string> {
  const text = '{ snapshot(runId: "run", stepId: "step") { storageState } }'
  const { snapshot } = await dataOf(server.graphql<{ snapshot: { storageState: string } }>(text))
  return snapshot.storageState
}

function manyPayloads(ids: readonly string[]): string {
  return `{ ${ids.map((id, i) => `a${i}: snapshotById(snapshotId: "${id}") { payload }`).join(' ')} }`
}

interface BehindProxy extends AsyncDisposable {
  readonly server: TestServer
  readonly proxy: FaultProxy
}

/** A server whose way to S3 can be broken. */
async function serverBehindProxy(service: S3Service): Promise<BehindProxy> {
  const { hostname, port } = new URL(service.endpoint)
  const proxy = await startFaultProxy({ host: hostname, port: Number(port) })
  const endpoint = `http://${proxy.host}:${proxy.port}`
  const server = await startServer({ env: { ...ALL_OBJECTS, ...s3Env({ ...service, endpoint }) } })
  return {
    server,
    proxy,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    },
  }
}
