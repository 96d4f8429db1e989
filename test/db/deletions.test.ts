import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pg from 'pg'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { deleteBatch, deleteRun, deleteSnapshot } from '../../src/db/queries/deletions.ts'
import { loadForVerification } from '../../src/db/queries/snapshot-findings.ts'
import { loadInlinePayloads } from '../../src/db/queries/snapshots.ts'
import { countRunsAndSteps, countSnapshots, findSamples } from '../../src/db/queries/survey.ts'
import { findCopySource } from '../../src/db/queries/uploads.ts'
import { parsePage } from '../../src/model/page.ts'
import { RUN_FIELDS, RUN_STATS_FIELDS } from '../../src/model/run.ts'
import { SNAPSHOT_METADATA } from '../../src/model/snapshot.ts'
import { STEP_FIELDS } from '../../src/model/step.ts'
import { createReader } from '../../src/snapshots/reader.ts'
import { sweepDeletions } from '../../src/snapshots/upkeep/deletion-sweep.ts'
import { eventually } from '../contract/byte-cache.ts'
import { countRows, insertForeign, isLockWaited, query } from '../support/rows.ts'
import { openStore, type TestStore } from '../support/store.ts'

const RUN = 'long run'
const TABLES = ['state_snapshots', 'statelens_steps', 'statelens_objects', 'statelens_deletions'] as const

/** Snapshots of one run, a quarter of them with objects, and as many steps as a tenth. */
async function fill({ databaseUrl }: TestStore, count: number): Promise<void> {
  await query(databaseUrl, 'insert into statelens_runs (run_id, tags) values ($1, $2)', [
    RUN,
    '[{"key":"k","value":"v"}]',
  ])
  await query(
    databaseUrl,
    `insert into state_snapshots (run_id, step_id, request_digest, payload, storage_uri, storage_state, size_bytes, content_digest,
       idempotency_key)
     select $1, 'step ' || i / 10, '\\x00', case when i % 4 > 0 then '1'::json end, case when i % 4 = 0 then 'file:///' || i end,
       'AVAILABLE', 1, sha256(i::text::bytea), 'key ' || i from generate_series(1, $2::int) i`,
    [RUN, count],
  )
  await query(
    databaseUrl,
    `insert into statelens_objects (storage_uri, snapshot_id, state, content_digest, size_bytes)
     select storage_uri, id, 'live', content_digest, 1 from state_snapshots where storage_uri is not null`,
  )
  await query(
    databaseUrl,
    'insert into statelens_steps (run_id, step_id, name) select distinct run_id, step_id, $1 from state_snapshots',
    ['of the first run'],
  )
}

async function remains({ databaseUrl }: TestStore): Promise<Record<string, number>> {
  return Object.fromEntries(
    await Promise.all(TABLES.map(async (table) => [table, await countRows(databaseUrl, table)])),
  )
}

/** The same database, where no statement may take longer. */
function impatient({ databaseUrl }: TestStore, millis: number): Database {
  return createDatabase({ url: `${databaseUrl}?statement_timeout=${millis}` })
}

