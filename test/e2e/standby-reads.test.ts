import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createLogger } from '../../src/log.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { send } from '../support/http.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type Pair, startPair } from '../support/standby.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'

const LIST = '{ runs(first: 100) { nodes { runId } } }'
const RUN = `query ($runId: String!) { run(runId: $runId) { runId latestSnapshot { seq payload } snapshots(first: 5) { totalCount } } }`
const STATE = `query ($runId: String!) {
  runs(first: 5, filter: { search: "every" }) { nodes { runId status tags { key value } stats { snapshotCount } } }
  snapshot(runId: $runId, stepId: "step") {
    payload preview run { runId steps(first: 5) { nodes { stepId snapshot { seq } } } }
    at(pointer: "/a") { value } find(text: "b") { nodes { excerpt } } diff { identical changes { nodes { op pointer } } }
    previous { seq } signedUrl download { url } integrity(verify: true)
  }
}`

async function healthOf(url: string): Promise<Record<string, unknown>> {
  return JSON.parse((await send(url, { target: '/health/ready' })).body.toString())
}

/** What a server that reads a standby logs beside its requests. */
function collect(): { readonly lines: string[]; readonly log: ReturnType<typeof createLogger> } {
  const lines: string[] = []
  return { lines, log: createLogger({ level: 'info', output: { write: (line) => void lines.push(line) } }) }
}

describe('reads from a standby', () => {
  let pair: Pair
  let folder: TemporaryFolder
  before(async () => {
    pair = await startPair()
    folder = await temporaryFolder()
  })
  after(async () => {
    await folder[Symbol.asyncDispose]()
    await pair[Symbol.asyncDispose]()
  })

  function serve(env: Record<string, string> = {}, log?: ReturnType<typeof createLogger>): Promise<TestServer> {
    const settings = { DATABASE_READ_URL: pair.standby.url, LOG_REQUESTS: 'false', ...env }
    return startServer({ store: { databaseUrl: pair.primary.url, storagePath: folder.path }, env: settings, log })
  }

  async function isRead({ url }: TestServer): Promise<void> {
    await eventually(async () => assert.equal((await healthOf(url))['standby'], 'up'))
  }

  it('has lists and states read there, and nothing written', async () => {
    const { lines, log } = collect()
    await using server = await serve({ SNAPSHOT_INLINE_MAX_BYTES: '1000' }, log)
    for (const body of ['{"a": 1}', JSON.stringify({ a: 'b'.repeat(2000) })]) {
      assert.equal((await put(server.url, body, { runId: 'everything' })).status, 201)
    }
    await isRead(server)
    await eventually(async () => {
      server.standbyStatements.length = 0
      await server.graphql(LIST)
      assert.equal(server.standbyStatements.length, 1)
    })
    server.statements.length = 0
    const { errors, data } = await server.graphql<{ snapshot: { download: { url: string } } }>(STATE, {
      runId: 'everything',
    })
    assert.equal(errors, undefined)
    assert.ok(server.standbyStatements.length >= 8)
    // What is left for the primary: what is known of objects, and what is noted.
    assert.deepEqual(
      server.statements.filter((text) => !/^\s*(update|insert)\b|\bfrom statelens_(objects|state_)/.test(text)),
      [],
    )
    assert.equal((await fetch(data.snapshot.download.url)).status, 200)
    assert.deepEqual(
      lines.filter((line) => line.includes('failed at the standby')),
      [],
    )
  })

  it('goes on at the primary while it is away, and at the standby while the primary is', async () => {
    const target = { host: '127.0.0.1', port: Number(new URL(pair.standby.url).port) }
    await using toStandby = await startFaultProxy(target)
    await using toPrimary = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(pair.primary.url).port) })
    const by = (url: string, port: number) => Object.assign(new URL(url), { port: String(port) }).href
    await using server = await startServer({
      store: { databaseUrl: by(pair.primary.url, toPrimary.port), storagePath: folder.path },
      env: { DATABASE_READ_URL: by(pair.standby.url, toStandby.port) },
    })
    await isRead(server)
    await server.graphql(LIST)
    toStandby.resetNow()
    await toStandby.refuse()
    for (let i = 0; i < 10; i++) assert.equal((await server.graphql(LIST)).errors, undefined)
    await eventually(async () => assert.deepEqual(partOf(await healthOf(server.url)), ['degraded', 'down']))
    await toStandby.heal()
    await isRead(server)
    // Statements that hang there are asked of the primary long before their time is over.
    toStandby.blackhole()
    const began = performance.now()
    assert.equal((await server.graphql(LIST)).errors, undefined)
    assert.ok(performance.now() - began < 5000)
    await toStandby.heal()
    await isRead(server)
    await toPrimary.refuse()
    toPrimary.resetNow()
    for (let i = 0; i < 5; i++) assert.equal((await server.graphql(LIST)).errors, undefined)
  })
})

function partOf({ status, standby }: Record<string, unknown>): readonly unknown[] {
  return [status, standby]
}

