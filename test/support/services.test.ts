import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Redis } from 'iovalkey'
import pg from 'pg'
import { chromium as browsers } from 'playwright-core'
import { freshDatabase } from './database.ts'
import { describeWith } from './describe-with.ts'
import { ask, chromium, postgres, redis, type S3Service, type Service, s3, valkey } from './services.ts'

describe('PostgreSQL for tests', () => {
  it('is one server, whoever asks and however often', async () => {
    const [first, second] = await Promise.all([postgres(), postgres()])
    assert.equal(first.url, second.url)
    assert.deepEqual(await query(first.url, 'SELECT 1 AS one'), [{ one: 1 }])
  })

  it('gives every caller a database of its own, and takes it back', async () => {
    await using first = await freshDatabase({ template: 'empty' })
    await using second = await freshDatabase({ template: 'empty' })
    await query(first.url, 'CREATE TABLE only_here (id int)')
    await assert.rejects(query(second.url, 'TABLE only_here'), { code: '42P01' })
    await first.drop()
    await assert.rejects(query(first.url, 'SELECT 1'), { code: '3D000' })
  })

  it('gives a migrated database unless told otherwise', async () => {
    await using database = await freshDatabase()
    const tables = await query(database.url, "SELECT 1 FROM pg_tables WHERE tablename = 'state_snapshots'")
    assert.equal(tables.length, 1)
  })

  it('makes twenty databases at once', async () => {
    const databases = await Promise.all(Array.from({ length: 20 }, () => freshDatabase({ template: 'empty' })))
    assert.equal(new Set(databases.map(({ url }) => url)).size, 20)
    await Promise.all(databases.map((database) => database.drop()))
  })

  it('has a template whose name says so', async () => {
    const { template, prefix } = await ask('empty-template')
    assert.ok(template.startsWith(prefix))
  })
})

for (const [name, service] of [
  ['Valkey for tests', valkey],
  ['Redis for tests', redis],
] as const) {
  await describeWith(name, service, (server) => {
    it('answers with its password, and nothing without', async () => {
      await withRedis(server.url, async (client) => assert.equal(await client.ping(), 'PONG'))
      const anonymous = new URL(server.url)
      anonymous.password = ''
      await withRedis(anonymous.href, (client) => assert.rejects(client.ping(), /NOAUTH/))
    })
  })
}

await describeWith('S3 for tests', s3, (server) => {
  const object = { Bucket: server.bucket, Key: 'services-test/object' }

  it('stores an object and gives it back', async () => {
    using client = connect(server)
    await client.send(new PutObjectCommand({ ...object, Body: 'payload' }))
    const { Body } = await client.send(new GetObjectCommand(object))
    assert.equal(await Body?.transformToString(), 'payload')
  })

  it('refuses a wrong secret key', async () => {
    using client = connect({ ...server, secretKey: 'wrong' })
    await assert.rejects(client.send(new GetObjectCommand(object)), { name: 'SignatureDoesNotMatch' })
  })
})

await describeWith('Chromium for tests', chromium, ({ executablePath }) => {
  it('opens a page', async () => {
    const browser = await browsers.launch({ executablePath, args: ['--no-sandbox'] })
    try {
      const page = await browser.newPage()
      await page.setContent('<title>Runs</title>')
      assert.equal(await page.title(), 'Runs')
    } finally {
      await browser.close()
    }
  })
})

async function query(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}

async function withRedis(url: Service['url'], use: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null })
  client.on('error', () => {})
  try {
    await use(client)
  } finally {
    client.disconnect()
  }
}

function connect(server: S3Service): S3Client & Disposable {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })
  return Object.assign(client, { [Symbol.dispose]: () => client.destroy() })
}
