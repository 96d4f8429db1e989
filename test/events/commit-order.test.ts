import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import pg from 'pg'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { isCaughtUp, type Live, RUN_EVENTS, snapshotIds, startLive } from '../support/live.ts'

const INSERT = 'insert into state_snapshots (run_id, step_id, snapshot) values ($1, $2, $3) returning id'

describe('events of writers who commit in another order than they write', () => {
  let database: FreshDatabase
  let live: Live
  const clients: pg.Client[] = []

  async function writer(url = database.url): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    clients.push(client)
    return client
  }

  async function write(client: pg.Client, runId: string): Promise<string> {
    const { rows } = await client.query<{ id: string }>(INSERT, [runId, null, '1'])
    return rows[0]?.id ?? ''
  }

  before(async () => {
    database = await freshDatabase()
    live = startLive({ databaseUrl: database.url })
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end()))
  })
  after(async () => {
    await live[Symbol.asyncDispose]()
    await database.drop()
  })

  it('are told once each: writer A takes number 1, B takes 2 and commits, then A commits', async () => {
    const [a, b] = [await writer(), await writer()]
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'order' })
    await watcher.until(isCaughtUp)
    await a.query('begin')
    const first = await write(a, 'order')
    const second = await write(b, 'order')
    const ofB = await watcher.until(({ event }) => event.__typename === 'SnapshotCaptured')
    assert.deepEqual(snapshotIds(ofB), [second])
    await a.query('commit')
    const ofA = await watcher.until(({ event }) => event.__typename === 'SnapshotCaptured')
    assert.deepEqual(snapshotIds(ofA), [first])
    const third = await write(b, 'order')
    assert.deepEqual(snapshotIds(await watcher.until(({ event }) => event.__typename === 'SnapshotCaptured')), [third])
    await watcher.stream.return()
  })

  it('are told to who came back with a cursor from before the late commit', async () => {
    const [a, b] = [await writer(), await writer()]
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'late' })
    await watcher.until(isCaughtUp)
    await a.query('begin')
    const first = await write(a, 'late')
    await write(b, 'late')
    const [last] = (await watcher.until(({ event }) => event.__typename === 'SnapshotCaptured')).slice(-1)
    await watcher.stream.return()
    await a.query('commit')
    const again = await live.subscribe(RUN_EVENTS, { runId: 'late', after: last?.cursor })
    assert.deepEqual(snapshotIds(await again.until(isCaughtUp)), [first])
    await again.stream.return()
  })

  it('are not kept up by a writer that is open in another database of the cluster', async () => {
    await using other = await freshDatabase()
    const [far, near] = [await writer(other.url), await writer()]
    await far.query("begin; insert into statelens_runs (run_id) values ('far')")
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'near' })
    await watcher.until(isCaughtUp)
    const id = await write(near, 'near')
    assert.deepEqual(snapshotIds(await watcher.until(({ event }) => event.__typename === 'SnapshotCaptured')), [id])
    await watcher.stream.return()
    await far.end()
    clients.splice(clients.indexOf(far), 1)
  })

  it('leave out what a savepoint took back, and have what another one kept', async () => {
    const one = await writer()
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'savepoint' })
    await watcher.until(isCaughtUp)
    await one.query('begin; savepoint a')
    await write(one, 'savepoint')
    await one.query('rollback to a; savepoint b')
    const kept = await write(one, 'savepoint')
    await one.query('release b; commit')
    const last = await write(one, 'savepoint')
    const told = await watcher.until((received) => snapshotIds([received]).includes(last))
    assert.deepEqual(snapshotIds(told), [kept, last])
    await watcher.stream.return()
  })

  it('are all told of a transaction of 10,000 rows, and once', async () => {
    const one = await writer()
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'bulk' })
    await watcher.until(isCaughtUp)
    const insert = `insert into state_snapshots (run_id, snapshot, request_digest) select 'bulk', '1', '\\x00' from generate_series(1, 10000)`
    await one.query(insert)
    const end = await write(one, 'bulk')
    const ids = snapshotIds(await watcher.until((received) => snapshotIds([received]).includes(end)))
    assert.equal(ids.length, 10_001)
    assert.equal(new Set(ids).size, 10_001)
    await watcher.stream.return()
  })

  it('are once history and once news for whoever comes while writers commit', async () => {
    const writers = [await writer(), await writer(), await writer()]
    let isWriting = true
    const written: string[] = []
    const writing = writers.map(async (client, index) => {
      for (let i = 0; isWriting; i++) {
        await client.query('begin')
        const id = await write(client, 'joint')
        if ((i + index) % 3 === 0) await client.query('select pg_sleep(0.01)')
        await client.query('commit')
        written.push(id)
      }
    })
    const watchers = []
    for (let i = 0; i < 8; i++) watchers.push(await live.subscribe(RUN_EVENTS, { runId: 'joint' }))
    isWriting = false
    await Promise.all(writing)
    const [one] = writers
    const end = one ? await write(one, 'joint') : ''
    for (const watcher of watchers) {
      const ids = snapshotIds(await watcher.until((received) => snapshotIds([received]).includes(end)))
      assert.deepEqual(ids.toSorted(), [...written, end].toSorted())
      await watcher.stream.return()
    }
  })
})
