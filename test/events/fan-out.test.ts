import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import pg from 'pg'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import {
  isCaughtUp,
  type Live,
  type Received,
  RUN_EVENTS,
  type Subscriber,
  snapshotIds,
  startLive,
} from '../support/live.ts'
import { insertForeign, query } from '../support/rows.ts'

const insertMany = (url: string, runId: string, count: number) =>
  query(
    url,
    `insert into state_snapshots (run_id, snapshot, request_digest) select $1, '1', '\\x00' from generate_series(1, $2::int)`,
    [runId, count],
  )

const isNews = ({ event }: Received) => event.__typename === 'SnapshotCaptured'

interface Fields {
  readonly step: { readonly snapshot: object }
  readonly snapshot: { readonly payload: object }
}

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

function heapBytes(): number {
  collect()
  return process.memoryUsage().heapUsed
}

describe('many who watch', () => {
  let database: FreshDatabase
  let live: Live
  before(async () => {
    database = await freshDatabase()
    live = startLive({ databaseUrl: database.url })
  })
  after(async () => {
    await live[Symbol.asyncDispose]()
    await database.drop()
  })

  async function watchers(runId: string, count: number, text = RUN_EVENTS): Promise<Subscriber[]> {
    const all = await Promise.all(Array.from({ length: count }, () => live.subscribe(text, { runId })))
    for (const one of all) await one.until(isCaughtUp)
    return all
  }

  const leave = (all: readonly Subscriber[]) => Promise.all(all.map(({ stream }) => stream.return()))

  it('share one look at the database, and the bytes of those who ask for the same', async () => {
    const all = await watchers('shared', 40)
    live.statements.length = 0
    const id = await insertForeign(database.url, { runId: 'shared', payload: '1' })
    const told = await Promise.all(all.map((one) => one.until(isNews)))
    for (const events of told) assert.deepEqual(snapshotIds(events), [id])
    assert.equal(new Set(told.map((events) => events.at(-1)?.body)).size, 1)
    // Of the run and of the snapshot.
    assert.equal(live.statements.length, 2)
    await leave(all)
  })

  it('read what lies behind an event by one statement a level, however many events came together', async () => {
    const text = `subscription($runId: String!) { runEvents(runId: $runId) { __typename
      ... on SnapshotCaptured { snapshot { snapshotId run { status } step { name } previous { seq } } } } }`
    await query(
      database.url,
      "insert into state_snapshots (run_id, step_id, snapshot) select 'level', 's' || i, '1' from generate_series(1, 40) i",
    )
    live.statements.length = 0
    const [one] = await watchers('level', 1, text)
    // Where it begins, the history, what it holds by kinds; then runs, steps and neighbours of each fifty events.
    assert.ok(live.statements.length <= 11, String(live.statements.length))
    await leave(one ? [one] : [])
  })

  it('have everything of a run, a step and a state that a query has', async () => {
    const id = await insertForeign(database.url, { runId: 'fields', stepId: 's', payload: '{"n": 1}' })
    const text = `subscription($runId: String!) { runEvents(runId: $runId) { __typename
      ... on StepUpdated { step { id run { runId } snapshot { snapshotId } } }
      ... on SnapshotCaptured { snapshot { id snapshotId payload preview sizeBytes metadata integrity step { stepId } } } } }`
    const one = await live.subscribe(text, { runId: 'fields' })
    const events = await one.until(isCaughtUp)
    const [, step, captured] = events.map(({ event }) => event as unknown as Fields)
    assert.deepEqual(step?.step.snapshot, { snapshotId: id })
    assert.deepEqual(captured?.snapshot.payload, { n: 1 })
    for (const { errors } of events) assert.deepEqual(errors, [])
    await one.stream.return()
  })

  it('are not disturbed by one whose events fail', async () => {
    const failing =
      'subscription($runId: String!) { runEvents(runId: $runId) { __typename ... on SnapshotCaptured { snapshot { snapshotId payload(maxBytes: -1) } } } }'
    const [fine] = await watchers('failing', 1)
    const [broken] = await watchers('failing', 1, failing)
    const ids = [await insertForeign(database.url, { runId: 'failing', payload: '1' })]
    ids.push(await insertForeign(database.url, { runId: 'failing', payload: '2' }))
    const isSecond = (received: Received) => snapshotIds([received]).includes(ids[1] ?? '')
    const told = (await broken?.until(isSecond))?.filter(isNews) ?? []
    assert.deepEqual(snapshotIds(told), ids)
    for (const { errors } of told)
      assert.deepEqual(
        errors.map(({ extensions }) => extensions.code),
        ['BAD_REQUEST'],
      )
    assert.deepEqual(snapshotIds((await fine?.until(isSecond)) ?? []), ids)
    await leave([fine, broken].filter((one) => one !== undefined))
  })

  it('get the newest state of what changed often while they were behind, and every capture', async () => {
    const [one] = await watchers('behind', 1)
    await insertForeign(database.url, { runId: 'behind', stepId: 's', payload: '1' })
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    for (let i = 0; i < 30; i++) {
      await client.query("update statelens_steps set attempt = attempt + 1 where run_id = 'behind'")
      await client.query("insert into state_snapshots (run_id, step_id, snapshot) values ('behind', 's', '1')")
      await client.query('select pg_sleep(0.02)')
    }
    const end = await insertForeign(database.url, { runId: 'behind', payload: '1' })
    await client.end()
    // Once the last is in the ring, another one who watches has it.
    const [other] = await watchers('behind', 1)
    const marker = await insertForeign(database.url, { runId: 'behind', payload: '1' })
    await other?.until((received) => snapshotIds([received]).includes(marker))
    const events = (await one?.until((received) => snapshotIds([received]).includes(end))) ?? []
    assert.equal(snapshotIds(events).length, 32)
    assert.ok(events.filter(({ event }) => event.__typename === 'StepUpdated').length <= 2)
    await leave([one, other].filter((each) => each !== undefined))
  })

  it('who never read cost nothing: 4,000 events, and no more memory than the ring', async () => {
    await using small = startLive({ databaseUrl: database.url, maxEvents: 500 })
    const idle: Subscriber[] = []
    for (let i = 0; i < 50; i++) idle.push(await small.subscribe(RUN_EVENTS, { runId: 'heap' }))
    const reader = await small.subscribe(RUN_EVENTS, { runId: 'heap' })
    await reader.until(isCaughtUp)
    const heap: number[] = []
    for (let second = 0; second < 4; second++) {
      await insertMany(database.url, 'heap', 1000)
      const end = await insertForeign(database.url, { runId: 'heap', payload: '1' })
      await reader.until((received) => snapshotIds([received]).includes(end))
      heap.push(heapBytes())
    }
    const growth = (heap.at(-1) ?? 0) - (heap[1] ?? 0)
    // As answers that may be asked for again are kept: one for each of 50 who wait would be 100 MB.
    assert.ok(growth < 8_000_000, String(growth))
    // Who reads after all has missed none.
    const stored = await query<{ id: string }>(database.url, "select id from state_snapshots where run_id = 'heap'")
    const told = new Set<string>()
    await idle[0]?.until((received) => {
      for (const id of snapshotIds([received])) told.add(id)
      return told.size === stored.length
    })
  })

  it('are gone within a second of their going, though no event came: 2,000 of them', async () => {
    const all = await Promise.all(
      Array.from({ length: 2000 }, (_, i) => live.subscribe(RUN_EVENTS, { runId: `gone ${i % 50}` })),
    )
    await Promise.all(all.map((one) => one.until(isCaughtUp)))
    const waiting = all.map((one) => one.next())
    assert.equal(live.events.watching, 2000)
    const refs = all.map((one) => new WeakRef(one.stream))
    const began = performance.now()
    await leave(all.splice(0))
    assert.deepEqual(new Set(await Promise.all(waiting.splice(0))), new Set([undefined]))
    assert.ok(performance.now() - began < 1000)
    assert.equal(live.events.watching, 0)
    const left = () => refs.filter((ref) => ref.deref()).length
    for (let attempt = 0; left() > 1 && attempt < 10; attempt++) {
      // What was looked at stays until the next turn.
      await turn()
      collect()
    }
    assert.ok(left() <= 1, `${left()} are left`)
  })
})
