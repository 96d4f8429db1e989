import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { createDatabase } from '../../src/db/connect.ts'
import { readMoment } from '../../src/db/queries/changes.ts'
import { createCursorWriter } from '../../src/events/cursor.ts'
import { isEventStream } from '../../src/graphql/event-stream.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { isCaughtUp, type Live, type Received, RUN_EVENTS, snapshotIds, startLive } from '../support/live.ts'
import { insertForeign, query } from '../support/rows.ts'

const CURSOR = /^[\w-]{1,512}$/

async function codesOf(live: Live, text: string, variables: object): Promise<unknown[]> {
  const result = await live.ask(text, variables)
  assert.ok(!isEventStream(result), 'it began')
  assert.equal(result.data, undefined)
  return (result.errors ?? []).map(({ extensions }) => extensions['code'])
}

describe('a cursor of events', () => {
  let database: FreshDatabase
  let live: Live
  before(async () => {
    database = await freshDatabase()
    live = startLive({ databaseUrl: database.url })
    await query(
      database.url,
      "insert into state_snapshots (run_id, step_id, snapshot) select 'long', 'step ' || i % 3, '1' from generate_series(1, 450) i",
    )
  })
  after(async () => {
    await live[Symbol.asyncDispose]()
    await database.drop()
  })

  /** What a client gets that goes away after so many events, again and again. */
  async function inPieces(runId: string, size: number): Promise<Received[]> {
    const all: Received[] = []
    for (let cursor: string | undefined; ; cursor = all.at(-1)?.cursor) {
      const watcher = await live.subscribe(RUN_EVENTS, { runId, after: cursor })
      for (let i = 0; i < size; i++) {
        const received = await watcher.next()
        assert.ok(received && CURSOR.test(received.cursor) && received.event['cursor'] === received.cursor)
        all.push(received)
        if (isCaughtUp(received)) {
          await watcher.stream.return()
          return all
        }
      }
      await watcher.stream.return()
    }
  }

  it('has a client go on in the midst of history: each once, in order', async () => {
    const all = await inPieces('long', 37)
    const ids = snapshotIds(all)
    const stored = await query<{ id: string }>(
      database.url,
      "select id from state_snapshots where run_id = 'long' order by seq",
    )
    assert.deepEqual(
      ids,
      stored.map(({ id }) => id),
    )
    assert.equal(all.filter(({ event }) => event.__typename === 'StepUpdated').length, 3)
  })

  it('has a client that was away get what came meanwhile, and no more', async () => {
    const cursor = (await inPieces('long', 1000)).at(-1)?.cursor
    const id = await insertForeign(database.url, { runId: 'long', payload: '1' })
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'long', after: cursor })
    const events = await watcher.until(isCaughtUp)
    assert.deepEqual(snapshotIds(events), [id])
    await watcher.stream.return()
  })

  it('of what the wire carries counts in place of the argument', async () => {
    const cursor = (await inPieces('long', 1000)).at(-1)?.cursor ?? ''
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'long' }, { after: cursor })
    assert.equal((await watcher.until(isCaughtUp)).length, 1)
    await watcher.stream.return()
  })

  it('of another run, of other events, of no kind, or of 10 KB is refused', async () => {
    const cursor = (await inPieces('long', 1000)).at(-1)?.cursor ?? ''
    const replay = 'subscription($after: String) { replayRun(runId: "long", after: $after) { __typename } }'
    const runs = 'subscription($after: String) { runsUpdated(after: $after) { __typename } }'
    assert.deepEqual(await codesOf(live, RUN_EVENTS, { runId: 'other', after: cursor }), ['BAD_REQUEST'])
    assert.deepEqual(await codesOf(live, replay, { after: cursor }), ['BAD_REQUEST'])
    assert.deepEqual(await codesOf(live, runs, { after: cursor }), ['BAD_REQUEST'])
    for (const after of [
      '',
      'garbage',
      '\u0000',
      'x'.repeat(10_240),
      `${cursor}${'A'.repeat(10_240)}`,
      cursor.slice(0, 20),
    ]) {
      assert.deepEqual(await codesOf(live, RUN_EVENTS, { runId: 'long', after }), ['BAD_REQUEST'], after.slice(0, 20))
    }
    assert.equal(live.events.watching, 0)
  })

  it('of another cluster, or from a time that has not come, brings the history again', async () => {
    const db = createDatabase({ url: database.url })
    const { cluster, seen } = await readMoment(db)
    await db.close()
    const later = { end: seen.end + 1_000_000n, open: [] }
    for (const [name, end] of [
      ['another', seen],
      [cluster, later],
    ] as const) {
      const write = createCursorWriter({ scope: ['run', 'long'], cluster: name })
      const watcher = await live.subscribe(RUN_EVENTS, {
        runId: 'long',
        after: write({ place: { since: end, round: null }, wasThere: true }),
      })
      assert.ok(snapshotIds(await watcher.until(isCaughtUp)).length >= 450)
      await watcher.stream.return()
    }
  })

  it('has at most 512 characters with 40 writers open, and loses none of them', async () => {
    const writers: pg.Client[] = []
    const other = new pg.Client({ connectionString: database.url })
    await other.connect()
    for (let i = 0; i < 40; i++) {
      const client = new pg.Client({ connectionString: database.url })
      await client.connect()
      writers.push(client)
      await client.query("begin; insert into state_snapshots (run_id, snapshot) values ('crowd', '1')")
      // A number that is not open, between any two that are.
      await other.query("insert into state_snapshots (run_id, snapshot) values ('other crowd', '1')")
    }
    await other.end()
    await insertForeign(database.url, { runId: 'crowd', payload: '1' })
    const cursor = (await inPieces('crowd', 1000)).at(-1)?.cursor ?? ''
    assert.ok(cursor.length <= 512, String(cursor.length))
    await Promise.all(writers.map((client) => client.query('commit').then(() => client.end())))
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'crowd', after: cursor })
    assert.equal(new Set(snapshotIds(await watcher.until(isCaughtUp))).size, 40)
    await watcher.stream.return()
  })
})
