import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { ANYONE } from '../../src/auth/viewer.ts'
import { isEventStream } from '../../src/graphql/event-stream.ts'
import { capture, dataOf } from '../support/answers.ts'
import {
  createSubscriber,
  isCaughtUp,
  type Live,
  type Received,
  RUN_EVENTS,
  snapshotIds,
  startLive,
} from '../support/live.ts'
import { insertForeign } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const UPSERT_RUN = 'mutation($input: UpsertRunInput!) { upsertRun(input: $input) { runId } }'
const RUNS = `subscription($filter: RunFilter, $after: String) { runsUpdated(filter: $filter, after: $after) {
  __typename ... on RunUpdated { cursor run { runId status } } ... on CaughtUp { cursor } } }`

const runOf = ({ event }: Received) => event['run'] as { runId: string; status: string } | undefined

describe('who watches', () => {
  let server: TestServer
  let live: Live
  before(async () => {
    server = await startServer()
    live = startLive(server)
  })
  after(async () => {
    await live[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  const upsert = (input: object) => dataOf(server.graphql(UPSERT_RUN, { input }))

  it('is told in one process what was captured in another', async () => {
    await using other = startLive(server)
    const watchers = [
      await live.subscribe(RUN_EVENTS, { runId: 'two' }),
      await other.subscribe(RUN_EVENTS, { runId: 'two' }),
    ]
    const { snapshot } = await capture(server, { runId: 'two', payload: 1 })
    for (const watcher of watchers) {
      const events = await watcher.until((received) => snapshotIds([received]).length > 0)
      assert.deepEqual(snapshotIds(events), [snapshot.snapshotId])
    }
    await watchers[0]?.stream.return()
  })

  it('hears of runs that its filter lets through, as they are then, and after a break of those that changed', async () => {
    const filter = { status: ['RUNNING'], tags: [{ key: 'team', value: 'a' }], search: 'mine' }
    const watcher = await live.subscribe(RUNS, { filter })
    await watcher.until(isCaughtUp)
    const tags = [{ key: 'team', value: 'a' }]
    await upsert({ runId: 'mine 1', status: 'QUEUED', tags })
    await upsert({ runId: 'other', status: 'RUNNING', tags })
    await upsert({ runId: 'mine 2', status: 'RUNNING' })
    await upsert({ runId: 'mine 1', status: 'RUNNING' })
    const first = await watcher.next()
    assert.deepEqual(first && runOf(first), { runId: 'mine 1', status: 'RUNNING' })
    await watcher.stream.return()
    await upsert({ runId: 'mine 3', status: 'RUNNING', tags })
    const again = await live.subscribe(RUNS, { filter, after: first?.cursor })
    const events = await again.until(isCaughtUp)
    assert.deepEqual(
      events.flatMap((event) => runOf(event)?.runId ?? []),
      ['mine 3'],
    )
    await again.stream.return()
  })

  it('comes to the end when the run is deleted, and at once when it was', async () => {
    await capture(server, { runId: 'deleted', payload: 1 })
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'deleted' })
    const events = await watcher.until(isCaughtUp)
    await dataOf(server.graphql('mutation { deleteRun(runId: "deleted") { __typename } }'))
    const end = await watcher.until(({ isLast }) => isLast)
    assert.deepEqual(end.at(-1)?.event, { __typename: 'RunEnded', cursor: end.at(-1)?.cursor, run: null })
    const again = await live.subscribe(RUN_EVENTS, { runId: 'deleted', after: events.at(-1)?.cursor })
    assert.equal((await again.until(({ isLast }) => isLast)).at(-1)?.event['run'], null)
    assert.equal(live.events.watching, 0)
  })

  it('gets the history of a run that has ended, and its end', async () => {
    await capture(server, { runId: 'over', payload: 1 })
    await upsert({ runId: 'over', status: 'FAILED' })
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'over' })
    const events = await watcher.until(({ isLast }) => isLast)
    assert.deepEqual(
      events.map(({ event }) => event.__typename),
      ['RunUpdated', 'SnapshotCaptured', 'CaughtUp', 'RunEnded'],
    )
  })

  it('is told again while nothing happens that all is told, with a newer cursor', async () => {
    await using patient = startLive({ ...server, idleMillis: 300 })
    const watcher = await patient.subscribe(RUN_EVENTS, { runId: 'idle' })
    const [first] = await watcher.until(isCaughtUp)
    await insertForeign(server.databaseUrl, { runId: 'another', payload: '1' })
    const second = await watcher.next()
    assert.ok(second && first && isCaughtUp(second) && second.cursor !== first.cursor)
    await watcher.stream.return()
  })

  it('has every row of other writers, of replication, and of a copy that brings numbers of elsewhere', async () => {
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'rows' })
    await watcher.until(isCaughtUp)
    const client = new pg.Client({ connectionString: server.databaseUrl })
    await client.connect()
    const insert =
      "insert into state_snapshots (run_id, step_id, snapshot, changed_xid) values ('rows', 's', '1', $1::text::xid8) returning id"
    const ids: string[] = []
    for (const role of ['origin', 'replica']) {
      await client.query(`set session_replication_role = ${role}`)
      for (const xid of [null, '5', '999999999999'])
        ids.push((await client.query<{ id: string }>(insert, [xid])).rows[0]?.id ?? '')
      await client.query("update statelens_steps set name = $1, changed_xid = '7' where run_id = 'rows'", [role])
    }
    await client.end()
    const end = await insertForeign(server.databaseUrl, { runId: 'rows', payload: '1' })
    const events = await watcher.until((received) => snapshotIds([received]).includes(end))
    assert.deepEqual(snapshotIds(events).toSorted(), [...ids, end].toSorted())
    await watcher.stream.return()
  })

  it('is asked whether it may when it begins, and is turned away', async () => {
    await using strict = startLive({ ...server, mayWatch: (_viewer, runId) => runId === 'mine' })
    const refused = await strict.ask(RUN_EVENTS, { runId: 'theirs' })
    assert.ok('errors' in refused)
    assert.deepEqual(
      refused.errors?.map(({ extensions }) => extensions['code']),
      ['FORBIDDEN'],
    )
    const stream = await strict.ask(RUN_EVENTS, { runId: 'mine' }, { viewer: ANYONE })
    assert.ok(isEventStream(stream))
    await createSubscriber(stream).until(isCaughtUp)
    await stream.return()
  })

  it('and is asked again after a minute: then it ends with its failure', async (test) => {
    let isAllowed = true
    await using strict = startLive({ ...server, idleMillis: 50, mayWatch: () => isAllowed })
    const watcher = await strict.subscribe(RUN_EVENTS, { runId: 'revoked' })
    await watcher.until(isCaughtUp)
    isAllowed = false
    const { now } = performance
    test.mock.method(performance, 'now', () => now.call(performance) + 60_000)
    const [end] = (await watcher.until(({ isLast }) => isLast)).slice(-1)
    assert.deepEqual(
      end?.errors.map(({ extensions }) => extensions.code),
      ['FORBIDDEN'],
    )
    assert.equal(await watcher.next(), undefined)
    assert.equal(strict.events.watching, 0)
  })

  it('asks in one answer in vain, and for two things at once as well', async () => {
    const post = await server.graphql(RUN_EVENTS, { runId: 'x' })
    assert.deepEqual([post.status, post.errors?.map(({ extensions }) => extensions.code)], [406, ['BAD_REQUEST']])
    const again = await server.graphql(RUN_EVENTS, { runId: 'x' })
    assert.equal(again.status, 406)
    for (const text of [
      'subscription { a: runsUpdated { __typename } b: runsUpdated { __typename } }',
      'subscription { runsUpdated { __schema { description } } }',
      'subscription { runsUpdated @skip(if: true) { __typename } }',
    ]) {
      assert.ok('errors' in (await live.ask(text)), text)
    }
    const data = await live.ask('{ viewer: __typename }')
    assert.deepEqual('data' in data && { ...data.data }, { viewer: 'Query' })
  })
})
