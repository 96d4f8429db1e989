import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { Redis } from 'iovalkey'
import { createValkeyCache } from '../../src/cache/valkey.ts'
import { behindProxy } from '../support/behind.ts'
import { describeWith } from '../support/describe-with.ts'
import { send } from '../support/http.ts'
import { startMemoryS3 } from '../support/memory-s3.ts'
import { s3Env } from '../support/objects.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { startServer } from '../support/server.ts'
import { valkey } from '../support/services.ts'
import { startScriptedValkey } from './scripted-valkey.ts'

const READ = 'query ($id: ID!) { snapshotById(snapshotId: $id) { payload } }'

describe('a cache that answers with an error', () => {
  it('F-4: is done without, keeps its connection, and is told of once', async () => {
    await using scripted = await startScriptedValkey()
    for (const [reply, word] of [
      ["-OOM command not allowed when used memory > 'maxmemory'.", 'OOM'],
      ['-READONLY You cannot write against a read only replica.', 'READONLY'],
      ['-LOADING Valkey is loading the dataset in memory', 'LOADING'],
      ['-NOAUTH Authentication required.', 'NOAUTH'],
      ['-MOVED 3999 127.0.0.1:1', 'MOVED'],
      ['-CLUSTERDOWN The cluster is down', 'CLUSTERDOWN'],
    ] as const) {
      const problems: string[] = []
      const onProblem = (problem: string) => problems.push(problem)
      const cache = createValkeyCache({ url: scripted.url, maxEntryBytes: 1000, ttlSeconds: 60, onProblem })
      await using _cache = { [Symbol.asyncDispose]: () => cache.close() }
      scripted.reply = '+PONG'
      await eventually(async () => assert.ok(await cache.isUp(), word))
      scripted.reply = reply
      scripted.asked = 0
      for (let turn = 0; turn < 20; turn++) {
        cache.set('key', Buffer.from('x'))
        assert.equal(await cache.get('key'), undefined, word)
      }
      assert.equal(problems.length, 1, problems.join())
      // READONLY has the connection made anew, to the primary: what is asked meanwhile is missed.
      if (word === 'READONLY') continue
      assert.match(problems[0] ?? '', new RegExp(`\\b${word}\\b`))
      // An answer in time says nothing against the connection.
      assert.ok(scripted.asked >= 20, `${word}: ${scripted.asked}`)
    }
  })
})

await describeWith('a shared cache', valkey, (service) => {
  it('F-5: that is emptied while it is read from costs a read or two of each object', async () => {
    await using store = await startMemoryS3()
    // Databases of one server do not see each other: only this test empties this one.
    const url = new URL(service.url)
    url.pathname = '/7'
    await using server = await startServer({
      env: { ...s3Env(store.service), SNAPSHOT_INLINE_MAX_BYTES: '10', VALKEY_URL: url.href },
    })
    const states = Array.from({ length: 5 }, (_, index) => `"${String(index).repeat(50_000)}"`)
    const ids = await Promise.all(
      states.map(async (state, index) => storedOf(await put(server.url, state, { stepId: `${index}` })).snapshotId),
    )
    const client = new Redis(url.href)
    using _client = { [Symbol.dispose]: () => client.disconnect() }
    const gets = () => store.requests.filter((line) => line.startsWith('GET')).length
    for (let round = 0; round < 4; round++) {
      await client.flushdb()
      store.requests.length = 0
      const reads = Array.from({ length: 60 }, async (_, index) => {
        const { body } = await send(server.url, { target: `/snapshots/${ids[index % 5]}/payload` })
        assert.equal(body.toString(), states[index % 5])
      })
      await Promise.all(reads)
      // One that comes while what was read is on its way into the cache reads it once more.
      assert.ok(gets() <= 2 * ids.length, `${gets()} reads of ${ids.length} objects`)
    }
  })

  for (const [how, break_] of [
    ['refuses', (proxy: { refuse(): Promise<void> }) => proxy.refuse()],
    ['says nothing', async (proxy: { blackhole(): void }) => proxy.blackhole()],
  ] as const) {
    it(`I13: that ${how} keeps no capture from being made, and none from being read`, async () => {
      await using behind = await behindProxy(service.url)
      await using server = await startServer({ env: { VALKEY_URL: behind.url, SNAPSHOT_INLINE_MAX_BYTES: '1000' } })
      await break_(behind.proxy)
      behind.proxy.resetNow()
      const works = Array.from({ length: 40 }, async (_, index) => {
        const state = `"${String(index % 10).repeat(index % 2 === 0 ? 10 : 100_000)}"`
        const { snapshotId } = storedOf(await put(server.url, state, { stepId: `${index}` }))
        const { data, errors } = await server.graphql(READ, { id: snapshotId })
        assert.equal(errors, undefined)
        assert.deepEqual(data, { snapshotById: { payload: JSON.parse(state) } })
      })
      await Promise.all(works)
    })
  }

  it('F-10: knows nothing of what was looked for before it was there', async () => {
    await using server = await startServer({ env: { VALKEY_URL: service.url, SNAPSHOT_INLINE_MAX_BYTES: '10' } })
    for (let turn = 0; turn < 10; turn++) {
      const id = randomUUID()
      const target = `/snapshots/${id}/payload`
      assert.deepEqual((await server.graphql(READ, { id })).data, { snapshotById: null })
      assert.equal((await send(server.url, { target })).status, 404)
      const input = { runId: 'r', stepId: 's', snapshotId: id, payload: `state ${id}` }
      const made = await server.graphql(
        'mutation ($input: CaptureSnapshotInput!) { captureSnapshot(input: $input) { created } }',
        { input },
      )
      assert.deepEqual(made.data, { captureSnapshot: { created: true } })
      assert.deepEqual((await server.graphql(READ, { id })).data, { snapshotById: { payload: `state ${id}` } })
      assert.equal((await send(server.url, { target })).body.toString(), `"state ${id}"`)
    }
  })
})