describe('the delete of a long run', () => {
  it('data 1.5, faults N9: takes it away although no statement could, and is acknowledged before that', async () => {
    await using store = await openStore()
    await fill(store, 20_000)
    const db = impatient(store, 1000)
    const began = performance.now()
    assert.deepEqual(await deleteRun(db, RUN), { found: true, snapshotCount: null })
    assert.ok(performance.now() - began < 1000, 'acknowledged within a second')
    const { state_snapshots: left } = await remains(store)
    assert.ok(left !== undefined && left > 15_000, 'most rows are still there')
    assert.deepEqual(await deleteRun(db, RUN), { found: false, snapshotCount: 0 })
    await sweepDeletions({ db })
    assert.deepEqual(await remains(store), {
      state_snapshots: 0,
      statelens_steps: 0,
      statelens_objects: 5000,
      statelens_deletions: 0,
    })
    assert.equal(await countRows(store.databaseUrl, "statelens_objects where state = 'doomed'"), 5000)
    assert.equal(await countRows(store.databaseUrl, 'statelens_tombstones'), 20_000)
    assert.equal(await countRows(store.databaseUrl, 'statelens_run_tags'), 0)
    await db.close()
  })

  it('data 1.5: takes it out of every sight at once', async () => {
    await using store = await openStore()
    await fill(store, 1200)
    const { db } = store
    const rows = await query<{ id: string; seq: string }>(
      store.databaseUrl,
      'select id, seq from state_snapshots order by seq',
    )
    const ids = rows.map(({ id }) => id)
    const [last] = rows.slice(-1)
    assert.deepEqual(await deleteRun(db, RUN), { found: true, snapshotCount: 1200 })
    assert.equal((await remains(store))['state_snapshots'], 700)
    const reader = createReader(db)
    const page = { ...parsePage('any', { first: 10 }, []), wantsTotal: true }
    const nothing = { items: [], hasNextPage: false, hasPreviousPage: false, totalCount: 0 }
    const fields = SNAPSHOT_METADATA
    const key = { runId: RUN, stepId: 'step 100' }
    for (const [seen, expected] of [
      [reader.loadRuns([RUN], RUN_FIELDS.all), []],
      [reader.loadSteps([key], STEP_FIELDS.all), []],
      [reader.loadSnapshots(ids, fields), []],
      [reader.pageRuns(page, { filter: {}, order: 'CREATED_DESC', fields: RUN_FIELDS.all }), nothing],
      [reader.pageSteps([RUN], { page, fields: { step: STEP_FIELDS.all, newest: fields } }), [nothing]],
      [reader.pageSnapshots([{ runId: RUN }], { page, filter: {}, order: 'SEQ_ASC', fields }), [nothing]],
      [
        reader.pageSnapshots([{ runId: RUN }], { page, filter: { storageTier: 'OBJECT' }, order: 'SEQ_DESC', fields }),
        [nothing],
      ],
      [
        reader.pageSnapshots([{ runId: RUN }], {
          page,
          filter: { createdFrom: '2020-01-01' },
          order: 'SEQ_ASC',
          fields,
        }),
        [nothing],
      ],
      [reader.pageSnapshots([key], { page, filter: {}, order: 'SEQ_ASC', fields }), [nothing]],
      [
        reader.loadRunWithSteps(RUN, { page, run: RUN_FIELDS.all, fields: { step: STEP_FIELDS.all, newest: null } }),
        null,
      ],
      [
        reader.loadRunStats([RUN], RUN_STATS_FIELDS.all),
        [{ stepCount: 0, snapshotCount: 0, objectCount: 0, goldenCount: 0, totalBytes: 0 }],
      ],
      [reader.loadNewestOfSteps([key, { ...key, stepId: 'step 101' }], fields), [null, null]],
      [reader.loadNewestOfSteps([key], fields), [null]],
      [reader.loadNewestOfRuns([RUN], { point: {}, fields }), [null]],
      [reader.loadNewestOfRuns([RUN], { point: { at: '2100-01-01' }, fields }), [null]],
      [reader.loadNeighbours([{ runId: RUN, seq: last?.seq ?? '' }], { side: 'previous', fields }), [null]],
      [loadInlinePayloads(db, ids), new Map()],
      [loadForVerification(db, { afterSeq: 0, limit: 10 }), []],
      [findCopySource(db, { contentDigest: Buffer.alloc(32), sizeBytes: 1, uriPrefix: '' }), null],
      [countSnapshots(db), []],
      [countRunsAndSteps(db), { runs: 0, steps: 0 }],
      [findSamples(db, 100), new Map()],
    ] as const) {
      assert.deepEqual(await seen, expected)
    }
  })

  it('data 1.5: leaves what is captured for the same id from then on', async () => {
    await using store = await openStore()
    await fill(store, 1200)
    const { db, databaseUrl } = store
    await deleteRun(db, RUN)
    const writer = store.writer()
    const first = await writer.capture({ runId: RUN, stepId: 'step 100' }, Buffer.from('"new"'))
    await writer.upsertStep({ runId: RUN, stepId: 'step 101', kind: 'new' })
    const foreign = await insertForeign(databaseUrl, { runId: RUN, stepId: 'step 102', payload: '"foreign"' })
    const check = async () => {
      const reader = createReader(db)
      const page = parsePage('any', { first: 100 }, [])
      const options = { page, filter: {}, order: 'SEQ_ASC', fields: SNAPSHOT_METADATA } as const
      const [snapshots] = await reader.pageSnapshots([{ runId: RUN }], options)
      assert.deepEqual(
        snapshots?.items.map(({ snapshotId }) => snapshotId),
        [first.snapshot.snapshotId, foreign],
      )
      const [steps] = await reader.pageSteps([RUN], { page, fields: { step: STEP_FIELDS.all, newest: null } })
      const names = steps?.items.map(({ stepId, name, kind }) => [stepId, name, kind])
      assert.deepEqual(names, [
        ['step 100', null, null],
        ['step 101', null, 'new'],
        ['step 102', null, null],
      ])
      assert.equal((await reader.loadRuns([RUN], RUN_FIELDS.all))[0]?.tags.length, 0)
    }
    await check()
    await sweepDeletions({ db })
    await check()
    assert.deepEqual(await remains(store), {
      state_snapshots: 2,
      statelens_steps: 3,
      // The new one's, and those that are to be swept.
      statelens_objects: 301,
      statelens_deletions: 0,
    })
  })

  it('does not let a late retry bring a snapshot back, before its row is gone and after', async () => {
    await using store = await openStore()
    await fill(store, 1200)
    const { db, databaseUrl } = store
    const rows = await query<{ id: string; key: string }>(
      databaseUrl,
      'select id, idempotency_key as key from state_snapshots where storage_uri is null order by seq',
    )
    await deleteRun(db, RUN)
    const retry = async () => {
      const [gone, there] = [rows[0], rows.at(-1)]
      for (const row of [gone, there]) {
        const byId = { runId: RUN, snapshotId: row?.id ?? '' }
        await assert.rejects(store.writer().capture(byId, Buffer.from('1')), { code: 'CONFLICT' })
      }
      const byKey = { runId: RUN, stepId: 'step 119', idempotencyKey: 'key 1199' }
      await assert.rejects(store.writer().capture(byKey, Buffer.from('1')), { code: 'CONFLICT' })
    }
    await retry()
    await sweepDeletions({ db })
    await retry()
  })

  it('waits for rows that others hold, takes all the rest, and comes back for them', async () => {
    await using store = await openStore()
    await fill(store, 1200)
    const { db, databaseUrl } = store
    const holder = new pg.Client({ connectionString: databaseUrl })
    holder.on('error', () => {})
    await holder.connect()
    await holder.query('begin; select from state_snapshots where seq between 600 and 604 for update')
    await deleteRun(db, RUN)
    await sweepDeletions({ db })
    assert.deepEqual(await remains(store), {
      state_snapshots: 5,
      statelens_steps: 0,
      statelens_objects: 300,
      statelens_deletions: 1,
    })
    await holder.query('rollback')
    await holder.end()
    await query(databaseUrl, 'update statelens_deletions set not_before = now()')
    await sweepDeletions({ db })
    assert.deepEqual(await remains(store), {
      state_snapshots: 0,
      statelens_steps: 0,
      statelens_objects: 300,
      statelens_deletions: 0,
    })
  })

  it('I6, I8: is shared by several sweepers, and goes on where one was broken off', async () => {
    await using store = await openStore()
    await fill(store, 3000)
    const { db } = store
    await deleteRun(db, RUN)
    for (let batch = 0; batch < 3; batch++) assert.deepEqual(await deleteBatch(db, { limit: 100 }), { done: false })
    assert.equal((await remains(store))['state_snapshots'], 2200)
    const stopped = AbortSignal.abort()
    await sweepDeletions({ db, signal: stopped })
    await assert.rejects(deleteBatch(db, { limit: 1, signal: stopped }))
    assert.equal((await remains(store))['state_snapshots'], 2200)
    await Promise.all([1, 2, 3].map(() => sweepDeletions({ db })))
    // Who found it taken had nothing else to do.
    await sweepDeletions({ db })
    assert.equal((await remains(store))['state_snapshots'], 0)
  })

  it('of a short run leaves nothing for later', async () => {
    await using store = await openStore()
    await fill(store, 100)
    assert.deepEqual(await deleteRun(store.db, RUN), { found: true, snapshotCount: 100 })
    assert.deepEqual(await remains(store), {
      state_snapshots: 0,
      statelens_steps: 0,
      statelens_objects: 25,
      statelens_deletions: 0,
    })
  })
})

