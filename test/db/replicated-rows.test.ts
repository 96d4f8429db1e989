import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pg from 'pg'
import { lookAtRows } from '../../src/commands/doctor/rows.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { migrate, pendingMigrations, planMigration } from '../../src/db/migrate.ts'
import { dataOf } from '../support/answers.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { insertOldRow, OLD_TABLES } from '../support/old-system.ts'
import { eventually } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const TEXT = `{ run(runId: "fed") { runId } snapshot(runId: "fed", stepId: "s") { payload sizeBytes preview run { runId } } }`
const WHOLE = {
  run: { runId: 'fed' },
  snapshot: { payload: { n: 2 }, sizeBytes: 8, preview: '{"n": 2}', run: { runId: 'fed' } },
}
const INSERT = `insert into state_snapshots (run_id, step_id, snapshot) values ('fed', 's', '{"n": 2}')`
const STEP = 'complete the rows that came past the triggers'

async function adopted(shape: keyof typeof OLD_TABLES = 'second'): Promise<FreshDatabase> {
  const database = await freshDatabase({ template: 'empty' })
  await query(database.url, `${OLD_TABLES[shape]}; ${OLD_TABLES.steps}`)
  if (shape === 'second') await query(database.url, "insert into state_snapshots values ('a', 's', '1', null)")
  await migrate(database.url)
  return database
}

async function assertWhole(databaseUrl: string): Promise<void> {
  await using folder = await temporaryFolder()
  await using server = await startServer({ store: { databaseUrl, storagePath: folder.path } })
  assert.deepEqual(await dataOf(server.graphql(TEXT)), WHOLE)
}

async function warningsOf(url: string): Promise<readonly string[]> {
  const db = createDatabase({ url })
  const findings = await lookAtRows(db)
  await db.close()
  return findings.flatMap(({ mark, text }) => (mark === 'warn' ? [text] : []))
}

describe('rows that come by replication', () => {
  it('are whole at once, and so are steps', async () => {
    await using database = await adopted()
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query("set session_replication_role = 'replica'")
    await client.query(INSERT)
    await client.query("insert into workflow_steps (id, run_id, phase) values ('other', 'fed', 'plan')")
    await client.end()
    await assertWhole(database.url)
    const steps = await query(database.url, "select step_id, name from statelens_steps where run_id = 'fed' order by 1")
    assert.deepEqual(steps, [
      { step_id: 'other', name: 'plan' },
      { step_id: 's', name: null },
    ])
    assert.deepEqual((await planMigration(database.url)).pending, [])
  })

  it('come by a real subscription, and go by it', async (test) => {
    await using source = await freshDatabase({ template: 'empty' })
    await using database = await adopted('first')
    const [level] = await query<{ wal_level: string }>(source.url, 'show wal_level')
    if (level?.wal_level !== 'logical') return test.skip('the server of TEST_DATABASE_URL has not wal_level = logical')
    const name = new URL(source.url).pathname.slice(1, 60)
    await query(source.url, `${OLD_TABLES.first}; create publication fed for table state_snapshots`)
    await query(source.url, `select pg_create_logical_replication_slot('${name}', 'pgoutput')`)
    await using cleanup = new AsyncDisposableStack()
    cleanup.defer(async () => void (await query(database.url, `drop subscription if exists ${name}`)))
    await query(
      database.url,
      `create subscription ${name} connection '${source.url}' publication fed with (create_slot = false, slot_name = '${name}', copy_data = false)`,
    )
    await insertOldRow(source.url, { runId: 'fed', snapshot: '{"n": 2}' })
    const sized = (size: number) =>
      `select from statelens_runs r join state_snapshots s using (run_id) where run_id = 'fed' and size_bytes = ${size}`
    await eventually(async () => assert.equal((await query(database.url, sized(8))).length, 1))
    await query(source.url, `update state_snapshots set snapshot = '{"n": 333}'`)
    await eventually(async () => assert.equal((await query(database.url, sized(10))).length, 1))
  })

  it('before the triggers were fired always: are named, and completed by the next migration', async () => {
    await using database = await adopted()
    await query(
      database.url,
      `delete from statelens_migrations where name = '0009-replicated-rows'; comment on trigger statelens_complete_row on state_snapshots is null;
      alter table state_snapshots disable trigger user; ${INSERT}; insert into state_snapshots (run_id, snapshot) values ('a', '"known"');
      alter table state_snapshots enable trigger user`,
    )
    assert.deepEqual((await migrate(database.url)).applied, ['0009-replicated-rows', STEP])
    await assertWhole(database.url)
    assert.deepEqual(await query(database.url, 'select from state_snapshots where preview is null'), [])
    assert.deepEqual(await migrate(database.url), { applied: [] })
  })

  it('past triggers that were turned off: the doctor names them, migrate completes them, and a server starts meanwhile', async () => {
    await using database = await adopted()
    await query(
      database.url,
      `alter table state_snapshots disable trigger user; ${INSERT}; alter table state_snapshots enable always trigger statelens_complete_row`,
    )
    assert.match(
      (await warningsOf(database.url)).join(),
      /^1 run with rows that came past the triggers.*statelens migrate/,
    )
    assert.deepEqual(await pendingMigrations(database.url), [])
    assert.deepEqual((await migrate(database.url)).applied, [STEP])
    assert.deepEqual(await warningsOf(database.url), [])
    await assertWhole(database.url)
  })

  it('of a run that is being deleted bring it not back', async () => {
    await using database = await adopted()
    await query(
      database.url,
      `insert into statelens_deletions (run_id, seq, ordinal) select 'a', max(seq), 1000 from state_snapshots;
      delete from statelens_runs; comment on trigger statelens_complete_row on state_snapshots is null`,
    )
    await migrate(database.url)
    assert.deepEqual(await query(database.url, 'select run_id from statelens_runs'), [])
  })
})
