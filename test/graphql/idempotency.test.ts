import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3'
import { eventually } from '../contract/byte-cache.ts'
import {
  CAPTURE,
  type CaptureAnswer,
  capture,
  codesByPath,
  payloadBytes,
  payloadOf,
  uriOf,
} from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { filesBelow, s3Env } from '../support/objects.ts'
import { countRows, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'

const SMALL = { state: 'small' }
/** An object, and no more of one than that takes. */
const OBJECT = payloadOf(1_050_000)
const LARGE = payloadOf(2_000_000)

describe('a capture that is repeated', () => {
  it('data 2.9: is a conflict under a snapshotId of its own and the idempotencyKey of another snapshot', async () => {
    await using server = await startServer()
    const input = { runId: 'run', stepId: 'step', payload: SMALL }
    const [first, second] = [
      await capture(server, { ...input, idempotencyKey: 'first' }),
      await capture(server, { ...input, idempotencyKey: 'second' }),
    ]
    for (const snapshotId of [randomUUID(), second.snapshot.snapshotId]) {
      const answer = await server.graphql(CAPTURE, { input: { ...input, snapshotId, idempotencyKey: 'first' } })
      assert.deepEqual(codesByPath(answer), { captureSnapshot: 'CONFLICT' })
    }
    const { snapshotId } = first.snapshot
    const again = await capture(server, { ...input, snapshotId, idempotencyKey: 'first' })
    assert.deepEqual([again.created, again.snapshot.snapshotId], [false, snapshotId])
  })

  for (const [name, payload] of [
    ['inline', SMALL],
    ['as an object', OBJECT],
  ] as const) {
    for (const key of ['idempotencyKey', 'snapshotId'] as const) {
      it(`is stored once ${name} under the same ${key}; other content is a conflict`, async () => {
        await using server = await startServer()
        const input = { runId: 'run', stepId: 'step', payload, [key]: randomUUID() }
        const first = await capture(server, input)
        const second = await capture(server, input)
        assert.deepEqual([first.created, second.created], [true, false])
        assert.deepEqual(second.snapshot, first.snapshot)
        for (const other of [{ payload: { other: 1 } }, { attempt: 2 }, { kind: 'ERROR' }, { metadata: 1 }]) {
          const answer = await server.graphql(CAPTURE, { input: { ...input, ...other } })
          assert.deepEqual(codesByPath(answer), { captureSnapshot: 'CONFLICT' })
        }
        assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 1)
        assert.equal((await payloadBytes(server, first.snapshot.snapshotId)).toString(), JSON.stringify(payload))
      })

      it(`is a conflict ${name} under the ${key} of a snapshot that was deleted`, async () => {
        await using server = await startServer()
        const input = { runId: 'run', stepId: 'step', payload, [key]: randomUUID() }
        const { snapshot } = await capture(server, input)
        await server.graphql('mutation($id: ID!) { deleteSnapshot(snapshotId: $id) { deleted } }', {
          id: snapshot.snapshotId,
        })
        const answer = await server.graphql(CAPTURE, { input })
        assert.deepEqual(codesByPath(answer), { captureSnapshot: 'CONFLICT' })
        assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 0)
      })
    }
  }

  it('fifty times at once is one row and one object, by its idempotencyKey', async () => {
    await using server = await startServer()
    await captureFiftyTimes(server, { runId: 'run', stepId: 'step', payload: LARGE, idempotencyKey: randomUUID() })
    assert.ok(await eventually(async () => (await filesBelow(server.storagePath)).length === 1))
    assert.ok(await eventually(async () => (await countRows(server.databaseUrl, 'statelens_objects')) === 1))
  })

  for (const key of ['idempotencyKey', 'snapshotId']) {
    it(`fifty times at once is one row inline, by its ${key}`, async () => {
      await using server = await startServer()
      await captureFiftyTimes(server, { runId: 'run', stepId: 'step', payload: SMALL, [key]: randomUUID() })
      assert.deepEqual(await filesBelow(server.storagePath), [])
      assert.equal(await countRows(server.databaseUrl, 'statelens_objects'), 0)
    })
  }

  it('is another snapshot in another step, another run, or without a key', async () => {
    await using server = await startServer()
    const input = { runId: 'run', stepId: 'step', payload: SMALL, idempotencyKey: 'key' }
    for (const other of [{}, { stepId: 'other' }, { stepId: null }, { runId: 'other' }, { idempotencyKey: null }]) {
      assert.equal((await capture(server, { ...input, ...other })).created, true)
    }
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 5)
  })

  it('takes a snapshotId in any case for the same', async () => {
    await using server = await startServer()
    const snapshotId = randomUUID()
    await capture(server, { runId: 'run', payload: SMALL, snapshotId })
    const again = await capture(server, { runId: 'run', payload: SMALL, snapshotId: snapshotId.toUpperCase() })
    assert.deepEqual([again.created, again.snapshot.snapshotId], [false, snapshotId])
  })
})

await describeWith('a capture that is repeated, into S3', s3, (service) => {
  it('fifty times at once is one row and one object, by its snapshotId', async () => {
    await using server = await startServer({ env: s3Env(service) })
    const snapshotId = randomUUID()
    const answer = await captureFiftyTimes(server, { runId: 'run', payload: LARGE, snapshotId })
    assert.ok(await eventually(async () => (await countRows(server.databaseUrl, 'statelens_objects')) === 1))
    const key = uriOf(answer).slice(`s3://${service.bucket}/`.length)
    const folder = key.slice(0, key.indexOf(snapshotId) + snapshotId.length)
    assert.deepEqual(await keysBelow(service, folder), [key])
  })
})

/** All fifty must get the same answer, and one of them be told that it created the snapshot. */
async function captureFiftyTimes(server: TestServer, input: object): Promise<CaptureAnswer> {
  const answers = await Promise.all(Array.from({ length: 50 }, () => capture(server, input)))
  const [first] = answers
  assert.ok(first)
  for (const { snapshot } of answers) assert.deepEqual(snapshot, first.snapshot)
  assert.equal(answers.filter(({ created }) => created).length, 1)
  assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 1)
  const live = await query<{ storage_uri: string }>(
    server.databaseUrl,
    "select storage_uri from statelens_objects where state = 'live'",
  )
  assert.deepEqual(
    live.map(({ storage_uri }) => storage_uri),
    first.snapshot.storageUri === null ? [] : [first.snapshot.storageUri],
  )
  return first
}

async function keysBelow(service: S3Service, prefix: string): Promise<string[]> {
  const client = new S3Client({
    region: service.region,
    endpoint: service.endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId: service.accessKey, secretAccessKey: service.secretKey },
  })
  const keys: string[] = []
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: service.bucket, Prefix: prefix })) {
    keys.push(...Contents.map(({ Key = '' }) => Key))
  }
  client.destroy()
  return keys
}
