import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { migrate, pendingMigrations, planMigration } from '../../src/db/migrate.ts'
import { capture, dataOf, payloadBytes } from '../support/answers.ts'
import { type FreshDatabase, freshDatabase } from '../support/database.ts'
import { insertOldRow, OLD_INSERT, OLD_SELECT, OLD_TABLES, oldValues } from '../support/old-system.ts'
import { eventually } from '../support/put.ts'
import { countRows, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

async function oldDatabase(shape: keyof typeof OLD_TABLES): Promise<FreshDatabase> {
  const database = await freshDatabase({ template: 'empty' })
  await query(database.url, OLD_TABLES[shape])
  return database
}

async function serverOn(databaseUrl: string): Promise<TestServer> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder())
  const server = cleanup.use(await startServer({ store: { databaseUrl, storagePath: folder.path } }))
  const owned = cleanup.move()
  return { ...server, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** All that a schema consists of, and all rows, in words. */
async function everything(url: string): Promise<readonly unknown[]> {
  return await query(
    url,
    `select 'column ' || attrelid::regclass || ' ' || attname || ' ' || attnotnull as part from pg_attribute
      where attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace) and attnum > 0
        and not attisdropped
    union all select indexdef from pg_indexes where schemaname = 'public'
    union all select pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
    union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
    union all select s::text || xmin from state_snapshots s
    union all select r::text || xmin from statelens_runs r
    union all select t::text || xmin from statelens_steps t
    order by 1`,
  )
}

describe('an old database of the first shape', () => {
  it('becomes runs and snapshots, in the order of their time', async () => {
    await using database = await oldDatabase('first')
    for (const [createdAt, n] of [
      ['2024-01-03T00:00:00Z', 3],
      ['2024-01-01T00:00:00Z', 1],
      ['2024-01-02T00:00:00Z', 2],
    ] as const) {
      await insertOldRow(database.url, { runId: 'a run: with spaces, 🦉', createdAt, snapshot: `{"n":${n}}` })
    }
    await migrate(database.url)
    await using server = await serverOn(database.url)
    const { run } = await dataOf<{ run: { snapshots: { nodes: { seq: number; payload: object }[] } } }>(
      server.graphql(
        `{ run(runId: "a run: with spaces, 🦉") { status createdAt snapshots(first: 10) {
          nodes: edges { node { seq sizeBytes preview payload } } } } }`,
      ),
    )
    assert.deepEqual(run, {
      status: 'UNKNOWN',
      createdAt: '2024-01-01T00:00:00Z',
      snapshots: {
        nodes: [1, 2, 3].map((n) => ({ node: { seq: n, sizeBytes: 8, preview: `{"n": ${n}}`, payload: { n } } })),
      },
    })
  })

  it('takes what this server captures, byte for byte, although its column is jsonb', async () => {
    await using database = await oldDatabase('first')
    await insertOldRow(database.url, { runId: 'run', snapshot: '{"old":true}' })
    await migrate(database.url)
    await using server = await serverOn(database.url)
    const { snapshot } = await capture(server, { runId: 'run', payload: { z: 1, a: 2 } })
    assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), '{"z":1,"a":2}')
  })

  it('keeps the old statements as they were', async () => {
    await using database = await oldDatabase('first')
    const rows = [
      { runId: 'run', createdAt: '2024-01-01T00:00:00Z', snapshot: '{"b":1,"a":[2]}', piiTags: ['email'] },
      {
        runId: 'run',
        createdAt: '2024-01-02T00:00:00Z',
        storageUri: 'object-storage://snapshots/x.json',
        snapshot: '[]',
      },
    ]
    for (const row of rows) await insertOldRow(database.url, row)
    const before = await query(database.url, OLD_SELECT, ['run'])
    await migrate(database.url)
    assert.deepEqual(await query(database.url, OLD_SELECT, ['run']), before)
    await insertOldRow(database.url, { runId: 'run', snapshot: '"new"' })
    assert.equal((await query(database.url, OLD_SELECT, ['run'])).length, 3)
  })

  it('is the same after a second time', async () => {
    await using database = await oldDatabase('first')
    await query(database.url, OLD_TABLES.steps)
    await query(database.url, "insert into workflow_steps values ('s', 'run', 1, 'plan', now(), now(), 1, true, null)")
    for (let n = 0; n < 20; n++) await insertOldRow(database.url, { runId: `run ${n % 3}`, snapshot: `${n}` })
    const planned = (await planMigration(database.url)).pending
    assert.deepEqual((await migrate(database.url)).applied, planned)
    const before = await everything(database.url)
    assert.deepEqual(await migrate(database.url), { applied: [] })
    assert.deepEqual(await everything(database.url), before)
    assert.deepEqual(await pendingMigrations(database.url), [])
  })

  it('has the indexes of a table that was made here', async () => {
    const definitions = "select indexdef from pg_indexes where tablename = 'state_snapshots' order by indexdef"
    await using fresh = await freshDatabase()
    await using database = await oldDatabase('first')
    await migrate(database.url)
    assert.deepEqual(await query(database.url, definitions), await query(fresh.url, definitions))
  })

  it('is only looked at by a plan', async () => {
    await using database = await oldDatabase('first')
    await insertOldRow(database.url, { runId: 'run', snapshot: '1' })
    const { pending, table, stepTable } = await planMigration(database.url)
    assert.ok(pending.length > 5)
    assert.deepEqual([table?.isAdopted, table?.isWidened, table?.problems, stepTable], [true, false, [], 'absent'])
    const tables = await query(
      database.url,
      "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
    )
    assert.deepEqual(tables, [{ relname: 'state_snapshots' }])
  })

  it('goes on where it was broken off', async () => {
    await using database = await oldDatabase('first')
    await query(
      database.url,
      `insert into state_snapshots select gen_random_uuid(), 'run ' || n % 10, true, now() - n * interval '1 second', null,
        null, null, null, null, to_jsonb(n) from generate_series(1, 2000) n`,
    )
    const stop = new AbortController()
    const stopped = migrate(database.url, {
      signal: stop.signal,
      onProgress: ({ done, total }) => done > 0 && done < total && stop.abort(new Error('stopped')),
    })
    await assert.rejects(stopped, { message: 'stopped' })
    const pending = await pendingMigrations(database.url)
    assert.ok(pending.includes('complete the rows that are there'))
    assert.equal((await query(database.url, 'select from state_snapshots where seq is null limit 1')).length, 1)
    assert.deepEqual((await migrate(database.url)).applied, pending)
    const wrong = await query(
      database.url,
      `select n from (select row_number() over (order by created_at) as n, seq from state_snapshots) s where n <> seq`,
    )
    assert.deepEqual(wrong, [])
    assert.equal(await countRows(database.url, 'statelens_runs'), 10)
  })

  it('numbers rows that another writer changes meanwhile as well', async () => {
    await using database = await oldDatabase('first')
    await query(
      database.url,
      `insert into state_snapshots select gen_random_uuid(), 'run', true, now(), null, null, null, null, null, to_jsonb(n)
        from generate_series(1, 1000) n`,
    )
    let touched: Promise<unknown> | undefined
    await migrate(database.url, {
      onProgress: ({ done }) => {
        if (done > 0) touched ??= query(database.url, "update state_snapshots set redaction_policy = 'mask'")
      },
    })
    await touched
    const [row] = await query(
      database.url,
      `select count(*)::int as rows, count(distinct seq)::int as numbers, count(redaction_policy)::int as touched
        from state_snapshots`,
    )
    assert.deepEqual(row, { rows: 1000, numbers: 1000, touched: 1000 })
  })

  it('takes few rows at a time where their states are large', async () => {
    await using database = await oldDatabase('first')
    await query(
      database.url,
      `insert into state_snapshots select gen_random_uuid(), 'run', true, now(), null, null, null, null, null,
        (select jsonb_agg(md5(n || '-' || i)) from generate_series(1, 30000) i) from generate_series(1, 40) n`,
    )
    const steps: number[] = []
    await migrate(database.url, { onProgress: ({ done, total }) => total === 40 && steps.push(done) })
    assert.ok(steps.length > 5, String(steps))
    assert.deepEqual(steps.at(-1), 40)
  })

  it('loses and doubles nothing that four writers insert while it goes on', async () => {
    await using database = await oldDatabase('first')
    await query(
      database.url,
      `insert into state_snapshots select gen_random_uuid(), 'old ' || n % 50, true, now() - interval '1 day', null, null,
        null, null, null, to_jsonb(n) from generate_series(1, 5000) n`,
    )
    let stopped = false
    const writers = [1, 2, 3, 4].map((writer) => writeUntil(database.url, writer, () => stopped))
    await migrate(database.url)
    stopped = true
    const written = (await Promise.all(writers)).flat()
    assert.ok(written.length > 20)
    const [row] = await query(
      database.url,
      `select count(*)::int as rows, count(distinct seq)::int as numbers, count(distinct id)::int as ids,
        count(size_bytes)::int as sizes, (select count(*)::int from statelens_runs) as runs
        from state_snapshots`,
    )
    const rows = 5000 + written.length
    assert.deepEqual(row, { rows, numbers: rows, ids: rows, sizes: rows, runs: 50 + new Set(written).size })
    const wrong = await query(
      database.url,
      `select run_id from (select run_id, seq, lag(seq) over (partition by run_id order by (snapshot)::text::int) as before
        from state_snapshots where run_id like 'new %') s where before > seq`,
    )
    assert.deepEqual(wrong, [])
  })

  it('shows what the old writer inserts later at once, and after that its changes', async () => {
    await using database = await oldDatabase('first')
    await migrate(database.url)
    await using server = await serverOn(database.url)
    await insertOldRow(database.url, { runId: 'later', snapshot: '{"state":1}' })
    const text = '{ run(runId: "later") { latestSnapshot { sizeBytes payload } } }'
    assert.deepEqual(await dataOf(server.graphql(text)), {
      run: { latestSnapshot: { sizeBytes: 12, payload: { state: 1 } } },
    })
    await query(database.url, `update state_snapshots set snapshot = '{"state":22}'`)
    assert.deepEqual(await dataOf(server.graphql(text)), {
      run: { latestSnapshot: { sizeBytes: 13, payload: { state: 22 } } },
    })
  })

  it('is not kept waiting by a transaction of the old writer that stays open', async () => {
    await using database = await oldDatabase('first')
    await migrate(database.url)
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    try {
      await client.query('begin')
      await client.query(OLD_INSERT, [...oldValues({ runId: 'shared', snapshot: '1' })])
      await insertOldRow(database.url, { runId: 'shared', snapshot: '2' })
      await client.query('commit')
    } finally {
      await client.end()
    }
    assert.equal(await countRows(database.url, 'statelens_runs'), 1)
  })

  it('takes more runs in one transaction than there is room for locks', async () => {
    await using database = await oldDatabase('first')
    await migrate(database.url)
    const runs = 40_000
    await query(
      database.url,
      `insert into state_snapshots (id, run_id, is_success_state, created_at, snapshot)
        select gen_random_uuid(), 'run ' || n, true, now(), '1' from generate_series(1, ${runs}) n`,
    )
    assert.equal(await countRows(database.url, 'statelens_runs'), runs)
  })

  it('has no row without its run when a run is deleted while the old writer adds to it', async () => {
    await using database = await oldDatabase('first')
    await migrate(database.url)
    await insertOldRow(database.url, { runId: 'run', snapshot: '1' })
    await using server = await serverOn(database.url)
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    try {
      await client.query('begin')
      await client.query(OLD_INSERT, [...oldValues({ runId: 'run', snapshot: '2' })])
      await client.query('set constraints all immediate')
      const deleting = dataOf(server.graphql('mutation { deleteRun(runId: "run") { snapshotCount } }'))
      await eventually(async () => {
        const waiting = "datname = current_database() and wait_event_type = 'Lock'"
        assert.equal((await query(database.url, `select from pg_stat_activity where ${waiting}`)).length, 1)
      })
      await client.query('commit')
      assert.deepEqual(await deleting, { deleteRun: { snapshotCount: 2 } })
    } finally {
      await client.end()
    }
    assert.equal(await countRows(database.url, 'state_snapshots'), 0)
    assert.equal(await countRows(database.url, 'statelens_runs'), 0)
  })

  it('takes rows whose run has an id that nobody can ask for', async () => {
    await using database = await oldDatabase('first')
    await insertOldRow(database.url, { runId: '', snapshot: '1' })
    await migrate(database.url)
    await insertOldRow(database.url, { runId: 'x'.repeat(600), snapshot: '2' })
    assert.equal(await countRows(database.url, 'state_snapshots'), 2)
    assert.equal(await countRows(database.url, 'statelens_runs'), 0)
  })
})

