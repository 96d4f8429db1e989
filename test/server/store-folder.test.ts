import assert from 'node:assert/strict'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { it } from 'node:test'
import { MARK } from '../../src/storage/file/mark.ts'
import { capture, codesOf, dataOf } from '../support/answers.ts'
import { send } from '../support/http.ts'
import { filesBelow } from '../support/objects.ts'
import { put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const LARGE = { SNAPSHOT_INLINE_MAX_BYTES: '0' }

async function readiness(server: TestServer): Promise<string> {
  // A look is kept for a second.
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const { body } = await send(server.url, { target: '/health/ready' })
  return JSON.parse(body.toString()).storage
}

const stateOf = async (server: TestServer, id: string) => {
  const [row] = await query(server.databaseUrl, 'select storage_state s from state_snapshots where id = $1', [id])
  return row?.['s']
}

const read = (id: string) => `{ snapshotById(snapshotId: "${id}") { payload } }`

it('a folder that is not mounted loses nothing and takes nothing, and all is there once it is back', async () => {
  await using server = await startServer({ env: LARGE })
  const { snapshotId } = storedOf(await put(server.url, '[1]'))
  const away = `${server.storagePath}-away`
  await rename(server.storagePath, away)
  await mkdir(server.storagePath)
  const missing = await server.graphql(read(snapshotId))
  assert.deepEqual(codesOf(missing), ['STORAGE_UNAVAILABLE'])
  assert.equal(missing.errors?.[0]?.extensions.retryable, undefined)
  assert.equal((await send(server.url, { target: `/snapshots/${snapshotId}/payload` })).status, 503)
  assert.equal((await put(server.url, '[2]', { stepId: 'other' })).status, 503)
  const verified = await server.graphql(`{ snapshotById(snapshotId: "${snapshotId}") { integrity(verify: true) } }`)
  assert.deepEqual(codesOf(verified), ['STORAGE_UNAVAILABLE'])
  assert.equal(await readiness(server), 'down')
  assert.notEqual(await stateOf(server, snapshotId), 'MISSING')
  assert.deepEqual(await filesBelow(server.storagePath), [])
  // A restart does not take the empty folder for a new one.
  await using next = await startServer({ env: LARGE, store: server })
  assert.equal((await put(next.url, '[3]')).status, 503)
  await rm(server.storagePath, { recursive: true })
  await rename(away, server.storagePath)
  assert.deepEqual(await dataOf(server.graphql(read(snapshotId))), { snapshotById: { payload: [1] } })
  assert.equal((await put(next.url, '[4]')).status, 201)
  assert.equal(await readiness(server), 'up')
})

it('of two servers with a folder each, the one that cannot see a state says so, and records nothing', async () => {
  await using server = await startServer({ env: LARGE })
  await using folder = await temporaryFolder()
  const { snapshot } = await capture(server, { runId: 'r', payload: [1] })
  await using other = await startServer({ env: LARGE, store: { ...server, storagePath: folder.path } })
  await assert.rejects(other.app.checkStorage(), { code: 'STORAGE_UNAVAILABLE', isRetryable: false })
  assert.deepEqual(codesOf(await other.graphql(read(snapshot.snapshotId))), ['STORAGE_UNAVAILABLE'])
  assert.equal((await put(other.url, '[2]')).status, 503)
  assert.notEqual(await stateOf(server, snapshot.snapshotId), 'MISSING')
  // One that keeps new objects elsewhere is held to the same.
  const s3 = { SNAPSHOT_STORAGE_BACKEND: 's3', S3_BUCKET: 'bucket', S3_ENDPOINT_URL: 'http://127.0.0.1:1' }
  await using third = await startServer({ env: s3, store: { ...server, storagePath: folder.path } })
  assert.deepEqual(codesOf(await third.graphql(read(snapshot.snapshotId))), ['STORAGE_UNAVAILABLE'])
  assert.notEqual(await stateOf(server, snapshot.snapshotId), 'MISSING')
})

it('a folder in which nothing has come to lie gives way to another one, and then for good', async () => {
  await using server = await startServer({ env: LARGE })
  await server.app.checkStorage()
  await using folder = await temporaryFolder()
  await using other = await startServer({ env: LARGE, store: { ...server, storagePath: folder.path } })
  await other.app.checkStorage()
  assert.equal((await put(server.url, '[1]')).status, 503, 'it has lost its place')
  assert.equal((await put(other.url, '[2]')).status, 201)
  await assert.rejects(server.app.checkStorage(), { code: 'STORAGE_UNAVAILABLE' })
  await query(server.databaseUrl, "update statelens_objects set state = 'doomed'")
  await assert.rejects(server.app.checkStorage(), { code: 'STORAGE_UNAVAILABLE' })
  assert.equal((await put(other.url, '[3]', { stepId: 'more' })).status, 201)
})

it('an object that is gone from the right folder is missing, as ever', async () => {
  await using server = await startServer({ env: LARGE })
  const { snapshotId } = storedOf(await put(server.url, '[1]'))
  for (const name of await filesBelow(server.storagePath)) await rm(`${server.storagePath}/${name}`)
  assert.deepEqual(codesOf(await server.graphql(read(snapshotId))), ['OBJECT_MISSING'])
})

it('servers that start at once on one folder agree on it', async () => {
  await using first = await startServer({ env: LARGE })
  const others = await Promise.all([1, 2, 3].map(() => startServer({ env: LARGE, store: first })))
  try {
    const answers = await Promise.all([first, ...others].map(({ url }, n) => put(url, '[1]', { stepId: `s${n}` })))
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201, 201, 201],
    )
  } finally {
    for (const other of others) await other[Symbol.asyncDispose]()
  }
})

it('a folder of before there were marks is taken; an empty one is not, where there are objects', async () => {
  await using server = await startServer({ env: LARGE })
  const { snapshotId } = storedOf(await put(server.url, '[1]'))
  await query(server.databaseUrl, 'delete from statelens_stores')
  await rm(`${server.storagePath}/${MARK}`)
  await using folder = await temporaryFolder()
  await using lost = await startServer({ env: LARGE, store: { ...server, storagePath: `${folder.path}/none` } })
  assert.equal((await put(lost.url, '[2]')).status, 503)
  await using next = await startServer({ env: LARGE, store: server })
  assert.equal((await put(next.url, '[2]')).status, 201)
  assert.deepEqual(await dataOf(next.graphql(read(snapshotId))), { snapshotById: { payload: [1] } })
  const [row] = await query(server.databaseUrl, 'select id from statelens_stores')
  assert.equal((await readFile(`${server.storagePath}/${MARK}`, 'utf8')).trim(), row?.['id'])
})

it('a mark that is none makes its folder another one', async () => {
  await using server = await startServer({ env: LARGE })
  assert.equal((await put(server.url, '[1]')).status, 201)
  await writeFile(`${server.storagePath}/${MARK}`, 'x')
  assert.equal((await put(server.url, '[1]')).status, 503)
})
