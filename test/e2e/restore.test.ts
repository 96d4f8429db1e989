import assert from 'node:assert/strict'
import { cp, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { migrate } from '../../src/db/migrate.ts'
import { bytesOf, digestOf } from '../history/contents.ts'
import { capture, dataOf } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { type DumpablePostgres, startDumpablePostgres } from '../support/dumpable-postgres.ts'
import { send } from '../support/http.ts'
import { filesBelow } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { postgresTools } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const ENV = { SNAPSHOT_INLINE_MAX_BYTES: '4096' }
const DAY_MS = 86_400_000
const FOUND = 2

interface Kept {
  readonly snapshotId: string
  readonly digest: string
}

/** A database and the folder of its objects. */
interface Place {
  readonly databaseUrl: string
  readonly storagePath: string
}

await describeWith('a restore', postgresTools, (tools) => {
  it('of a dump, and of a later copy of the objects, has every state of the dump; verify and audit tell the rest', async () => {
    await using postgres = await startDumpablePostgres(tools)
    await using folder = await temporaryFolder()
    const from = { databaseUrl: await postgres.create('first'), storagePath: join(folder.path, 'objects') }
    const to = { databaseUrl: await postgres.create('second'), storagePath: join(folder.path, 'copy') }
    await migrate(from.databaseUrl)
    await using server = await startServer({ store: from, env: ENV })
    const kept = await captureMany(server)
    const gone = await captureOne(server, 100, 50_000)
    // The database first, while everything goes on.
    await postgres.dump('first', join(folder.path, 'dump'))
    const late = await captureOne(server, 200, 60_000)
    await deleteForGood(server, gone)
    await cp(from.storagePath, to.storagePath, { recursive: true, preserveTimestamps: true })
    await postgres.restore('second', join(folder.path, 'dump'))
    await haveAged(to.storagePath)

    await using restored = await startServer({ store: to, env: ENV })
    for (const state of kept) assert.deepEqual(await readBack(restored, state), { status: 200, digest: state.digest })
    // Deleted after the dump: its row is back, its bytes are not.
    assert.equal((await readBack(restored, gone)).status, 404)
    // Captured after the dump: nobody knows it, and its bytes lie there.
    assert.deepEqual(await dataOf(restored.graphql(`{ snapshotById(snapshotId: "${late.snapshotId}") { seq } }`)), {
      snapshotById: null,
    })
    const verified = await run(['verify'], to)
    assert.match(verified.text, new RegExp(`missing.*${gone.snapshotId}`, 'i'))
    assert.notEqual(verified.code, 0)
    const audited = await run(['audit', '--min-age', '1'], to)
    assert.match(audited.text, new RegExp(`ORPHAN +${late.snapshotId}`))
    assert.match(audited.text, new RegExp(`MISSING +${gone.snapshotId}`))
    assert.equal(audited.code, FOUND)
    await goesOn(restored)
  })

  it('of a dump that is newer than the copy lacks what came between, and verify and audit name it', async () => {
    await using postgres = await startDumpablePostgres(tools)
    await using folder = await temporaryFolder()
    const from = { databaseUrl: await postgres.create('first'), storagePath: join(folder.path, 'objects') }
    const to = { databaseUrl: await postgres.create('second'), storagePath: join(folder.path, 'copy') }
    await migrate(from.databaseUrl)
    await using server = await startServer({ store: from, env: ENV })
    const kept = await captureMany(server)
    await cp(from.storagePath, to.storagePath, { recursive: true })
    const between = await captureOne(server, 300, 60_000)
    await dumpAndRestore(postgres, folder.path)
    await using restored = await startServer({ store: to, env: ENV })
    for (const state of kept) assert.equal((await readBack(restored, state)).digest, state.digest)
    assert.equal((await readBack(restored, between)).status, 404)
    assert.match((await run(['verify'], to)).text, new RegExp(`missing.*${between.snapshotId}`, 'i'))
    assert.match((await run(['audit'], to)).text, new RegExp(`MISSING +${between.snapshotId}`))
  })
})

async function dumpAndRestore(postgres: DumpablePostgres, folder: string): Promise<void> {
  await postgres.dump('first', join(folder, 'dump'))
  await postgres.restore('second', join(folder, 'dump'))
}

async function captureOne(server: TestServer, number: number, sizeBytes: number): Promise<Kept> {
  const bytes = bytesOf({ number, sizeBytes })
  const { snapshotId } = storedOf(await put(server.url, bytes, { runId: `run ${number % 3}` }))
  return { snapshotId, digest: digestOf(bytes) }
}

/** In rows and in objects, and one with a key. */
async function captureMany(server: TestServer): Promise<readonly Kept[]> {
  const kept: Kept[] = []
  for (let number = 0; number < 12; number++) {
    kept.push(await captureOne(server, number, number % 2 === 0 ? 900 : 20_000 * number))
  }
  const { snapshot } = await capture(server, { runId: 'run 0', stepId: 'keyed', idempotencyKey: 'key', payload: [1] })
  return [...kept, { snapshotId: snapshot.snapshotId, digest: snapshot.digest }]
}

async function deleteForGood(server: TestServer, { snapshotId }: Kept): Promise<void> {
  await dataOf(server.graphql(`mutation { deleteSnapshot(snapshotId: "${snapshotId}") { deleted } }`))
  await eventually(async () => {
    assert.ok(!(await filesBelow(server.storagePath)).some((path) => path.includes(snapshotId)))
  })
}

/** What an audit is to call an orphan is older than what may be under way. */
async function haveAged(storagePath: string): Promise<void> {
  const then = new Date(Date.now() - 2 * DAY_MS)
  for (const path of await filesBelow(storagePath)) await utimes(join(storagePath, path), then, then)
}

async function readBack({ url }: TestServer, { snapshotId }: Kept) {
  const { status, body } = await send(url, {
    target: `/snapshots/${snapshotId}/payload`,
    headers: { host: 'localhost' },
  })
  return { status, digest: digestOf(body) }
}

/** Keys are still known, and new states come in behind the old ones. */
async function goesOn(server: TestServer): Promise<void> {
  const again = await capture(server, { runId: 'run 0', stepId: 'keyed', idempotencyKey: 'key', payload: [1] })
  assert.equal(again.created, false)
  const fresh = await captureOne(server, 400, 70_000)
  assert.deepEqual(await readBack(server, fresh), { status: 200, digest: fresh.digest })
}

async function run(args: readonly string[], { databaseUrl, storagePath }: Place) {
  await using command = startProcess({
    args,
    env: { DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath, ...ENV },
  })
  const { code } = await command.exited
  return { code, text: `${command.stdout()}${command.stderr()}` }
}
