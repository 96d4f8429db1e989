import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { startServer } from '../support/server.ts'
import { s3, valkey } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const UP = { database: 'up', storage: 'up', cache: 'up' }

/** A proxy in front of the service, and the service's URL by way of it. */
async function behindProxy(url: string): Promise<{ readonly url: string; readonly proxy: FaultProxy }> {
  const through = new URL(url)
  const proxy = await startFaultProxy({ host: through.hostname, port: Number(through.port) })
  through.port = String(proxy.port)
  through.hostname = proxy.host
  return { url: through.href, proxy }
}

async function ready(url: string): Promise<{ readonly status: number; readonly body: object }> {
  const response = await fetch(`${url}/health/ready`)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  return { status: response.status, body: (await response.json()) as object }
}

/** Asks until the answer is the expected one: a look at the parts is kept for a second. */
async function becomes(url: string, expected: { readonly status: number; readonly body: object }): Promise<void> {
  const deadline = performance.now() + 10_000
  let answer = await ready(url)
  while (JSON.stringify(answer) !== JSON.stringify(expected) && performance.now() < deadline) {
    await delay(50)
    answer = await ready(url)
  }
  assert.deepEqual(answer, expected)
}

describe('health', { concurrency: true }, () => {
  it('says that the server lives and is ready', async () => {
    await using server = await startServer()
    const live = await fetch(`${server.url}/health/live`)
    assert.deepEqual([live.status, await live.json()], [200, { status: 'live' }])
    assert.deepEqual(await ready(server.url), { status: 200, body: { status: 'ready', ...UP } })
  })

  it('without the database is alive, not ready, and ready again by itself', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const { url, proxy } = await behindProxy(database.url)
    await using _proxy = proxy
    await using server = await startServer({ store: { databaseUrl: url, storagePath: folder.path } })
    await becomes(server.url, { status: 200, body: { status: 'ready', ...UP } })
    await proxy.refuse()
    proxy.resetNow()
    await becomes(server.url, { status: 503, body: { status: 'not ready', ...UP, database: 'down' } })
    assert.equal((await fetch(`${server.url}/health/live`)).status, 200)
    await proxy.heal()
    await becomes(server.url, { status: 200, body: { status: 'ready', ...UP } })
  })

  it('answers in time while the database says nothing', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const { url, proxy } = await behindProxy(database.url)
    await using _proxy = proxy
    await using server = await startServer({ store: { databaseUrl: url, storagePath: folder.path } })
    proxy.blackhole()
    const askedAt = performance.now()
    assert.equal((await ready(server.url)).status, 503)
    assert.ok(performance.now() - askedAt < 2500)
    await proxy.heal()
  })

  it('J10: is asked thousands of times, and looks once a second', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const { url, proxy } = await behindProxy(database.url)
    await using _proxy = proxy
    await using server = await startServer({ store: { databaseUrl: url, storagePath: folder.path } })
    for (let asked = 0; asked < 2000; asked += 100) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => ready(server.url)))
      assert.ok(answers.every(({ status }) => status === 200))
    }
    assert.ok(proxy.connections <= 3, `${proxy.connections} connections`)
  })
})

await describeWith('health with a cache', valkey, (service) => {
  it('is degraded, but ready, without the cache', async () => {
    const { url, proxy } = await behindProxy(service.url)
    await using _proxy = proxy
    await using server = await startServer({ env: { VALKEY_URL: url } })
    await becomes(server.url, { status: 200, body: { status: 'ready', ...UP } })
    await proxy.refuse()
    proxy.resetNow()
    await becomes(server.url, { status: 200, body: { status: 'degraded', ...UP, cache: 'down' } })
    await proxy.heal()
    await becomes(server.url, { status: 200, body: { status: 'ready', ...UP } })
  })
})

await describeWith('health with object storage', s3, ({ endpoint, bucket, region, accessKey, secretKey }) => {
  it('is not ready without the storage', async () => {
    const { url, proxy } = await behindProxy(endpoint)
    await using _proxy = proxy
    await using server = await startServer({
      env: {
        SNAPSHOT_STORAGE_BACKEND: 's3',
        S3_BUCKET: bucket,
        S3_REGION: region,
        S3_ENDPOINT_URL: url,
        S3_ACCESS_KEY: accessKey,
        S3_SECRET_KEY: secretKey,
        S3_FORCE_PATH_STYLE: 'true',
      },
    })
    await becomes(server.url, { status: 200, body: { status: 'ready', ...UP } })
    await proxy.refuse()
    proxy.resetNow()
    await becomes(server.url, { status: 503, body: { status: 'not ready', ...UP, storage: 'down' } })
    await proxy.heal()
    await becomes(server.url, { status: 200, body: { status: 'ready', ...UP } })
  })
})
