import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { type Step, startScriptedS3 } from '../storage/s3/scripted-s3.ts'
import { codesByPath, dataOf, payloadBytes, payloadOf } from '../support/answers.ts'
import { openObjects } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const LIMIT = { SNAPSHOT_INLINE_MAX_BYTES: '1000' }
const INLINE = payloadOf(500)
const OBJECT = payloadOf(50_000)
/** More than the cache takes. */
const LARGE = payloadOf(5_000_000)

describe('the integrity of a payload', () => {
  it('is NOT_CHECKED until somebody asks to verify it, and VERIFIED from then on', async () => {
    await using server = await startServer({ env: LIMIT })
    for (const payload of [INLINE, OBJECT, LARGE]) {
      const { snapshotId } = await captured(server, payload)
      assert.deepEqual(await known(server, snapshotId), ['NOT_CHECKED', 'PAYLOAD', 'AVAILABLE'])
      assert.equal(await verify(server, snapshotId), 'VERIFIED')
      assert.deepEqual(await known(server, snapshotId), ['VERIFIED', 'PAYLOAD', 'AVAILABLE'])
      const [row] = await query(
        server.databaseUrl,
        "select verified_at > now() - interval '1 minute' as recently from state_snapshots where id = $1",
        [snapshotId],
      )
      assert.deepEqual(row, { recently: true })
    }
  })

  it('is of the payload itself when that is stored in a coding', async () => {
    await using server = await startServer({ env: LIMIT })
    const headers = { 'content-encoding': 'gzip' }
    const { snapshotId } = storedOf(await put(server.url, gzipSync(JSON.stringify(LARGE)), { headers }))
    assert.equal(await verify(server, snapshotId), 'VERIFIED')
  })

  it('is a MISMATCH for other bytes in the row, and no more once they are right again', async () => {
    await using server = await startServer({ env: LIMIT })
    const { snapshotId } = await captured(server, INLINE)
    const write = (payload: object) =>
      query(server.databaseUrl, 'update state_snapshots set payload = $1 where id = $2', [
        JSON.stringify(payload),
        snapshotId,
      ])
    await write({ text: 'changed' })
    assert.equal(await verify(server, snapshotId), 'MISMATCH')
    assert.deepEqual(await known(server, snapshotId), ['MISMATCH', 'PAYLOAD', 'CORRUPT'])
    await write(INLINE)
    assert.equal(await verify(server, snapshotId), 'VERIFIED')
    assert.deepEqual(await known(server, snapshotId), ['VERIFIED', 'PAYLOAD', 'AVAILABLE'])
  })

  it('is a MISMATCH for another object of the same size, whatever the cache has', async () => {
    await using server = await startServer({ env: LIMIT })
    using objects = openObjects(server)
    for (const payload of [OBJECT, LARGE]) {
      const { snapshotId, storageUri } = await captured(server, payload)
      const right = await payloadBytes(server, snapshotId)
      await objects.replace(storageUri, Buffer.from(right).fill('y', 100, 110))
      assert.equal(await verify(server, snapshotId), 'MISMATCH')
      assert.deepEqual(await known(server, snapshotId), ['MISMATCH', 'PAYLOAD', 'CORRUPT'])
    }
  })

  it('stays a MISMATCH after a read that the cache answered', async () => {
    await using server = await startServer({ env: LIMIT })
    using objects = openObjects(server)
    const { snapshotId, storageUri } = await captured(server, OBJECT)
    const right = await payloadBytes(server, snapshotId)
    await objects.replace(storageUri, 'short')
    assert.equal(await verify(server, snapshotId), 'MISMATCH')
    assert.ok(right.equals(await payloadBytes(server, snapshotId)))
    // A second answer: what the first one noted would be there by now.
    assert.ok(right.equals(await payloadBytes(server, snapshotId)))
    assert.deepEqual(await known(server, snapshotId), ['MISMATCH', 'PAYLOAD', 'CORRUPT'])
  })

  it('becomes a MISMATCH when a later read finds other bytes', async () => {
    await using server = await startServer({ env: LIMIT })
    using objects = openObjects(server)
    const { snapshotId, storageUri } = await captured(server, OBJECT)
    assert.equal(await verify(server, snapshotId), 'VERIFIED')
    await objects.replace(storageUri, 'short')
    const answer = await server.graphql('{ snapshot(runId: "run", stepId: "step", useCache: false) { payload } }')
    assert.deepEqual(codesByPath(answer), { 'snapshot.payload': 'OBJECT_CORRUPT' })
    await eventually(async () => assert.deepEqual(await known(server, snapshotId), ['MISMATCH', 'PAYLOAD', 'CORRUPT']))
  })

  it('cannot be told of an object that is gone', async () => {
    await using server = await startServer({ env: LIMIT })
    using objects = openObjects(server)
    const { snapshotId, storageUri } = await captured(server, OBJECT)
    assert.equal(await verify(server, snapshotId), 'VERIFIED')
    await objects.remove(storageUri)
    assert.equal(await verify(server, snapshotId), 'OBJECT_MISSING')
    assert.deepEqual(await known(server, snapshotId), ['NOT_CHECKED', 'PAYLOAD', 'MISSING'])
  })

  it('is read one payload after the other, and once for each snapshot, however many an answer asks for', async () => {
    let open = 0
    let most = 0
    const serve: Step = async (response) => {
      open += 1
      most = Math.max(most, open)
      // Time for others to come in between.
      await delay(20)
      response.once('close', () => {
        open -= 1
      })
      response.writeHead(200, { etag: '"1"', 'content-length': 2 }).end('{}')
    }
    const store = await startScriptedS3(serve)
    const keys = { S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 's' }
    const env = { SNAPSHOT_STORAGE_BACKEND: 's3', S3_BUCKET: 'bucket', S3_ENDPOINT_URL: store.endpoint, ...keys }
    {
      await using server = await startServer({ env })
      const insert = () => insertForeign(server.databaseUrl, { storageUri: 's3://bucket/key' })
      const ids = await Promise.all(Array.from({ length: 8 }, insert))
      const fields = [...ids, ...ids].map(
        (id, i) => `a${i}: snapshotById(snapshotId: "${id}") { integrity(verify: true) }`,
      )
      const data = await dataOf(server.graphql<Record<string, { integrity: string }>>(`{ ${fields.join(' ')} }`))
      assert.deepEqual([...new Set(Object.values(data).map(({ integrity }) => integrity))], ['NOT_VERIFIABLE'])
      assert.deepEqual([store.requests.length, most], [8, 1])
    }
    await store.close()
  })

  it('is OVERLOADED while too many objects are being read', async () => {
    await using server = await startServer({ env: LIMIT, admission: { payloadStreamsMax: 0, queueMillis: 10 } })
    const [inline, object] = [await captured(server, INLINE), await captured(server, OBJECT)]
    assert.equal(await verify(server, inline.snapshotId), 'VERIFIED')
    const { errors } = await server.graphql(
      'query($id: ID!) { snapshotById(snapshotId: $id) { integrity(verify: true) } }',
      {
        id: object.snapshotId,
      },
    )
    assert.equal(errors?.[0]?.extensions.code, 'OVERLOADED')
  })

  it('costs no read of a payload as long as nobody asks to verify', async () => {
    await using server = await startServer({ env: LIMIT })
    using objects = openObjects(server)
    const { snapshotId, storageUri } = await captured(server, OBJECT)
    await objects.remove(storageUri)
    server.statements.length = 0
    assert.deepEqual(await known(server, snapshotId), ['NOT_CHECKED', 'PAYLOAD', 'AVAILABLE'])
    assert.equal(server.statements.length, 1)
  })
})

async function captured({ app }: TestServer, payload: object) {
  const bytes = Buffer.from(JSON.stringify(payload))
  const { snapshot } = await app.writer.capture({ runId: 'run', stepId: 'step' }, bytes)
  return { snapshotId: snapshot.snapshotId, storageUri: snapshot.storageUri ?? '' }
}

/** `integrity`, `digestOf` and `storageState`, from columns alone. */
async function known(server: TestServer, snapshotId: string): Promise<readonly unknown[]> {
  const { snapshotById } = await dataOf(
    server.graphql<{ snapshotById: object }>(
      `{ snapshotById(snapshotId: "${snapshotId}") { integrity digestOf storageState } }`,
    ),
  )
  return Object.values(snapshotById)
}

/** What a verification says, or its code. */
async function verify(server: TestServer, snapshotId: string): Promise<string | undefined> {
  const { data, errors } = await server.graphql<{ snapshotById: { integrity: string } | null }>(
    `{ snapshotById(snapshotId: "${snapshotId}") { integrity(verify: true) } }`,
  )
  return errors ? Object.values(codesByPath({ errors })).join() : data.snapshotById?.integrity
}
