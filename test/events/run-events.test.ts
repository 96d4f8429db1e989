import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { capture, dataOf } from '../support/answers.ts'
import { isCaughtUp, type Live, RUN_EVENTS, snapshotIds, startLive } from '../support/live.ts'
import { startServer, type TestServer } from '../support/server.ts'

const UPSERT_RUN = 'mutation($input: UpsertRunInput!) { upsertRun(input: $input) { runId } }'
const UPSERT_STEP = 'mutation($input: UpsertStepInput!) { upsertStep(input: $input) { stepId } }'

describe('the events of a run', () => {
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

  it('are its history, then that it is told, then what happens, until it ends', async () => {
    const runId = 'whole'
    await dataOf(server.graphql(UPSERT_RUN, { input: { runId, status: 'RUNNING' } }))
    const first = await capture(server, { runId, stepId: 'a', payload: 1 })
    const watcher = await live.subscribe(RUN_EVENTS, { runId })
    const history = await watcher.until(isCaughtUp)
    assert.deepEqual(
      history.map(({ event }) => event.__typename),
      ['RunUpdated', 'StepUpdated', 'SnapshotCaptured', 'CaughtUp'],
    )
    const second = await capture(server, { runId, stepId: 'a', payload: 2 })
    const live1 = await watcher.next()
    assert.deepEqual(
      [...snapshotIds(history), ...snapshotIds(live1 ? [live1] : [])],
      [first.snapshot.snapshotId, second.snapshot.snapshotId],
    )
    await dataOf(server.graphql(UPSERT_STEP, { input: { runId, stepId: 'a', status: 'SUCCEEDED' } }))
    assert.deepEqual((await watcher.next())?.event['step'], { stepId: 'a', status: 'SUCCEEDED' })
    await dataOf(server.graphql(UPSERT_RUN, { input: { runId, status: 'SUCCEEDED' } }))
    const end = await watcher.until(({ isLast }) => isLast)
    assert.deepEqual(
      end.map(({ event }) => event.__typename),
      ['RunUpdated', 'RunEnded'],
    )
    assert.equal(await watcher.next(), undefined)
    assert.equal(live.events.watching, 0)
  })
})
