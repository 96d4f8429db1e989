import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pg from 'pg'
import { requireMigrated } from '../../src/commands/open-database.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { migrate, pendingMigrations, planMigration } from '../../src/db/migrate.ts'
import { pageRuns } from '../../src/db/queries/run-lists.ts'
import { parsePage } from '../../src/model/page.ts'
import { RUN_FIELDS } from '../../src/model/run.ts'
import { capture, dataOf, payloadBytes } from '../support/answers.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { OLD_TABLES } from '../support/old-system.ts'
import { startProcess } from '../support/process.ts'
import { put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'

/** Takes back what migrations did that came with lists and deletions. */
const BEFORE_0005 = `
  drop table statelens_passes, statelens_deletions, statelens_run_tags, statelens_stores, statelens_state_keys,
    statelens_state_indexes;
  drop function statelens_give_up_object, statelens_replace_deleted_step, statelens_index_tags, statelens_next_seq, statelens_capture,
    statelens_mark_change cascade;
  alter table state_snapshots drop column changed_xid, drop column golden_source, drop column golden_metadata, drop column golden_at;
  alter table statelens_runs drop column changed_xid, drop column legal_hold;
  alter table statelens_steps drop column changed_xid, drop column updated_at;
  drop index state_snapshots_facets, state_snapshots_due, state_snapshots_run_expires, state_snapshots_kept, statelens_runs_errors, statelens_runs_workflow_text,
    statelens_runs_id_text, statelens_runs_due, statelens_uploads_refused_copies;
  create index statelens_runs_tags on statelens_runs using gin (tags jsonb_path_ops);
  delete from statelens_migrations where name >= '0005'`

const RUNS = 4500

/** A database as an earlier version left it, with runs that have tags. */
async function earlierDatabase(): Promise<FreshDatabase> {
  const database = await freshDatabase()
  await query(database.url, BEFORE_0005)
  await query(
    database.url,
    `insert into statelens_runs (run_id, tags) select 'run ' || i,
       (case when i % 3 = 0 then '[{"key":"a","value":"1"},{"key":"a","value":"1"},{"key":"b","value":"2"}]' else '[]' end)::jsonb
     from generate_series(1, $1::int) i`,
    [RUNS],
  )
  await query(database.url, "insert into state_snapshots (run_id, request_digest) values ('run 1', '\\x00')")
  return database
}

async function countTagged(url: string, value: string): Promise<number> {
  const db = createDatabase({ url })
  const page = { ...parsePage('any', { first: 0 }, []), size: RUNS, wantsEnds: false }
  const filter = { tags: [{ key: 'a', value }] }
  const { items } = await pageRuns(db, page, { filter, order: 'CREATED_DESC', fields: RUN_FIELDS.all })
  await db.close()
  return items.length
}

const INDEXES = "select indexdef from pg_indexes where schemaname = 'public' order by 1"

describe('a database of an earlier version', () => {
  it('data 1.17: gets the tags of its runs where lists find them, and the indexes of a new one', async () => {
    await using fresh = await freshDatabase()
    await using database = await earlierDatabase()
    const { pending } = await planMigration(database.url)
    assert.ok(pending.includes('index the tags of the runs that are there'))
    assert.ok(pending.includes('make the index state_snapshots_facets'))
    assert.deepEqual((await migrate(database.url)).applied, pending)
    assert.deepEqual(await pendingMigrations(database.url), [])
    assert.deepEqual(await migrate(database.url), { applied: [] })
    assert.equal(await countTagged(database.url, '1'), RUNS / 3)
    assert.deepEqual(await query(database.url, INDEXES), await query(fresh.url, INDEXES))
  })

  it('keeps no writer waiting meanwhile, and has the tags that were written last', async () => {
    await using database = await earlierDatabase()
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    const waits: number[] = []
    let isOver = false
    const migrating = migrate(database.url).finally(() => {
      isOver = true
    })
    for (let i = 3; !isOver; i = i >= RUNS ? 3 : i + 3) {
      const began = performance.now()
      await client.query(`update statelens_runs set tags = '[{"key":"a","value":"3"}]' where run_id = $1`, [`run ${i}`])
      waits.push(performance.now() - began)
    }
    await migrating
    const [row] = await query<{ count: number }>(
      database.url,
      `select count(*)::int from statelens_runs where tags @> '[{"value":"3"}]'`,
    )
    await client.end()
    assert.ok(Math.max(...waits) < 1000, String(Math.max(...waits)))
    assert.equal(await countTagged(database.url, '3'), row?.count)
    assert.equal(await countTagged(database.url, '1'), RUNS / 3 - (row?.count ?? 0))
  })

  it('goes on where it was broken off', async () => {
    await using database = await earlierDatabase()
    const stop = new AbortController()
    const stopped = migrate(database.url, {
      signal: stop.signal,
      onProgress: ({ step, done }) => step.startsWith('index the tags') && done > 0 && stop.abort(new Error('stopped')),
    })
    await assert.rejects(stopped, /stopped/)
    assert.deepEqual((await pendingMigrations(database.url))[0], 'index the tags of the runs that are there')
    await migrate(database.url)
    assert.equal(await countTagged(database.url, '1'), RUNS / 3)
  })
})

describe('data 1.18: a run id that no index holds', () => {
  it('is named where it stands in the way, and the migration goes on once it is gone', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, OLD_TABLES.second)
    await query(
      database.url,
      `insert into state_snapshots (run_id, snapshot) values
         ((select string_agg(md5(i::text), '') from generate_series(1, 150) i), '1'), ('short', '2')`,
    )
    await assert.rejects(migrate(database.url), { code: 'CONFLICT', message: /run_id or step_id of more than/ })
    await query(database.url, 'delete from state_snapshots where octet_length(run_id) > 1000')
    await migrate(database.url)
    assert.deepEqual(await pendingMigrations(database.url), [])
  })
})