/** Inserts as the old writer does, one row after the other. @returns the run of each. */
async function writeUntil(url: string, writer: number, isOver: () => boolean): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const written: string[] = []
  try {
    while (!isOver()) {
      const runId = `new ${writer} ${written.length % 7}`
      await client.query(OLD_INSERT, [...oldValues({ runId, snapshot: `${written.length}` })])
      written.push(runId)
      // As a writer that has other things to do; four that have not leave no processor to the migration.
      await setTimeout(2)
    }
  } finally {
    await client.end()
  }
  return written
}

describe('an old database of the newer shape', () => {
  it('becomes runs, steps and snapshots, in the order that its rows lie in', async () => {
    await using database = await oldDatabase('second')
    await query(
      database.url,
      `insert into state_snapshots select 'run', 'step ' || n % 3, to_jsonb(n), null from generate_series(1, 9) n`,
    )
    await migrate(database.url)
    await query(database.url, `insert into state_snapshots (run_id, step_id, snapshot) values ('run', 'step 3', '10')`)
    await using server = await serverOn(database.url)
    const { run } = await dataOf<{
      run: { steps: { edges: object[] }; snapshots: { edges: { node: { payload: number } }[] } }
    }>(
      server.graphql(`{ run(runId: "run") { steps { edges { node { stepId snapshot { payload } } } }
        snapshots(first: 20) { edges { node { payload } } } } }`),
    )
    assert.deepEqual(
      run.steps.edges,
      [
        ['step 1', 7],
        ['step 2', 8],
        ['step 0', 9],
        ['step 3', 10],
      ].map(([stepId, payload]) => ({ node: { stepId, snapshot: { payload } } })),
    )
    assert.deepEqual(
      run.snapshots.edges.map(({ node }) => node.payload),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    )
  })

  it('is read a few times and no more, however many batches there are', async () => {
    await using database = await oldDatabase('second')
    const rows = 20_000
    await query(
      database.url,
      `insert into state_snapshots select 'run ' || n / 20, 'step ' || n % 20, to_jsonb(n), null
        from generate_series(1, ${rows}) n`,
    )
    let batches = 0
    await migrate(database.url, { onProgress: ({ done, total }) => done < total && batches++ })
    assert.ok(batches > 3)
    const [read] = await query<{ rows: string }>(
      database.url,
      "select seq_tup_read as rows from pg_stat_user_tables where relname = 'state_snapshots'",
    )
    assert.ok(Number(read?.rows) < rows * 40, `${read?.rows}`)
  })

  it('takes captures of this server', async () => {
    await using database = await oldDatabase('second')
    await migrate(database.url)
    await using server = await serverOn(database.url)
    const { created } = await capture(server, { runId: 'run', stepId: 'step', payload: 1 })
    assert.equal(created, true)
  })

  it('reads its steps from workflow_steps, then and later', async () => {
    await using database = await oldDatabase('second')
    await query(database.url, OLD_TABLES.steps)
    await query(
      database.url,
      `insert into workflow_steps values
        ('b', 'run', 2, 'act', '2024-01-01T00:00:02Z', null, 1500, false, 'it broke'),
        ('a', 'run', 1, 'plan', '2024-01-01T00:00:00Z', '2024-01-01T00:00:01Z', 1000, true, null)`,
    )
    await query(database.url, `insert into state_snapshots values ('run', 'a', '{"done":true}', null)`)
    await migrate(database.url)
    await query(
      database.url,
      `insert into workflow_steps (id, run_id, step_index, started_at) values ('c', 'run', 3000000000, now())`,
    )
    await using server = await serverOn(database.url)
    const text = `{ run(runId: "run") { createdAt steps { edges { node {
      stepId index name status durationMs error { message } snapshot { payload } } } } } }`
    const steps = async () =>
      (await dataOf<{ run: { steps: { edges: { node: object }[] } } }>(server.graphql(text))).run.steps.edges.map(
        ({ node }) => node,
      )
    const first = { index: 1, name: 'plan', status: 'SUCCEEDED', durationMs: 1000, error: null }
    const second = { index: 2, name: 'act', status: 'FAILED', durationMs: 1500, error: { message: 'it broke' } }
    const third = { index: null, name: null, status: 'RUNNING', durationMs: null, error: null, snapshot: null }
    assert.deepEqual(await steps(), [
      { stepId: 'a', ...first, snapshot: { payload: { done: true } } },
      { stepId: 'b', ...second, snapshot: null },
      { stepId: 'c', ...third },
    ])
    await query(database.url, `update workflow_steps set success = true, duration_ms = 5 where id = 'c'`)
    assert.deepEqual((await steps())[2], { stepId: 'c', ...third, status: 'SUCCEEDED', durationMs: 5 })
  })
})

