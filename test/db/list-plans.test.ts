import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { loadNow } from '../../src/db/queries/audit.ts'
import { countDueStates, DUE_SOURCES, loadCandidates } from '../../src/db/queries/due.ts'
import { loadRunStats } from '../../src/db/queries/run-stats.ts'
import type { PageRequest } from '../../src/model/page.ts'
import { RUN_STATS_FIELDS } from '../../src/model/run.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { type ListOfMany, listsOfMany } from '../support/list-pages.ts'
import { fillMany, GIANT, type Scale } from '../support/many-rows.ts'
import { query } from '../support/rows.ts'
import { costOf } from '../support/rows-read.ts'

const SCALE: Scale = { runs: 15_000, snapshotsPerRun: 1, snapshotsOfGiant: 20_000 }
const SIZE = 20
const HUNDREDTH = 99 * SIZE
const FIRST: PageRequest = {
  size: SIZE,
  backward: false,
  after: null,
  before: null,
  wantsEnds: true,
  wantsTotal: false,
}

describe('what is read of many rows', () => {
  let database: FreshDatabase
  let db: Database

  before(async () => {
    database = await freshDatabase()
    await fillMany(database.url, SCALE)
    db = createDatabase({ url: database.url, maxConnections: 2 })
  })
  after(async () => {
    await db.close()
    await database.drop()
  })

  /** The first page and the hundredth, where there is one. */
  async function pagesOf(list: ListOfMany): Promise<readonly PageRequest[]> {
    const before = await list.read(db, { ...FIRST, size: HUNDREDTH, wantsEnds: false })
    const cursor = before.hasNextPage ? before.items.at(-1) : undefined
    return cursor ? [FIRST, { ...FIRST, after: cursor }] : [FIRST]
  }

  /** What is gathered is read from one index or two. */
  async function allowanceOf(list: ListOfMany): Promise<number> {
    if (!list.isGathered) return 0
    return 2 * (await list.read(db, { ...FIRST, size: SCALE.snapshotsOfGiant })).items.length
  }

  it('data 1.7, 1.17: a page reads at most ten rows for each of its own, first or hundredth, by any filter and order', async () => {
    const tooMuch: string[] = []
    for (const list of listsOfMany(SCALE)) {
      for (const page of await pagesOf(list)) {
        const { rows, result } = await costOf(db, (counted) => list.read(counted, page))
        if (rows > 10 * SIZE + (await allowanceOf(list)))
          tooMuch.push(`${list.name} after ${page.after}: ${rows} for ${result.items.length}`)
      }
    }
    assert.deepEqual(tooMuch, [])
  })

  it('a total reads at most ten rows for each that it counts, or that it would count', async () => {
    const tooMuch: string[] = []
    for (const list of listsOfMany(SCALE)) {
      const { rows, result } = await costOf(db, (counted) =>
        list.read(counted, { ...FIRST, size: 1, wantsTotal: true }),
      )
      const counted = result.totalCount ?? 1001
      if (rows > 10 * (counted + SIZE) + (await allowanceOf(list)))
        tooMuch.push(`${list.name}: ${rows} for ${result.totalCount}`)
    }
    assert.deepEqual(tooMuch, [])
  })

  it('data 1.7: a count of steps reads no snapshot, and golden states are counted without the others', async () => {
    for (const [field, count, most] of [
      ['stepCount', 2000, 2000],
      ['goldenCount', 3, 3],
      ['objectCount', 4, 4],
      ['snapshotCount', 20_000, 20_000],
    ] as const) {
      const fields = RUN_STATS_FIELDS.pick([field])
      const { rows, result } = await costOf(db, (counted) => loadRunStats(counted, { runIds: [GIANT], fields }))
      assert.deepEqual(result, [{ [field]: count }])
      assert.ok(rows <= most, `${field}: ${rows}`)
    }
  })

  it('what may be past its end is found by indexes, a page at a time, however much there is', async () => {
    await query(
      database.url,
      `update statelens_runs set updated_at = created_at, expires_at = case when run_id like '%3' then now() - interval '1 day' end`,
    )
    await query(
      database.url,
      "update state_snapshots set expires_at = now() - interval '1 day' where run_id like 'run-%'",
    )
    await query(
      database.url,
      `insert into statelens_steps (run_id, step_id, updated_at) select run_id, 'step', created_at from statelens_runs on conflict do nothing`,
    )
    await query(database.url, 'analyze')
    const cutoff = { at: await loadNow(db), days: 30 }
    const limit = 100
    const after = [(await loadCandidates(db, cutoff, { source: 'named', after: null, limit: 1000 })).next, null]
    for (const source of DUE_SOURCES) {
      // Behind the long run, whose states are counted one by one: it stays, for some of them are golden.
      for (const place of source === 'named' ? after : [['2025-12-31T12:00:00Z', GIANT] as const]) {
        const { rows, result } = await costOf(db, (counted) =>
          loadCandidates(counted, cutoff, { source, after: place, limit }),
        )
        // A run that names its end is none of the silent ones, and in their order all the same.
        const whole = result.candidates.filter(({ fate }) => fate === 'whole').length
        assert.ok(whole === limit || (source === 'silent' && whole > limit / 2), `${source}: ${whole}`)
        assert.ok(rows <= 12 * limit, `${source}: ${rows}`)
      }
    }
    const { rows, result } = await costOf(db, (counted) => countDueStates(counted, cutoff, { after: null, limit }))
    assert.equal(result.states, limit)
    assert.ok(rows <= 4 * limit, `states: ${rows}`)
  })
})
