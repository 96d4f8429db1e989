import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pg from 'pg'
import { lookAtDatabase } from '../../src/commands/doctor/database.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { migrate, pendingMigrations, planMigration } from '../../src/db/migrate.ts'
import { capture, dataOf, payloadBytes } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { insertOldRow, OLD_TABLES } from '../support/old-system.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** All that a schema consists of, in words, without the order in which it was made. */
const SHAPE = `
  select 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
    || coalesce(column_default, '') as part from information_schema.columns where table_schema = 'public'
  union all select 'index ' || indexdef from pg_indexes where schemaname = 'public'
  union all select 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 'public'::regnamespace
  union all select 'migration ' || name from statelens_migrations
  order by 1`

async function shapeOf(url: string): Promise<string[]> {
  return (await query<{ part: string }>(url, SHAPE)).map(({ part }) => part)
}

describe('migrate', () => {
  it('makes the tables of an empty database, names what it applied, and changes nothing the second time', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    const pending = await pendingMigrations(database.url)
    assert.ok(pending.length > 0)
    assert.deepEqual((await migrate(database.url)).applied, pending)
    const shape = await shapeOf(database.url)
    assert.deepEqual(await pendingMigrations(database.url), [])
    assert.deepEqual(await migrate(database.url), { applied: [] })
    assert.deepEqual(await shapeOf(database.url), shape)
  })

  it('is safe to run several times at once', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    const pending = await pendingMigrations(database.url)
    const reports = await Promise.all(Array.from({ length: 5 }, () => migrate(database.url)))
    assert.deepEqual(
      reports.flatMap(({ applied }) => applied),
      pending,
    )
  })

  it('says that it waits for another one', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query("select pg_advisory_lock(hashtextextended('statelens migrate', 1))")
    const { promise: waits, resolve } = Promise.withResolvers<string>()
    const migrating = migrate(database.url, { onProgress: ({ step }) => resolve(step) })
    assert.match(await waits, /^wait/)
    await client.end()
    assert.ok((await migrating).applied.length > 0)
  })

  it('keeps what is stored when it is run again', async () => {
    await using database = await freshDatabase()
    await using folder = await temporaryFolder()
    const store = { databaseUrl: database.url, storagePath: folder.path }
    await using server = await startServer({ store })
    const { snapshot } = await capture(server, { runId: 'run', payload: { kept: true } })
    await migrate(database.url)
    assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), '{"kept":true}')
  })

  it('leaves nothing half done when it fails', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, 'create table statelens_tombstones (in_the_way int)')
    const before = await pendingMigrations(database.url)
    await assert.rejects(migrate(database.url))
    assert.deepEqual(await pendingMigrations(database.url), before)
    const tables = await query<{ name: string }>(
      database.url,
      "select table_name as name from information_schema.tables where table_name ~ '^(state_snapshots|statelens_runs)$'",
    )
    assert.deepEqual(tables, [])
    await query(database.url, 'drop table statelens_tombstones')
    assert.deepEqual((await migrate(database.url)).applied, before)
  })

  it('fails with a code where there is no database, and tells neither its address nor its password', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    const url = new URL(database.url)
    const { password } = url
    await database.drop()
    for (const work of [migrate, pendingMigrations]) {
      await assert.rejects(work(database.url), (error: Error & { code: string }) => {
        assert.equal(error.code, 'DATABASE_UNAVAILABLE')
        assert.ok(!error.message.includes(password) && !error.message.includes(url.pathname.slice(1)))
        return true
      })
    }
  })
})

/** The same database, where another schema is looked at first. */
function withSearchPath(url: string, path: string): string {
  const result = new URL(url)
  result.searchParams.set('options', `-c search_path=${path}`)
  return result.href
}