describe('the way back', () => {
  it('leaves the old rows as they were, and can be gone the other way again', async () => {
    const guide = await readFile('docs/from-the-old-system.md', 'utf8')
    const [, undo = ''] = /^```sql\n(.*?)^```/ms.exec(guide) ?? []
    for (const shape of ['first', 'second'] as const) {
      await using database = await oldDatabase(shape)
      await query(database.url, OLD_TABLES.steps)
      const insert = `insert into state_snapshots (${shape === 'first' ? 'id, is_success_state, created_at, ' : ''}run_id, snapshot)
        values (${shape === 'first' ? "gen_random_uuid(), true, '2024-01-01', " : ''}'run', '{"b":1}')`
      await query(database.url, insert)
      const select = 'select run_id, snapshot, storage_uri from state_snapshots'
      const before = await query(database.url, select)
      await migrate(database.url)
      await using server = await serverOn(database.url)
      await capture(server, { runId: 'run', payload: 1 })
      await query(database.url, undo)
      assert.deepEqual(await query(database.url, select), before)
      assert.deepEqual(
        await query(
          database.url,
          `select relname from pg_class where relnamespace = 'public'::regnamespace and relname like 'statelens%'
            union all select proname from pg_proc where pronamespace = 'public'::regnamespace
            union all select tgname from pg_trigger where not tgisinternal`,
        ),
        [],
      )
      await query(database.url, insert)
      await migrate(database.url)
      assert.equal(await countRows(database.url, 'statelens_runs'), 1)
    }
  })
})

