import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { after, describe, it } from 'node:test'
import {
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import pg from 'pg'
import { MARK } from '../../../src/storage/file/mark.ts'
import { eventually } from '../../contract/byte-cache.ts'
import { CAPTURE, capture, dataOf, payloadBytes } from '../../support/answers.ts'
import { freshDatabase } from '../../support/database.ts'
import { describeWith } from '../../support/describe-with.ts'
import { filesBelow, s3Env } from '../../support/objects.ts'
import { type RunningProcess, startProcess } from '../../support/process.ts'
import { countRows, isLockWaited, query } from '../../support/rows.ts'
import { startServer } from '../../support/server.ts'
import { type S3Service, s3 } from '../../support/services.ts'
import { sweepOnce } from '../../support/store.ts'
import { temporaryFolder } from '../../support/tmp.ts'

const INPUT = { runId: 'run', stepId: 'step', idempotencyKey: 'key', payload: { state: 'kept' } }

interface CrashStore extends AsyncDisposable {
  readonly databaseUrl: string
  readonly storagePath: string
  /** Where its objects go, if not to the folder. */
  readonly s3: S3Service | undefined
  /** The whole server as a process of its own, whose captures all become objects. */
  start(): { readonly server: RunningProcess; url(): Promise<string> }
  /** Keeps writers of the table waiting until it is let go; readers pass. */
  holdWrites(table: string): Promise<{ letGo(): Promise<void> }>
}

describe('a server that is killed', () => {
  it('after a capture was acknowledged still has it', async () => {
    await using store = await openCrashStore()
    const { server, url } = store.start()
    await using _killed = server
    const answer = await post(await url(), INPUT)
    await server.stop('SIGKILL')
    const { snapshotId } = JSON.parse(answer).data.captureSnapshot.snapshot
    await sweepOnce(store)
    await using again = await startServer({ store })
    assert.equal((await payloadBytes(again, snapshotId)).toString(), '{"state":"kept"}')
    const repeated = await capture(again, INPUT)
    assert.deepEqual([repeated.created, repeated.snapshot.snapshotId], [false, snapshotId])
  })

  it('while its row is being stored has it with its object, and the retry finds it', async () => {
    await using store = await openCrashStore()
    const { server, url } = store.start()
    await using _killed = server
    const address = await url()
    const held = await store.holdWrites('state_snapshots')
    const lost = assert.rejects(post(address, INPUT))
    assert.ok(
      await eventually(async () => (await filesBelow(store.storagePath)).some((path) => path.endsWith('.json'))),
    )
    assert.ok(await eventually(() => isLockWaited(store.databaseUrl)))
    await server.stop('SIGKILL')
    await lost
    await held.letGo()
    // One statement: the database does it to its end, whoever has left.
    assert.ok(await eventually(async () => (await countRows(store.databaseUrl, 'state_snapshots')) === 1))
    await sweepOnce(store)
    await using again = await startServer({ store })
    const { created, snapshot } = await capture(again, INPUT)
    assert.equal(created, false)
    assert.equal((await payloadBytes(again, snapshot.snapshotId)).toString(), '{"state":"kept"}')
  })

  it('in the middle of the bytes leaves a part of them that the sweeper takes', async () => {
    await using store = await openCrashStore()
    const { server, url } = store.start()
    await using _killed = server
    const request = httpRequest(`${await url()}/runs/run/steps/step/snapshot`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', 'content-length': 10_000_000 },
    })
    const broken = once(request, 'error')
    request.write(`["${'x'.repeat(3_000_000)}`)
    assert.ok(
      await eventually(async () => (await filesBelow(store.storagePath)).some((path) => path.endsWith('.partial'))),
    )
    await server.stop('SIGKILL')
    await broken
    await leavesNothing(store)
  })

  it('between the intent and the bytes leaves nothing but the intent', async () => {
    await using store = await openCrashStore()
    const { server, url } = store.start()
    await using _killed = server
    const address = await url()
    const held = await store.holdWrites('statelens_objects')
    const lost = assert.rejects(post(address, INPUT))
    assert.ok(await eventually(() => isLockWaited(store.databaseUrl)))
    await server.stop('SIGKILL')
    await lost
    await held.letGo()
    await leavesNothing(store)
  })
})

