import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pg from 'pg'
import { lookAtDatabase } from '../../src/commands/doctor/database.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { migrate, pendingMigrations, planMigration } from '../../src/db/migrate.ts'
import { capture } from '../support/answers.ts'
import { type FreshDatabase, freshDatabase, withDatabase } from '../support/database.ts'
import { OLD_TABLES } from '../support/old-system.ts'
import { put, refusalOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

/** A table of the old system with some rows, and what its owner made beside it. */
async function ownersDatabase(statements = '', rows = 50): Promise<FreshDatabase> {
  const database = await freshDatabase({ template: 'empty' })
  await query(
    database.url,
    `${OLD_TABLES.first}; insert into state_snapshots (id, run_id, is_success_state, created_at, snapshot)
      select gen_random_uuid(), 'run ' || n % 5, true, now(), to_jsonb(n) from generate_series(1, ${rows}) n; ${statements}`,
  )
  return database
}

/** A user of its own, with limits, who owns the table. */
async function asOwner(database: FreshDatabase, settings: Readonly<Record<string, string>>) {
  const role = `owner_${crypto.randomUUID().replaceAll('-', '')}`
  const set = Object.entries(settings).map(([name, value]) => `alter role ${role} set ${name} = ${value}`)
  await query(
    database.url,
    [
      `create role ${role} login password 'x'`,
      `alter table state_snapshots owner to ${role}`,
      `grant create on schema public to ${role}`,
      ...set,
    ].join('; '),
  )
  const url = new URL(database.url)
  url.username = role
  url.password = 'x'
  return {
    url: url.href,
    [Symbol.asyncDispose]: async () => {
      await query(database.url, `drop owned by ${role} cascade; drop role ${role}`)
    },
  }
}

const tablesOf = (url: string) => query(url, "select relname from pg_class where relname like 'statelens%'")

const TRIGGER = (body: string) => `create function noup() returns trigger language plpgsql as $$ begin ${body} end $$;
  create trigger noup before update on state_snapshots for each row execute function noup()`

describe('a table whose rows cannot be updated', { concurrency: 2 }, () => {
  for (const [name, statements, message] of [
    ['a trigger that skips them', TRIGGER('return null;'), /Rows of state_snapshots cannot be updated/],
    ['a trigger that refuses them', TRIGGER("raise 'append-only, says its owner';"), /"append-only, says its owner"/],
    [
      'a rule',
      'create rule noup as on update to state_snapshots do instead nothing',
      /The rule noup takes the place of updates/,
    ],
    [
      'a publication without a replica identity',
      'alter table state_snapshots drop constraint state_snapshots_pkey; create publication p for table state_snapshots',
      /no replica identity/,
    ],
  ] as const) {
    it(`is refused for ${name} before anything is changed, and adopted when that is gone`, async () => {
      await using database = await ownersDatabase(statements)
      const { notes, problems } = await planMigration(database.url)
      assert.match([...notes, ...problems].join('\n'), / (noup|p) /, 'the plan names it')
      await assert.rejects(migrate(database.url), { code: 'CONFLICT', message })
      assert.deepEqual(await tablesOf(database.url), [])
      await query(
        database.url,
        'drop trigger if exists noup on state_snapshots; drop rule if exists noup on state_snapshots; drop publication if exists p',
      )
      await migrate(database.url)
      assert.deepEqual(await pendingMigrations(database.url), [])
    })
  }

  it('ends with the reason where that comes while it goes on', async () => {
    await using database = await ownersDatabase('', 3000)
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    let made: Promise<unknown> | undefined
    const onProgress = ({ step, done, total }: { step: string; done: number; total: number }) => {
      if (step.startsWith('complete') && total > 0 && done < total) made ??= client.query(TRIGGER('return null;'))
    }
    await assert.rejects(migrate(database.url, { onProgress }), {
      code: 'CONFLICT',
      message: /stay as they are when they are updated/,
    })
    await made
    await client.query('drop trigger noup on state_snapshots')
    await client.end()
    await migrate(database.url)
    assert.deepEqual(await pendingMigrations(database.url), [])
  })

  it('hides its rows from its own user by row-level security that is forced', async () => {
    await using database = await ownersDatabase(
      `alter table state_snapshots enable row level security, force row level security;
      create policy seen on state_snapshots for select using (true); create policy taken on state_snapshots for insert with check (true)`,
    )
    await using owner = await asOwner(database, {})
    const { problems } = await planMigration(owner.url)
    assert.match(problems.join(), /Row-level security applies to this user/)
    await assert.rejects(migrate(owner.url), { code: 'CONFLICT' })
    await assert.rejects(
      migrate(database.url),
      { code: 'CONFLICT', message: /migrate as its owner/ },
      'not even a superuser',
    )
    await query(database.url, 'alter table state_snapshots no force row level security')
    await migrate(owner.url)
  })
})

describe('a user with limits', () => {
  it('is told of them, and migrates without; the level of its transactions keeps no index waiting', async () => {
    await using database = await ownersDatabase('', 5000)
    await using owner = await asOwner(database, {
      statement_timeout: "'50ms'",
      idle_session_timeout: "'1s'",
      lock_timeout: "'1ms'",
      default_transaction_isolation: 'serializable',
    })
    const { notes, problems } = await planMigration(owner.url)
    assert.deepEqual(problems, [])
    assert.match(notes.join('\n'), /idle_session_timeout = 1s[\s\S]*statement_timeout = 50ms/)
    await migrate(owner.url)
    assert.deepEqual(await pendingMigrations(owner.url), [])
  })

  it('whose transactions only read is told so before anything else', async () => {
    await using database = await ownersDatabase()
    await using owner = await asOwner(database, { default_transaction_read_only: 'on' })
    await assert.rejects(migrate(owner.url), { code: 'CONFLICT', message: /default_transaction_read_only is on/ })
  })

  it('loses the connection that keeps others out: an error in a sentence, and the next run goes on', async () => {
    await using database = await ownersDatabase('', 6000)
    const cut = () =>
      query(
        database.url,
        `select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database
          where d.datname = current_database() and locktype = 'advisory' and granted`,
      )
    let cutting: Promise<unknown> | undefined
    const onProgress = ({ step, done }: { step: string; done: number }) => {
      if (step.startsWith('complete') && done > 0) cutting ??= cut()
    }
    await assert.rejects(migrate(database.url, { onProgress }), {
      code: 'DATABASE_UNAVAILABLE',
      message: /The connection that keeps other migrations out was lost/,
    })
    await cutting
    await migrate(database.url)
    assert.deepEqual(await pendingMigrations(database.url), [])
  })
})

describe('a database that is none of those that work', () => {
  it('is refused by its encoding, empty as it is', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    for (const encoding of ['LATIN1', 'SQL_ASCII']) {
      const name = `${new URL(database.url).pathname.slice(1)}_${encoding.toLowerCase()}`
      await query(database.url, `create database ${name} template template0 encoding '${encoding}' locale 'C'`)
      const message = new RegExp(`encoded in ${encoding}; it must be UTF8`)
      await assert.rejects(migrate(withDatabase(database.url, name)), { code: 'CONFLICT', message })
      await query(database.url, `drop database ${name} with (force)`)
    }
  })
})

