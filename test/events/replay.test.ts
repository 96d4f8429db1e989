import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type Live, snapshotIds, startLive } from '../support/live.ts'
import { query } from '../support/rows.ts'

const REPLAY = `subscription($runId: String!, $after: String, $speed: Float, $maxGapMs: Int) {
  replayRun(runId: $runId, after: $after, speed: $speed, maxGapMs: $maxGapMs) {
    __typename
    ... on SnapshotCaptured { cursor snapshot { snapshotId createdAt } }
    ... on CaughtUp { cursor }
    ... on RunEnded { cursor run { status } }
  }
}`

/** Milliseconds from each state to the next, as they were captured. */
const GAPS = [0, 1000, 2500, 400, 60_000, 0, 1500]
const OFF_MILLIS = 20

describe('the replay of a run', () => {
  let database: FreshDatabase
  let live: Live
  before(async () => {
    database = await freshDatabase()
    live = startLive({ databaseUrl: database.url })
    for (const [runId, status] of [
      ['ended', 'SUCCEEDED'],
      ['going on', 'RUNNING'],
    ]) {
      let at = Date.parse('2026-01-01T00:00:00Z')
      for (const gap of GAPS) {
        at += gap
        const values = [runId, new Date(at).toISOString()]
        await query(
          database.url,
          "insert into state_snapshots (run_id, snapshot, created_at) values ($1, '1', $2)",
          values,
        )
      }
      await query(database.url, 'update statelens_runs set status = $2 where run_id = $1', [runId, status])
    }
  })
  after(async () => {
    await live[Symbol.asyncDispose]()
    await database.drop()
  })

  async function play(variables: object) {
    const one = await live.subscribe(REPLAY, variables)
    const times: number[] = []
    const events = await one.until((received) => {
      if (received.event.__typename === 'SnapshotCaptured') times.push(performance.now())
      return received.isLast
    })
    assert.equal(await one.next(), undefined)
    return { events, times, ids: snapshotIds(events) }
  }

  /** Most milliseconds by which an event was off its time, as the first one sets it. */
  function offBy(times: readonly number[], { speed, maxGapMs }: { speed: number; maxGapMs: number }): number {
    let due = times[0] ?? 0
    const off = GAPS.map((gap, index) => {
      due += Math.min(gap / speed, maxGapMs)
      return Math.abs((times[index] ?? 0) - due)
    })
    return Math.max(...off)
  }

  it('has one event a state at its pace, for two clients at two speeds, and no longer gap than asked', async () => {
    const [fast, slow] = [
      { runId: 'ended', speed: 20, maxGapMs: 300 },
      { runId: 'ended', speed: 10, maxGapMs: 300 },
    ]
    // A machine that is busy may be late; what is wrong is wrong each time.
    for (let attempt = 1; ; attempt++) {
      const [one, other] = await Promise.all([play(fast), play(slow)])
      assert.equal(one.ids.length, GAPS.length)
      assert.deepEqual(one.ids, other.ids)
      assert.equal(one.events.at(-1)?.event.__typename, 'RunEnded')
      const off = Math.max(offBy(one.times, fast), offBy(other.times, slow))
      if (off < OFF_MILLIS) return
      assert.ok(attempt < 5, `${off} ms`)
    }
  })

  it('goes on behind its cursor, and ends where a run that goes on is', async () => {
    const whole = await play({ runId: 'going on', speed: 1000, maxGapMs: 0 })
    assert.equal(whole.events.at(-1)?.event.__typename, 'CaughtUp')
    const rest = await play({ runId: 'going on', speed: 1000, maxGapMs: 0, after: whole.events[2]?.cursor })
    assert.deepEqual(rest.ids, whole.ids.slice(3))
  })

  it('is refused at a pace that cannot be', async () => {
    for (const pace of [{ speed: 0 }, { speed: -1 }, { speed: 1e300 }, { maxGapMs: -1 }]) {
      const result = await live.ask(REPLAY, { runId: 'ended', ...pace })
      assert.ok('errors' in result)
      assert.deepEqual(
        result.errors?.map(({ extensions }) => extensions['code']),
        ['BAD_REQUEST'],
      )
    }
  })
})