describe('the delete of a snapshot of which something is noted meanwhile', () => {
  for (const [what, change] of [
    ['that it was looked at', "update state_snapshots set integrity = 'VERIFIED'"],
    [
      'a digest, by which its row moves in every index',
      "update state_snapshots set content_digest = '\\x00', preview = 'other'",
    ],
  ] as const) {
    it(`is done, and says so: ${what}`, async () => {
      await using store = await openStore()
      await fill(store, 40)
      const { db, databaseUrl } = store
      const [row] = await query<{ id: string; uri: string }>(
        databaseUrl,
        'select id, storage_uri as uri from state_snapshots where storage_uri is not null order by seq limit 1',
      )
      const { id = '', uri = '' } = row ?? {}
      const reader = new pg.Client({ connectionString: databaseUrl })
      await reader.connect()
      await reader.query('begin')
      await reader.query(`${change} where id = $1`, [id])
      const deleting = deleteSnapshot(db, id)
      assert.ok(await eventually(() => isLockWaited(databaseUrl)))
      await reader.query('commit')
      await reader.end()
      assert.deepEqual(await deleting, { found: true, snapshotCount: 1 })
      assert.equal(await countRows(databaseUrl, `state_snapshots where id = '${id}'`), 0)
      assert.equal(await countRows(databaseUrl, `statelens_tombstones where snapshot_id = '${id}'`), 1)
      const doomed = `statelens_objects where storage_uri = '${uri}' and state = 'doomed'`
      assert.equal(await countRows(databaseUrl, doomed), 1)
    })
  }
})