describe('a table that is not known', () => {
  it('is refused in words, and left as it is', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(
      database.url,
      'create table state_snapshots (id int, run_id text, snapshot bytea, storage_uri text, seq int)',
    )
    const { table } = await planMigration(database.url)
    assert.equal(table?.problems.length, 3)
    for (const problem of table.problems) assert.match(problem, /The way: alter table state_snapshots /)
    await assert.rejects(migrate(database.url), { code: 'CONFLICT' })
    assert.deepEqual(
      await query(
        database.url,
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
      ),
      [{ relname: 'state_snapshots' }],
    )
  })

  it('is adopted with its own constraints, which the plan names', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(
      database.url,
      `create table state_snapshots (run_id text, step_id text not null, snapshot jsonb not null, storage_uri text,
        tenant text not null, primary key (run_id, step_id))`,
    )
    const { problems, notes } = await planMigration(database.url)
    assert.deepEqual(problems, [])
    assert.ok(notes.some((note) => note.includes('tenant')))
    assert.ok(notes.some((note) => note.includes('PRIMARY KEY (run_id, step_id)')))
    await migrate(database.url)
    await query(database.url, `insert into state_snapshots values ('run', 'step', '1', null, 'me')`)
    assert.equal(await countRows(database.url, 'statelens_steps'), 1)
  })
})
