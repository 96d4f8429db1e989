import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import pg from 'pg'
import { createDatabase } from '../../../src/db/connect.ts'
import { deleteRun, deleteSnapshot } from '../../../src/db/queries/deletions.ts'
import type { Expired } from '../../../src/db/queries/expiry.ts'
import { approveSnapshot, setLegalHold } from '../../../src/db/queries/holds.ts'
import { loadEndedPass, takeTurn } from '../../../src/db/queries/passes.ts'
import { AT_ONCE } from '../../../src/snapshots/upkeep/count-due.ts'
import { sweepDeletions } from '../../../src/snapshots/upkeep/deletion-sweep.ts'
import {
  RETENTION,
  type RetentionPassOptions,
  type RetentionReport,
  runRetention,
} from '../../../src/snapshots/upkeep/retention.ts'
import { createRetentionTimer } from '../../../src/snapshots/upkeep/retention-timer.ts'
import { eventually } from '../../contract/byte-cache.ts'
import { insertAged } from '../../support/aged.ts'
import { countRows, insertForeign, query } from '../../support/rows.ts'
import { openStore, type TestStore } from '../../support/store.ts'

async function pass(
  { db }: Pick<TestStore, 'db'>,
  options: Partial<RetentionPassOptions> = {},
): Promise<RetentionReport> {
  const usual = { db, days: null, maxPercent: 100, everySeconds: 0, pace: AT_ONCE, holder: randomUUID() }
  return await runRetention({ ...usual, signal: new AbortController().signal, ...options })
}

const runsOf = async ({ databaseUrl }: TestStore) =>
  (await query<{ run_id: string }>(databaseUrl, 'select run_id from statelens_runs order by 1')).map(
    ({ run_id }) => run_id,
  )

async function statesOf({ databaseUrl }: TestStore): Promise<Record<string, number>> {
  const rows = await query<{ run_id: string; count: number }>(
    databaseUrl,
    'select run_id, count(*)::int as count from state_snapshots group by 1 order by 1',
  )
  return Object.fromEntries(rows.map(({ run_id, count }) => [run_id, count]))
}

const doomed = ({ databaseUrl }: TestStore) => countRows(databaseUrl, "statelens_objects where state = 'doomed'")

