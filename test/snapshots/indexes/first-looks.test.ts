import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ITEMS, STATE } from '../../graphql/parts-fixture.ts'
import { codesByPath, dataOf } from '../../support/answers.ts'
import { type MemoryS3, startMemoryS3 } from '../../support/memory-s3.ts'
import { s3Env } from '../../support/objects.ts'
import { eventually, put, storedOf } from '../../support/put.ts'
import { countRows, insertForeign, query } from '../../support/rows.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const LOOK = 'query($id: ID!) { snapshotById(snapshotId: $id) { at(pointer: "/items") { childCount } } }'
const FOUND = { snapshotById: { at: { childCount: ITEMS } } }

describe('the first look into a state that has no index', () => {
  let store: MemoryS3
  let server: TestServer
  before(async () => {
    store = await startMemoryS3()
    server = await startServer({ env: s3Env(store.service) })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    store.beforeGet = () => {}
    store.requests.length = 0
  })

  async function foreign(bytes: Buffer): Promise<string> {
    const key = `${randomUUID()}.json`
    store.objects.set(key, bytes)
    return await insertForeign(server.databaseUrl, { storageUri: `s3://memory/${key}` })
  }

  const look = (id: string, asked: TestServer = server) => asked.graphql(LOOK, { id })
  const wholeReads = () => store.requests.filter((line) => /^GET [^ ]+$/.test(line)).length
  const indexes = () => countRows(server.databaseUrl, 'statelens_state_indexes')

  it('reads it to its end once for twenty who ask at the same time, and nobody has to again', async () => {
    const id = await foreign(STATE)
    const answers = await Promise.all(Array.from({ length: 20 }, () => dataOf(look(id))))
    assert.ok(answers.every((answer) => JSON.stringify(answer) === JSON.stringify(FOUND)))
    assert.equal(wholeReads(), 1)
    await using other = await startServer({ env: s3Env(store.service), store: server })
    assert.deepEqual(await dataOf(look(id, other)), FOUND)
    assert.equal(wholeReads(), 1, 'another process finds it in the database')
  })

  it('goes on without its caller, and the next one finds what it has done', async () => {
    const id = await foreign(STATE)
    const before = await indexes()
    const begun = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    store.beforeGet = () => {
      begun.resolve()
      return goOn.promise
    }
    const leaving = startLook(server.url, id)
    await begun.promise
    leaving.destroy()
    goOn.resolve()
    await eventually(async () => assert.equal(await indexes(), before + 1))
    store.requests.length = 0
    assert.deepEqual(await dataOf(look(id)), FOUND)
    assert.equal(wholeReads(), 0)
  })

  it('ends when nobody waits for it any more, and begins anew for the next', async () => {
    const limits = { leftMillis: 1, toldMillis: 1 }
    await using hurried = await startServer({ env: s3Env(store.service), store: server, passLimits: limits })
    const id = await foreign(STATE)
    for (const ask of [
      (origin: string) => {
        const leaving = startLook(origin, id)
        return () => leaving.destroy()
      },
      // Told to come again, which it does not.
      (origin: string) => {
        startLook(origin, id, { prefer: 'wait=0' }).on('response', (response) => response.resume())
        return () => {}
      },
    ]) {
      const begun = Promise.withResolvers<void>()
      store.beforeGet = () => {
        begun.resolve()
        return new Promise(() => {})
      }
      store.broken.length = 0
      const leave = ask(hurried.url)
      await begun.promise
      leave()
      await eventually(async () => assert.equal(store.broken.length, 1))
    }
    store.beforeGet = () => {}
    assert.deepEqual(await dataOf(look(id, hurried)), FOUND)
  })

  it('goes on while one of two who wait for it leaves', async () => {
    await using hurried = await startServer({
      env: s3Env(store.service),
      store: server,
      passLimits: { leftMillis: 1 },
    })
    const id = await foreign(STATE)
    const begun = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    store.beforeGet = () => {
      begun.resolve()
      return goOn.promise
    }
    const staying = look(id, hurried)
    await begun.promise
    const gone = once(startLook(hurried.url, id, { prefer: 'wait=0' }), 'response')
    const [response] = await gone
    response.resume()
    startLook(hurried.url, id).destroy()
    goOn.resolve()
    assert.deepEqual(await dataOf(staying), FOUND)
    assert.equal(wholeReads(), 1)
  })

  it('is waited for as long as the client would, and no longer', async () => {
    const id = await foreign(STATE)
    const goOn = Promise.withResolvers<void>()
    store.beforeGet = () => goOn.promise
    const ask = (prefer: string) =>
      fetch(`${server.url}/snapshots/${id}/value?pointer=/items/0`, { headers: { prefer } })
    const early = await ask('respond-async, wait=0')
    assert.equal(early.status, 504)
    const { code, progress } = (await early.json()) as { code: string; progress: object }
    assert.deepEqual([code, progress], ['STORAGE_TIMEOUT', { readBytes: 0, sizeBytes: null }])
    goOn.resolve()
    assert.equal((await ask('wait=100')).status, 200)
    assert.equal(wholeReads(), 1)
  })

  it('is told how far it is where it takes longer than a request waits, and may be asked again', async () => {
    await using impatient = await startServer({ env: s3Env(store.service), store: server, partsWaitMillis: 100 })
    const id = await foreign(STATE)
    const goOn = Promise.withResolvers<void>()
    store.beforeGet = () => goOn.promise
    const early = await look(id, impatient)
    assert.deepEqual(codesByPath(early), { 'snapshotById.at': 'STORAGE_TIMEOUT' })
    const { extensions } = early.errors?.[0] ?? {}
    assert.deepEqual([extensions?.retryable, extensions?.['progress']], [true, { readBytes: 0, sizeBytes: null }])
    goOn.resolve()
    await eventually(async () => assert.deepEqual(await dataOf(look(id, impatient)), FOUND))
    assert.equal(wholeReads(), 1)
  })

  it('is INVALID_PAYLOAD for what is not JSON, which is not read again to see that', async () => {
    const id = await foreign(Buffer.concat([STATE, Buffer.from('}')]))
    for (let i = 0; i < 2; i++) assert.deepEqual(codesByPath(await look(id)), { 'snapshotById.at': 'INVALID_PAYLOAD' })
    assert.equal(wholeReads(), 1)
  })

  it('is needed as well where an index of ours was lost, or is damaged', async () => {
    const { snapshotId: id } = storedOf(await put(server.url, STATE))
    for (const damage of [
      'delete from statelens_state_indexes',
      "update statelens_state_indexes set entries = overlay(entries placing '\\x00' from 40)",
      'update statelens_state_indexes set version = 0',
    ]) {
      await query(server.databaseUrl, damage)
      await using other = await startServer({ env: s3Env(store.service), store: server })
      assert.deepEqual(await dataOf(look(id, other)), FOUND, damage)
    }
  })
})

/** A look whose answer nobody reads. */
function startLook(origin: string, id: string, headers: Readonly<Record<string, string>> = {}) {
  const body = JSON.stringify({ query: LOOK, variables: { id } })
  const asking = request(`${origin}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers },
    agent: false,
  })
  asking.on('error', () => {}).end(body)
  return asking
}