describe('a row that another writer deletes', () => {
  it('data 2.1: gives its object up, and leaves those of others', async () => {
    await using store = await openStore()
    await fill(store, 40)
    const { databaseUrl } = store
    await query(
      databaseUrl,
      "delete from state_snapshots where storage_uri in ('file:///4', 'file:///8') or storage_uri is null",
    )
    const states = await query<{ uri: string }>(
      databaseUrl,
      "select storage_uri as uri from statelens_objects where state = 'doomed' order by 1",
    )
    assert.deepEqual(states, [{ uri: 'file:///4' }, { uri: 'file:///8' }])
    await insertForeign(databaseUrl, { runId: 'foreign', storageUri: 'file:///12' })
    await query(databaseUrl, "delete from state_snapshots where run_id = 'foreign'")
    assert.equal(await countRows(databaseUrl, "statelens_objects where state = 'doomed'"), 2)
  })

  it('data 2.1: needs no right on our tables for that', async () => {
    await using store = await openStore()
    await fill(store, 40)
    const { databaseUrl } = store
    const role = `retention_${process.pid}`
    await query(databaseUrl, `create role ${role}; grant select, delete on state_snapshots to ${role}`)
    try {
      await query(
        databaseUrl,
        `begin; set local role ${role}; delete from state_snapshots where storage_uri is not null; commit`,
      )
      assert.equal(await countRows(databaseUrl, "statelens_objects where state = 'doomed'"), 10)
    } finally {
      await query(databaseUrl, `drop owned by ${role}; drop role ${role}`)
    }
  })
})

describe('traces of deletions', () => {
  it('data 1.5: go after a day, a batch at a time', async () => {
    await using store = await openStore()
    await query(
      store.databaseUrl,
      `insert into statelens_tombstones (snapshot_id, run_id, deleted_at)
       select gen_random_uuid(), 'run', now() - i % 3 * interval '1 day' from generate_series(0, 2999) i`,
    )
    assert.deepEqual(await deleteBatch(store.db, { limit: 500 }), { done: false })
    assert.equal(await countRows(store.databaseUrl, 'statelens_tombstones'), 2500)
    await sweepDeletions({ db: store.db })
    assert.equal(await countRows(store.databaseUrl, 'statelens_tombstones'), 1000)
  })
})