describe('reads from a standby that is five seconds behind', () => {
  it('show a writer what he wrote, others later, and health says how much', async () => {
    await using pair = await startPair({ recovery_min_apply_delay: '5s' })
    await using folder = await temporaryFolder()
    const store = { databaseUrl: pair.primary.url, storagePath: folder.path }
    const env = { DATABASE_READ_URL: pair.standby.url }
    await using writing = await startServer({ store, env })
    await using other = await startServer({ store, env })
    // The first commit of all: until it is shown, nothing else tells how far the standby is.
    await put(writing.url, '0', { runId: 'first' })
    const runsAt = async (url: string, headers = {}) => {
      const answer = await send(url, {
        method: 'POST',
        target: '/graphql',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ query: RUN, variables: { runId: 'mine' } }),
      })
      return JSON.parse(answer.body.toString()).data.run
    }
    await eventually(async () =>
      assert.notEqual((await other.graphql<{ run: unknown }>(RUN, { runId: 'first' })).data.run, null),
    )

    const captured = await put(writing.url, '[1.0]', { runId: 'mine' })
    const after = String(captured.headers['x-statelens-after'])
    assert.match(after, /^[0-9A-F]+\/[0-9A-F]+$/)
    const seen = await runsAt(writing.url)
    assert.deepEqual([seen.latestSnapshot.payload, seen.snapshots.totalCount], [[1], 1])
    assert.equal(await runsAt(other.url), null)
    assert.equal((await runsAt(other.url, { 'x-statelens-after': after })).runId, 'mine')
    const { snapshotId } = storedOf(captured)
    assert.equal((await send(writing.url, { target: `/snapshots/${snapshotId}/payload` })).body.toString(), '[1.0]')
    assert.equal((await send(other.url, { target: `/snapshots/${snapshotId}/payload` })).status, 404)

    // A mutation answers with what it wrote, and names it as well.
    const mutation = await send(writing.url, {
      method: 'POST',
      target: '/graphql',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: 'mutation { upsertRun(input: { runId: "mine", status: FAILED }) { status } }' }),
    })
    assert.deepEqual(JSON.parse(mutation.body.toString()).data, { upsertRun: { status: 'FAILED' } })
    assert.match(String(mutation.headers['x-statelens-after']), /\//)

    const lags: number[] = []
    await eventually(async () => {
      await delay(250)
      const health = await healthOf(other.url)
      assert.deepEqual(partOf(health), ['ready', 'up'])
      lags.push(Number(health['standbyLagSeconds']))
      assert.notEqual(await runsAt(other.url), null)
    })
    assert.ok(Math.max(...lags) > 2.5 && Math.max(...lags) < 20, String(lags))
    // Long behind, it is not read at all.
    await using strict = await startServer({ store, env: { ...env, DATABASE_READ_LAG_MAX_SECONDS: '1' } })
    await eventually(async () => assert.equal((await healthOf(strict.url))['standby'], 'up'))
    for (let i = 0; i < 20 && (await healthOf(strict.url))['standby'] === 'up'; i++) {
      await put(writing.url, '1', { runId: `more-${i}` })
      await delay(250)
    }
    assert.equal((await healthOf(strict.url))['standby'], 'behind')
    const { snapshotId: newest } = storedOf(await put(writing.url, '[2]', { runId: 'newest' }))
    assert.equal((await send(strict.url, { target: `/snapshots/${newest}/payload` })).status, 200)
    const target = `/snapshots/${newest}/payload`
    assert.equal((await send(strict.url, { target, headers: { 'x-statelens-after': 'x' } })).status, 400)
  })
})

describe('a standby that is promoted', () => {
  it('takes writes within five seconds, and reads never fail', async () => {
    await using pair = await startPair()
    await using folder = await temporaryFolder()
    const target = { host: '127.0.0.1', port: Number(new URL(pair.primary.url).port) }
    await using proxy = await startFaultProxy(target)
    const databaseUrl = Object.assign(new URL(pair.primary.url), { port: String(proxy.port) }).href
    await using server = await startServer({
      store: { databaseUrl, storagePath: folder.path },
      env: { DATABASE_READ_URL: pair.standby.url },
    })
    assert.equal((await put(server.url, '1', { runId: 'before' })).status, 201)
    await eventually(async () => assert.equal((await healthOf(server.url))['standby'], 'up'))
    await eventually(async () => {
      server.standbyStatements.length = 0
      await server.graphql(LIST)
      assert.equal(server.standbyStatements.length, 1)
    })
    target.port = Number(new URL(pair.standby.url).port)
    proxy.resetNow()
    await pair.primary.stop()
    assert.equal((await server.graphql(LIST)).errors, undefined)
    await query(pair.standby.url, 'select pg_promote()')
    const promotedAt = performance.now()
    let written = await put(server.url, '2', { runId: 'after' })
    while (written.status !== 201 && performance.now() - promotedAt < 5000) {
      await delay(20)
      written = await put(server.url, '2', { runId: 'after' })
    }
    assert.equal(written.status, 201)
    const { data } = await server.graphql<{ run: object | null }>(RUN, { runId: 'after' })
    assert.notEqual(data.run, null)
    // Both addresses lead to the same server now: reads there are as good as any.
    await eventually(async () => assert.deepEqual(partOf(await healthOf(server.url)), ['ready', 'up']))
  })
})