await describeWith('S3', s3, (service) => {
  describe('G17, D8, N5: a server that is killed while it sends the parts of a capture', () => {
    const { endpoint, region, accessKey, secretKey, bucket: Bucket } = service
    const admin = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    })
    after(() => admin.destroy())

    for (const [what, isNamed] of [
      ['whose upload is in the ledger', true],
      ['whose upload nobody had time to note', false],
    ] as const) {
      it(`${what} leaves no part, no object and no row, once a sweeper has passed`, async () => {
        await using store = await openCrashStore(service)
        const { server, url } = store.start()
        await using _killed = server
        const headers = { 'content-type': 'application/json' }
        const request = httpRequest(`${await url()}/runs/run/steps/step/snapshot`, { method: 'PUT', headers })
        const broken = once(request, 'error')
        request.write(`["${'x'.repeat(20_000_000)}`)
        const { Key, UploadId } = await partOf(store)
        await server.stop('SIGKILL')
        await broken
        if (!isNamed) await query(store.databaseUrl, 'update statelens_objects set multipart_id = null')
        await sweepOnce(store)
        const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }))
        assert.deepEqual(Uploads, [])
        await assert.rejects(admin.send(new ListPartsCommand({ Bucket, Key, UploadId })), isAbsent)
        const { Contents = [] } = await admin.send(new ListObjectsV2Command({ Bucket, Prefix: Key }))
        assert.deepEqual(Contents, [])
        assert.equal(await countRows(store.databaseUrl, 'statelens_objects'), 0)
        assert.equal(await countRows(store.databaseUrl, 'state_snapshots'), 0)
      })
    }

    function isAbsent(error: unknown): boolean {
      return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404
    }

    /** Waits for the first part that the store has of the one capture under way. */
    async function partOf({ databaseUrl }: CrashStore) {
      const place = { Bucket, Key: '', UploadId: '' }
      const hasPart = async () => {
        const [row] = await query<{ uri: string; id: string | null }>(
          databaseUrl,
          'select storage_uri as uri, multipart_id as id from statelens_objects',
        )
        if (!row?.id) return false
        Object.assign(place, { Key: row.uri.slice(`s3://${Bucket}/`.length), UploadId: row.id })
        return ((await admin.send(new ListPartsCommand(place))).Parts ?? []).length > 0
      }
      assert.ok(await eventually(hasPart, 20_000))
      return place
    }
  })
})

async function leavesNothing(store: CrashStore): Promise<void> {
  assert.equal(await countRows(store.databaseUrl, 'state_snapshots'), 0)
  // The transaction of the killed server ends when PostgreSQL notices that nobody is there.
  const swept = async () => {
    await sweepOnce(store)
    return (await countRows(store.databaseUrl, 'statelens_objects')) === 0
  }
  assert.ok(await eventually(swept))
  assert.deepEqual(await filesBelow(store.storagePath), [])
  await using again = await startServer({ store, env: { SNAPSHOT_INLINE_MAX_BYTES: '0' } })
  const { created, snapshot } = await capture(again, INPUT)
  assert.equal(created, true)
  // A mark that was not made to its end goes with the first object that is written.
  const names = await readdir(store.storagePath).catch(() => [])
  assert.deepEqual(
    names.filter((name) => name.startsWith(`${MARK}-`)),
    [],
  )
  const data = await dataOf(
    again.graphql('{ snapshot(runId: "run", stepId: "step", useCache: false) { snapshotId payload } }'),
  )
  assert.deepEqual(data, { snapshot: { snapshotId: snapshot.snapshotId, payload: INPUT.payload } })
}

async function openCrashStore(s3Service?: S3Service): Promise<CrashStore> {
  await using cleanup = new AsyncDisposableStack()
  const { url: databaseUrl } = cleanup.use(await freshDatabase())
  const { path: storagePath } = cleanup.use(await temporaryFolder())
  const owned = cleanup.move()
  const env = {
    DATABASE_URL: databaseUrl,
    SNAPSHOT_STORAGE_PATH: storagePath,
    SNAPSHOT_INLINE_MAX_BYTES: '0',
    PORT: '0',
    ...(s3Service && s3Env(s3Service)),
  }
  return {
    databaseUrl,
    storagePath,
    s3: s3Service,
    start() {
      const server = startProcess({ args: ['serve'], env })
      return { server, url: () => server.waitForUrl() }
    },
    async holdWrites(table) {
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      await client.query(`begin; lock table ${table} in exclusive mode`)
      return { letGo: () => client.end() }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function post(url: string, input: object): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ query: CAPTURE, variables: { input } })
  return await (await fetch(`${url}/graphql`, { method: 'POST', headers, body })).text()
}