describe('a transaction that a migration waits for', () => {
  it('is named', async () => {
    await using database = await ownersDatabase()
    const url = new URL(database.url)
    url.searchParams.set('application_name', 'nightly report')
    for (const held of ['select 1 from state_snapshots limit 1', 'create table other as select 1']) {
      const client = new pg.Client({ connectionString: url.href })
      await client.connect()
      await client.query(`begin isolation level repeatable read; ${held}`)
      const waited = Promise.withResolvers<string>()
      const migrating = migrate(database.url, {
        onProgress: ({ step }) => step.startsWith('wait ') && waited.resolve(step),
      })
      assert.match(
        await waited.promise,
        /^wait for pid \d+ \(nightly report, user \w+, since 20\d\d-\S+ \S+ UTC\)/,
        held,
      )
      await client.query('rollback')
      await client.end()
      await migrating
      await query(database.url, 'drop index state_snapshots_seq; drop table if exists other')
    }
  })
})

describe('a migration that is told to stop while it waits', () => {
  it('stops at once, and goes on the next time', async () => {
    await using database = await ownersDatabase()
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query('begin isolation level repeatable read; create table other as select 1')
    const stop = new AbortController()
    const migrating = migrate(database.url, {
      signal: stop.signal,
      onProgress: ({ step }) => step.startsWith('wait ') && stop.abort(new Error('stopped')),
    })
    await assert.rejects(migrating, { message: 'stopped' })
    await client.query('rollback')
    await client.end()
    await migrate(database.url)
    assert.deepEqual(await pendingMigrations(database.url), [])
  })
})

describe('what the owner asks of rows', () => {
  it('is CONFLICT by its name where a capture or a delete does not meet it, and known to the doctor', async () => {
    await using database = await ownersDatabase(
      `create table audit (snapshot_id uuid references state_snapshots (id));
      alter table state_snapshots add constraint has_a_state check (snapshot is not null or storage_uri is not null) not valid;
      insert into audit select id from state_snapshots`,
    )
    const { notes } = await planMigration(database.url)
    assert.match(notes.join('\n'), /constraint has_a_state[\s\S]*cannot be deleted while a row of audit refers to it/)
    await migrate(database.url)
    await using folder = await temporaryFolder()
    await using server = await startServer({ store: { databaseUrl: database.url, storagePath: folder.path } })
    assert.deepEqual(refusalOf(await put(server.url, '{}', { runId: 'r', stepId: 's' })), {
      status: 409,
      code: 'CONFLICT',
    })
    const text = 'mutation { captureSnapshot(input: { runId: "r", stepId: "s", payload: 1 }) { created } }'
    const { errors } = await server.graphql(text)
    assert.equal(errors?.[0]?.extensions.code, 'CONFLICT')
    assert.match(errors?.[0]?.message ?? '', /has_a_state/)
    const [old] = await query<{ id: string }>(database.url, 'select id from state_snapshots limit 1')
    const deleted = await server.graphql(`mutation { deleteSnapshot(snapshotId: "${old?.id}") { deleted } }`)
    assert.equal(deleted.errors?.[0]?.extensions.code, 'CONFLICT')
    assert.match(deleted.errors?.[0]?.message ?? '', /audit_snapshot_id_fkey/)
    await query(
      database.url,
      'alter table state_snapshots drop constraint has_a_state, add column tenant text, add constraint c check (true)',
    )
    await query(
      database.url,
      "update state_snapshots set tenant = 'me'; alter table state_snapshots alter tenant set not null",
    )
    const required = await server.graphql(text)
    assert.match(required.errors?.[0]?.message ?? '', /column tenant of state_snapshots is required/)
    const db = createDatabase({ url: database.url })
    const { findings } = await lookAtDatabase(db, database.url)
    await db.close()
    const warnings = findings.flatMap(({ mark, text }) => (mark === 'warn' ? [text] : []))
    assert.match(warnings.join('\n'), /column tenant[\s\S]*constraint c:[\s\S]*audit refers to it/)
    await query(database.url, 'alter table state_snapshots alter tenant drop not null')
    await capture(server, { runId: 'r', stepId: 's', payload: 1 })
  })
})