describe('data 1.14: migrate', () => {
  it('names a database of a newer version in one sentence, as a server and the doctor do, and changes nothing', async () => {
    await using database = await freshDatabase()
    await query(database.url, "insert into statelens_migrations values ('9999-from-the-future', 'then')")
    const shape = await shapeOf(database.url)
    for (const work of [migrate, pendingMigrations, planMigration]) {
      await assert.rejects(work(database.url), (error: Error & { code: string }) => {
        assert.equal(error.code, 'CONFLICT')
        assert.match(
          error.message,
          /^The database is that of a newer statelens \(it has 9999-from-the-future\): [^.]+\.$/,
        )
        return true
      })
    }
    const db = createDatabase({ url: database.url })
    const { findings, isReadable } = await lookAtDatabase(db, database.url)
    await db.close()
    assert.deepEqual([isReadable, findings.map(({ mark }) => mark)], [false, ['ok', 'wrong']])
    assert.match(findings[1]?.text ?? '', /newer statelens/)
    assert.deepEqual(await shapeOf(database.url), shape)
  })

  it('makes its tables in a second schema, whatever there is in the first', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, 'create schema a; create schema b')
    for (const schema of ['a', 'b']) {
      const url = withSearchPath(database.url, schema)
      assert.ok((await pendingMigrations(url)).length > 0)
      await migrate(url)
      assert.deepEqual(await pendingMigrations(url), [])
      await using folder = await temporaryFolder()
      await using server = await startServer({ store: { databaseUrl: url, storagePath: folder.path } })
      await capture(server, { runId: `of ${schema}`, payload: 1 })
    }
    const runs = await query(
      database.url,
      'select run_id from a.statelens_runs union all select run_id from b.statelens_runs',
    )
    assert.deepEqual(runs, [{ run_id: 'of a' }, { run_id: 'of b' }])
  })

  it('adopts an old table that is not in the first schema of the search path, beside it', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, `${OLD_TABLES.first}; create schema first`)
    await insertOldRow(database.url, { runId: 'old', snapshot: '{"old":1}' })
    const url = withSearchPath(database.url, 'first,public')
    const planned = (await planMigration(url)).pending
    assert.deepEqual((await migrate(url)).applied, planned)
    const tables = await query<{ name: string }>(
      database.url,
      "select oid::regclass::text as name from pg_class where relname ~ '^statel?ens_' and relkind in ('r', 'S') and relnamespace <> 'public'::regnamespace",
    )
    assert.deepEqual(tables, [])
    await insertOldRow(url, { runId: 'new', snapshot: '{"new":1}' })
    await insertOldRow(database.url, { runId: 'other path', snapshot: '2' })
    await using folder = await temporaryFolder()
    await using server = await startServer({ store: { databaseUrl: url, storagePath: folder.path } })
    await capture(server, { runId: 'own', stepId: 'step', payload: 1 })
    const { runs } = await dataOf<{ runs: { edges: { node: { runId: string } }[] } }>(
      server.graphql('{ runs { edges { node { runId latestSnapshot { payload } } } } }'),
    )
    assert.deepEqual(runs.edges.map(({ node }) => node.runId).toSorted(), ['new', 'old', 'other path', 'own'])
  })

  it('names the right that is missing to do so, before anything changes', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    const role = `owner_${process.pid}`
    await query(
      database.url,
      `${OLD_TABLES.first}; create role ${role} login password 'x'; alter table state_snapshots owner to ${role};
      revoke create on schema public from public`,
    )
    const url = new URL(database.url)
    url.username = role
    url.password = 'x'
    try {
      const { problems } = await planMigration(url.href)
      assert.deepEqual(problems, ['The user may not make tables: grant CREATE on the schema public.'])
      await assert.rejects(migrate(url.href), { code: 'CONFLICT', message: /grant CREATE on the schema public/ })
    } finally {
      await query(database.url, `drop owned by ${role}; drop role ${role}`)
    }
  })
})

describe('the tables', () => {
  it('take the insert of the old writer and give the select of the old reader what it expects', async () => {
    await using server = await startServer()
    const url = server.databaseUrl
    const id = '5f0c3a52-0f5e-4d5e-9d4b-6a8f2f9f1a11'
    await query(
      url,
      `insert into state_snapshots (id, run_id, is_success_state, created_at, pii_tags, redaction_policy, replay_safe,
        content_digest, storage_uri, snapshot)
       values ($1, 'an old run', true, '2020-02-02T02:02:02Z', '{email}', 'mask', true, '\\x00ff', null, '{"b":1,"a":[2]}')`,
      [id],
    )
    await query(
      url,
      `insert into state_snapshots (run_id, step_id, snapshot, storage_uri) values ('old', 's', '[]', null)`,
    )
    const rows = await query(
      url,
      'select run_id, is_success_state, pii_tags, redaction_policy, replay_safe, storage_uri, snapshot from state_snapshots where id = $1',
      [id],
    )
    assert.deepEqual(rows, [
      {
        run_id: 'an old run',
        is_success_state: true,
        pii_tags: ['email'],
        redaction_policy: 'mask',
        replay_safe: true,
        storage_uri: null,
        snapshot: { b: 1, a: [2] },
      },
    ])
    const text = `{ snapshotById(snapshotId: "${id}") { runId stepId attempt kind isSuccessState isGolden piiTags
      redactionPolicy replaySafe createdAt storageTier storageState sizeBytes preview payload } }`
    assert.deepEqual(await dataOf(server.graphql(text)), {
      snapshotById: {
        runId: 'an old run',
        stepId: null,
        attempt: 1,
        kind: 'CHECKPOINT',
        isSuccessState: true,
        isGolden: false,
        piiTags: ['email'],
        redactionPolicy: 'mask',
        replaySafe: true,
        createdAt: '2020-02-02T02:02:02Z',
        storageTier: 'INLINE',
        storageState: 'AVAILABLE',
        sizeBytes: 15,
        preview: '{"b":1,"a":[2]}',
        payload: { b: 1, a: [2] },
      },
    })
  })

  it('have an index in the order of each list', async () => {
    await using database = await freshDatabase()
    const indexes = (await query<{ def: string }>(database.url, 'select indexdef as def from pg_indexes')).map(
      ({ def }) => def,
    )
    for (const columns of [
      '(created_at, run_id)',
      '(run_id, seq)',
      '(run_id, step_id, seq)',
      '(run_id, COALESCE(step_index, 2147483647), ordinal)',
    ]) {
      assert.ok(
        indexes.some((def) => def.includes(columns)),
        columns,
      )
    }
  })
})