describe('a pass of retention', () => {
  it('deletes runs that are past their expiresAt, with all that they have, and no others', async () => {
    await using store = await openStore()
    await insertAged(store.databaseUrl, { runId: 'past', states: 3, runExpires: -1 })
    await insertAged(store.databaseUrl, { runId: 'long', states: 1300, runExpires: -1 })
    await insertAged(store.databaseUrl, { runId: 'to come', states: 3, runExpires: 1 })
    await insertAged(store.databaseUrl, { runId: 'endless', states: 3, age: 1000 })
    const told: Expired[] = []
    const report = await pass(store, { onExpired: (expired) => told.push(...expired) })
    assert.deepEqual(
      [report.outcome, report.due.runs, report.due.states, report.deleted],
      ['done', 2, 1303, { runs: 2, states: 1303 }],
    )
    assert.deepEqual(told.map(({ runId, states, isRun }) => [runId, states, isRun]).sort(), [
      ['long', 1300, true],
      ['past', 3, true],
    ])
    assert.deepEqual(await runsOf(store), ['endless', 'to come'])
    await sweepDeletions(store)
    assert.deepEqual(await statesOf(store), { endless: 3, 'to come': 3 })
    assert.equal(await doomed(store), 1303)
    assert.equal(await countRows(store.databaseUrl, 'statelens_steps'), 2)
    assert.equal(await countRows(store.databaseUrl, 'statelens_deletions'), 0)
    assert.equal((await pass(store)).due.runs, 0)
  })

  it('deletes states that are past their own expiresAt, and leaves their run', async () => {
    await using store = await openStore()
    await insertAged(store.databaseUrl, { runId: 'a', states: 1200, stateExpires: -1 })
    await insertAged(store.databaseUrl, { runId: 'b', states: 2, stateExpires: 1, age: 5 })
    const report = await pass(store)
    assert.deepEqual([report.due.states, report.deleted], [1200, { runs: 0, states: 1200 }])
    assert.deepEqual(await statesOf(store), { b: 2 })
    assert.deepEqual(await runsOf(store), ['a', 'b'])
    assert.equal(await doomed(store), 1200)
  })

  it('RETENTION_DAYS: counts from the last sign of life, whichever it was, where a run names no end', async () => {
    await using store = await openStore()
    const { databaseUrl } = store
    for (const runId of ['silent', 'changed', 'step', 'captured', 'named']) {
      await insertAged(databaseUrl, { runId, states: 2, age: 31, ...(runId === 'named' ? { runExpires: 9 } : {}) })
    }
    await insertAged(databaseUrl, { runId: 'young', states: 2, age: 29 })
    await insertAged(databaseUrl, { runId: 'empty', states: 0, age: 31 })
    await query(databaseUrl, "update statelens_runs set updated_at = now() where run_id = 'changed'")
    await query(databaseUrl, "update statelens_steps set updated_at = now() where run_id = 'step'")
    await store.writer().capture({ runId: 'captured' }, Buffer.from('1'))
    const { deleted } = await pass(store, { days: 30 })
    assert.deepEqual(deleted, { runs: 2, states: 2 })
    assert.deepEqual(await runsOf(store), ['captured', 'changed', 'named', 'step', 'young'])
  })

  it('RETENTION_DAYS: a step that is told of, and a state, are signs of life by the clock of the database', async () => {
    await using store = await openStore()
    const writer = store.writer()
    await insertAged(store.databaseUrl, { runId: 'run', states: 1, age: 31 })
    // What a producer says of the time is not what it is judged by.
    await writer.upsertStep({ runId: 'run', stepId: 'step', startedAt: '2001-01-01T00:00:00Z' })
    assert.deepEqual((await pass(store, { days: 30 })).deleted, { runs: 0, states: 0 })
  })

  it('keeps golden states and the row of their run, and takes the others', async () => {
    await using store = await openStore()
    const { databaseUrl } = store
    await insertAged(databaseUrl, { runId: 'mixed', states: 600, runExpires: -1 })
    await insertAged(databaseUrl, { runId: 'own end', states: 3, stateExpires: -1, isGolden: true })
    const [chosen] = await query<{ id: string }>(
      databaseUrl,
      "select id from state_snapshots where run_id = 'mixed' limit 1",
    )
    assert.ok(await approveSnapshot(store.db, chosen?.id ?? '', { source: 'review', metadata: null }))
    const report = await pass(store)
    assert.deepEqual([report.due.runs, report.due.states, report.deleted], [0, 599, { runs: 0, states: 599 }])
    assert.deepEqual(await statesOf(store), { mixed: 1, 'own end': 3 })
    assert.deepEqual(await runsOf(store), ['mixed', 'own end'])
    const again = await pass(store)
    assert.deepEqual([again.due.states, again.deleted.states], [0, 0])
  })

  it('keeps a run for a state whose own end is to come', async () => {
    await using store = await openStore()
    await insertAged(store.databaseUrl, { runId: 'run', states: 2, age: 31 })
    await store.writer().capture({ runId: 'run', expiresAt: '2999-01-01T00:00:00Z' }, Buffer.from('1'))
    await query(store.databaseUrl, "update statelens_runs set expires_at = now() - interval '1 day'")
    assert.deepEqual((await pass(store)).deleted, { runs: 0, states: 2 })
    assert.deepEqual(await statesOf(store), { run: 1 })
  })

  it('takes nothing of a run under legal hold, until it is let go', async () => {
    await using store = await openStore()
    const { databaseUrl, db } = store
    await insertAged(databaseUrl, { runId: 'by its end', states: 2, runExpires: -1, hold: true })
    await insertAged(databaseUrl, { runId: 'by silence', states: 2, age: 31, hold: true })
    await insertAged(databaseUrl, { runId: 'by theirs', states: 2, stateExpires: -1, hold: true })
    const report = await pass(store, { days: 30 })
    assert.deepEqual([report.due, report.deleted.states], [{ runs: 0, states: 0, held: 2, foreign: 0 }, 0])
    assert.equal(await countRows(databaseUrl, 'state_snapshots'), 6)
    const [one] = await query<{ id: string }>(databaseUrl, "select id from state_snapshots where run_id = 'by its end'")
    await assert.rejects(deleteRun(db, 'by its end'), { code: 'CONFLICT' })
    await assert.rejects(deleteSnapshot(db, one?.id ?? ''), { code: 'CONFLICT' })
    assert.equal(await countRows(databaseUrl, 'state_snapshots'), 6)
    assert.equal((await setLegalHold(db, 'by its end', false))?.legalHold, false)
    assert.equal((await pass(store)).deleted.runs, 1)
    assert.equal(await setLegalHold(db, 'nobody', true), null)
  })

  it('leaves what another writer left, and its run, whatever the settings say', async () => {
    await using store = await openStore()
    const { databaseUrl } = store
    await insertForeign(databaseUrl, { runId: 'old', payload: '1', createdAt: '2001-01-01' })
    await insertAged(databaseUrl, { runId: 'both', states: 2, age: 31 })
    await insertForeign(databaseUrl, { runId: 'both', payload: '1', createdAt: '2001-01-01' })
    await query(databaseUrl, "update statelens_runs set created_at = '2001-01-01', updated_at = '2001-01-01'")
    await query(databaseUrl, "update state_snapshots set expires_at = '2002-01-01' where request_digest is null")
    await query(databaseUrl, "update statelens_steps set updated_at = '2001-01-01'")
    const report = await pass(store, { days: 1, isForced: true })
    assert.deepEqual([report.due.foreign, report.deleted], [2, { runs: 0, states: 0 }])
    assert.equal(await countRows(databaseUrl, 'state_snapshots'), 4)
  })

  it('I9: deletes nothing where that is more than its share, of runs or of states, unless it is forced', async () => {
    await using store = await openStore()
    const { databaseUrl } = store
    for (let n = 0; n < 8; n++) await insertAged(databaseUrl, { runId: `kept ${n}`, states: 1 })
    await insertAged(databaseUrl, { runId: 'past', states: 2, runExpires: -1 })
    await insertAged(databaseUrl, { runId: 'big', states: 10, runExpires: -1 })
    const look = await pass(store, { maxPercent: 20 })
    assert.deepEqual([look.outcome, look.due.runs, look.due.states], ['too many', 2, 12])
    assert.deepEqual(
      [look.totals, look.deleted],
      [
        { runs: 10, states: 20 },
        { runs: 0, states: 0 },
      ],
    )
    assert.equal(await countRows(databaseUrl, 'statelens_runs'), 10)
    assert.equal((await pass(store, { maxPercent: 59 })).outcome, 'too many')
    assert.equal((await pass(store, { maxPercent: 19, isDryRun: true })).outcome, 'too many')
    const dry = await pass(store, { maxPercent: 60, isDryRun: true })
    assert.deepEqual([dry.outcome, dry.due.runs, dry.deleted.runs], ['done', 2, 0])
    assert.equal((await pass(store, { maxPercent: 60 })).deleted.runs, 2)
    await insertAged(databaseUrl, { runId: 'more', states: 9, stateExpires: -1 })
    assert.equal((await pass(store, { maxPercent: 1 })).outcome, 'too many')
    assert.deepEqual((await pass(store, { maxPercent: 1, isForced: true })).deleted, { runs: 0, states: 9 })
  })

  it('I8: of 10,000 states that is broken off is gone on with, and ends with none of them', async () => {
    await using store = await openStore()
    await insertAged(store.databaseUrl, { runId: 'states', states: 4000, stateExpires: -1, isInline: true })
    for (let n = 0; n < 20; n++) {
      await insertAged(store.databaseUrl, { runId: `run ${n}`, states: 300, runExpires: -1, isInline: true })
    }
    let left = 10_000
    for (let passes = 0; passes < 100 && left > 0; passes++) {
      const over = new AbortController()
      let batches = 0
      const breaking = pass(store, {
        signal: over.signal,
        onExpired: () => ++batches === 8 && over.abort(new Error('killed')),
      })
      await breaking.catch((error) => assert.equal(error.message, 'killed'))
      await sweepDeletions(store)
      const now = await countRows(store.databaseUrl, 'state_snapshots')
      assert.ok(now < left)
      left = now
    }
    assert.equal(left, 0)
    assert.deepEqual(await runsOf(store), ['states'])
  })

  it('I6: is one at a time of all processes; a turn whose holder was killed passes on', async () => {
    await using store = await openStore()
    const { db, databaseUrl } = store
    await insertAged(databaseUrl, { runId: 'past', states: 2, runExpires: -1 })
    assert.notEqual(await takeTurn(db, { name: RETENTION, holder: randomUUID() }, 0), null)
    assert.equal((await pass(store)).outcome, 'busy')
    assert.deepEqual(await runsOf(store), ['past'])
    await query(databaseUrl, 'update statelens_passes set held_until = now()')
    const reports = await Promise.all(Array.from({ length: 4 }, () => pass(store, { everySeconds: 3600 })))
    assert.deepEqual(reports.map(({ outcome }) => outcome).sort(), ['busy', 'busy', 'busy', 'done'])
    assert.equal((await pass(store, { everySeconds: 3600 })).outcome, 'busy')
    assert.deepEqual((await loadEndedPass(db, RETENTION))?.report['deleted'], { runs: 1, states: 2 })
  })

  it('I6: that lost its turn ends, and one that goes on beside another deletes nothing twice', async () => {
    await using store = await openStore()
    await insertAged(store.databaseUrl, { runId: 'states', states: 2000, stateExpires: -1 })
    let told = 0
    const first = pass(store, {
      onExpired: () => void query(store.databaseUrl, 'update statelens_passes set held_until = now()'),
      pace: { ...AT_ONCE, rest: 1 },
    }).then(
      ({ deleted }) => deleted.states,
      () => 0,
    )
    await eventually(async () => (await pass(store, { onExpired: (some) => (told += some.length) })).outcome !== 'busy')
    await first
    assert.equal(await countRows(store.databaseUrl, 'state_snapshots'), 0)
    assert.equal(await countRows(store.databaseUrl, 'statelens_tombstones'), 2000)
    assert.equal(await doomed(store), 2000)
  })

  it('waits for nobody: what a capture, a writer or a hold is at is left for a later pass', async () => {
    await using store = await openStore()
    const { databaseUrl } = store
    for (const runId of ['captured', 'changed', 'free']) await insertAged(databaseUrl, { runId, runExpires: -1 })
    await insertAged(databaseUrl, { runId: 'held', states: 3, stateExpires: -1 })
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await using cleanup = new AsyncDisposableStack()
    cleanup.defer(() => client.end())
    await client.query('begin')
    await client.query("select pg_advisory_xact_lock_shared(hashtextextended('captured', 0))")
    await client.query("update statelens_runs set workflow_name = 'x' where run_id = 'changed'")
    await client.query("update statelens_runs set legal_hold = true where run_id = 'held'")
    assert.deepEqual((await pass(store)).deleted, { runs: 1, states: 1 })
    await client.query('commit')
    assert.deepEqual((await pass(store)).deleted, { runs: 2, states: 2 })
    assert.deepEqual(await statesOf(store), { held: 3 })
  })

  it('is done in time although a statement has little of it', async () => {
    await using store = await openStore()
    await insertAged(store.databaseUrl, { runId: 'huge', states: 12_000, stateExpires: -1, isInline: true })
    const db = createDatabase({ url: `${store.databaseUrl}?statement_timeout=1000` })
    assert.equal((await pass({ db })).deleted.states, 12_000)
    await db.close()
  })
})

describe('retention of a server', () => {
  it('passes by itself, tells of each run, and of too much once', async () => {
    await using store = await openStore()
    await insertAged(store.databaseUrl, { runId: 'past', states: 2, runExpires: -1 })
    const told: unknown[] = []
    let [tooMany, woken] = [0, 0]
    const start = (maxPercent: number) =>
      createRetentionTimer({
        db: store.db,
        days: null,
        maxPercent,
        sweeper: { wake: () => void woken++ },
        everySeconds: 0,
        lookSeconds: 0.01,
        onExpired: (expiry) => told.push(expiry),
        onTooMany: () => void tooMany++,
        onProblem: (error) => assert.fail(String(error)),
      })
    const careful = start(1)
    await eventually(async () => tooMany > 0)
    const passes = async () => (await loadEndedPass(store.db, RETENTION))?.endedAt
    const first = await passes()
    await eventually(async () => (await passes()) !== first)
    await careful.stop()
    assert.equal(tooMany, 1)
    const timer = start(100)
    await eventually(async () => told.length > 0)
    await timer.stop()
    assert.deepEqual(told, [{ runId: 'past', states: 2, isRun: true }])
    assert.equal(woken, 1)
  })
})
