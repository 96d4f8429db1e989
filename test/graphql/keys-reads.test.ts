import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { codesByPath, dataOf } from '../support/answers.ts'
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts'
import { describeWith } from '../support/describe-with.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { countRows, insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'

const MIB = 1_048_576
const COUNT = 200_000
const TABLE = 'statelens_state_keys'

const keyOf = (index: number) => `customer-${(index * 7919) % 1_000_003}`
const noteOf = (index: number) => ({
  seen: index,
  note: 'some words of what is known of it, as long as such notes are',
})
const MEMBERS = Array.from({ length: COUNT }, (_, index) => `"${keyOf(index)}":${JSON.stringify(noteOf(index))}`)
/** An early key has another value at the end of all. */
const STATE = Buffer.from(`{${MEMBERS.join()},"custo\\u006der-0":"again","a/b":1}`)

const LOOK =
  'query($id: ID!, $pointer: JSONPointer!) { snapshotById(snapshotId: $id) { at(pointer: $pointer) { value } } }'

await describeWith('a key in an object of 200,000 in S3', s3, (service) => {
  let proxy: CountingProxy
  let server: TestServer
  let id: string
  before(async () => {
    proxy = await startCountingProxy(service.endpoint)
    server = await startServer({ env: s3Env({ ...service, endpoint: proxy.endpoint }) })
    id = storedOf(await put(server.url, STATE)).snapshotId
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    proxy.reads.length = 0
  })

  const look = (key: string, asked: TestServer = server) =>
    asked.graphql(LOOK, { id, pointer: `/${key.replaceAll('/', '~1')}` })
  const found = (value: unknown) => ({ snapshotById: { at: { value } } })
  const readBytes = () => proxy.reads.reduce((sum, { bytes }) => sum + bytes, 0)

  async function restarted(options: { readonly partsWaitMillis?: number } = {}): Promise<TestServer> {
    return await startServer({ env: s3Env({ ...service, endpoint: proxy.endpoint }), store: server, ...options })
  }

  /** As a stream; before that, whoever asks looks near the end of the object. */
  const wholeReads = () => proxy.reads.filter(({ bytes }) => bytes > STATE.length / 2).length

  it('takes three reads and a MiB wherever it is, once all was read for who looked first, and none where it is absent', async () => {
    assert.deepEqual(await dataOf(look('a/b')), found(1))
    assert.equal(await countRows(server.databaseUrl, TABLE), 0, 'what is near the end is found there')
    proxy.reads.length = 0
    const first = await Promise.all(Array.from({ length: 10 }, (_, index) => dataOf(look(keyOf(index + 1)))))
    assert.deepEqual(
      first,
      Array.from({ length: 10 }, (_, index) => found(noteOf(index + 1))),
    )
    assert.equal(wholeReads(), 1)
    await using other = await restarted()
    for (const asked of [server, other]) {
      for (const index of [1, 77, 5_000, 100_000, 150_000, COUNT - 1]) {
        proxy.reads.length = 0
        assert.deepEqual(await dataOf(look(keyOf(index), asked)), found(noteOf(index)))
        assert.ok(proxy.reads.length <= 3 && readBytes() <= MIB, JSON.stringify(proxy.reads))
      }
      assert.deepEqual(await dataOf(look('customer-0', asked)), found('again'))
      proxy.reads.length = 0
      assert.deepEqual(codesByPath(await look('customer', asked)), { 'snapshotById.at': 'POINTER_NOT_FOUND' })
      assert.deepEqual(proxy.reads, [])
    }
  })

  it('is found as well where its table was not written to its end, or lost a part: it is made anew', async () => {
    await dataOf(look(keyOf(1)))
    for (const damage of [
      `delete from ${TABLE} where bucket = -1`,
      `delete from ${TABLE} where part = 0 and bucket >= 0`,
      `update ${TABLE} set pairs = overlay(pairs placing '\\x09' from 1) where bucket = -1`,
      'delete from statelens_state_indexes',
    ]) {
      await query(server.databaseUrl, damage)
      await using other = await restarted()
      assert.deepEqual(await dataOf(look(keyOf(2), other)), found(noteOf(2)), damage)
      const [row] = await query<{ seeds: number; heads: number }>(
        server.databaseUrl,
        `select count(distinct seed)::int as seeds, (count(*) filter (where bucket = -1))::int as heads from ${TABLE}`,
      )
      assert.deepEqual(row, { seeds: 1, heads: 1 }, damage)
      assert.deepEqual(await dataOf(look(keyOf(3))), found(noteOf(3)), damage)
    }
  })

  it('is told how far it is where that takes longer than a request waits, and may be asked again', async () => {
    await query(server.databaseUrl, `delete from ${TABLE}`)
    await using impatient = await restarted({ partsWaitMillis: 40 })
    const early = await look(keyOf(4), impatient)
    assert.deepEqual(codesByPath(early), { 'snapshotById.at': 'STORAGE_TIMEOUT' })
    const { extensions } = early.errors?.[0] ?? {}
    const progress = extensions?.['progress'] as { readonly readBytes: number; readonly sizeBytes: number }
    assert.equal(extensions?.retryable, true)
    assert.ok(progress.readBytes < progress.sizeBytes && progress.sizeBytes <= STATE.length, JSON.stringify(progress))
    await eventually(async () => assert.deepEqual(await dataOf(look(keyOf(4), impatient)), found(noteOf(4))))
    assert.equal(wholeReads(), 1)
  })

  it('is searched for where the database takes no writes', async () => {
    await query(server.databaseUrl, `delete from ${TABLE}`)
    const [name] = await query<{ name: string }>(server.databaseUrl, 'select current_database() as name')
    await query(server.databaseUrl, `alter database "${name?.name}" set default_transaction_read_only = on`)
    try {
      await using reading = await restarted()
      assert.deepEqual(await dataOf(look(keyOf(5), reading)), found(noteOf(5)))
    } finally {
      const client = `set transaction read write; alter database "${name?.name}" reset default_transaction_read_only`
      await query(server.databaseUrl, `begin; ${client}; commit`)
    }
    assert.equal(await countRows(server.databaseUrl, TABLE), 0)
  })

  it('is found as well in an object of another writer that is coded, read to its end once', async () => {
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const storageUri = `s3://${service.bucket}/${randomUUID()}.json.gz`
    const coded = gzipSync(STATE)
    await objects.put(storageUri, coded)
    const foreignId = await insertForeign(server.databaseUrl, { storageUri })
    const lookThere = (key: string) => server.graphql(LOOK, { id: foreignId, pointer: `/${key}` })
    assert.deepEqual(await dataOf(lookThere(keyOf(9))), found(noteOf(9)))
    assert.deepEqual(await dataOf(lookThere(keyOf(100_000))), found(noteOf(100_000)))
    proxy.reads.length = 0
    assert.deepEqual(codesByPath(await lookThere('customer')), { 'snapshotById.at': 'POINTER_NOT_FOUND' })
    assert.ok(
      proxy.reads.every(({ bytes }) => bytes < coded.length / 2),
      JSON.stringify(proxy.reads),
    )
    await objects.remove(storageUri)
  })

  it('is OBJECT_CORRUPT where the object is not what was captured, and no table is made of it', async () => {
    await query(server.databaseUrl, `delete from ${TABLE}`)
    const [row] = await query<{ uri: string }>(
      server.databaseUrl,
      'select storage_uri as uri from state_snapshots where id = $1',
      [id],
    )
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const bytes = Buffer.from(STATE)
    bytes.write('stranger', bytes.indexOf(keyOf(100_000)))
    await objects.replace(row?.uri ?? '', bytes)
    await using other = await restarted()
    assert.deepEqual(codesByPath(await look(keyOf(6), other)), { 'snapshotById.at': 'OBJECT_CORRUPT' })
    assert.equal(await countRows(server.databaseUrl, TABLE), 0)
  })
})