/** What a later version may do while servers of this one run: it adds, and takes nothing away. */
const LATER = `
  alter table statelens_runs add column later_text text;
  alter table state_snapshots add column later_flag boolean not null default false;
  create index statelens_later on statelens_runs (later_text);
  create table statelens_later_things (id bigint generated always as identity);
  insert into statelens_migrations values ('9999-later', 'then')`

describe('a database of a later version', () => {
  it('is served on by a server that was there before, as while the replicas are replaced', async () => {
    await using server = await startServer()
    const before = await capture(server, { runId: 'run', stepId: 'step', payload: { at: 'first' } })
    await query(server.databaseUrl, LATER)
    const after = storedOf(await put(server.url, '{"at":"then"}', { runId: 'run', stepId: 'next' }))
    for (const [id, text] of [
      [before.snapshot.snapshotId, '{"at":"first"}'],
      [after.snapshotId, '{"at":"then"}'],
    ] as const)
      assert.equal((await payloadBytes(server, id)).toString(), text)
    const { run } = await dataOf(
      server.graphql<{ run: object }>(
        '{ run(runId: "run") { stats { snapshotCount } steps(first: 5) { totalCount } } }',
      ),
    )
    assert.deepEqual(run, { stats: { snapshotCount: 2 }, steps: { totalCount: 2 } })
    await dataOf(server.graphql('mutation { deleteRun(runId: "run") { deleted } }'))
    assert.equal((await fetch(`${server.url}/health/ready`)).status, 200)
  })

  it('is refused by one that starts, which names what it does not know and does not listen', async () => {
    await using database = await freshDatabase()
    await query(database.url, LATER)
    await assert.rejects(requireMigrated(database.url), { code: 'CONFLICT' })
    for (const command of ['serve', 'verify', 'migrate']) {
      await using started = startProcess({ args: [command], env: { PORT: '0', DATABASE_URL: database.url } })
      assert.deepEqual(await started.exited, { code: 1, signal: null }, command)
      const told = started.stdout() + started.stderr()
      assert.match(told, /newer statelens \(it has 9999-later\): use the version that migrated it/, command)
      assert.doesNotMatch(told, /listening|\n\s+at /, command)
    }
    // Whoever went back by a backup, or by hand, is served again.
    await query(database.url, "delete from statelens_migrations where name = '9999-later'")
    await requireMigrated(database.url)
  })
})
