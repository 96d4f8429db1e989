import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { createDatabase, type Database } from '../../src/db/connect.ts'
import { toDatabaseError } from '../../src/db/errors.ts'
import { AppError } from '../../src/errors.ts'
import { freshDatabase } from '../support/database.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { query } from '../support/rows.ts'

interface Opened extends AsyncDisposable {
  readonly db: Database
  readonly url: string
}

async function open(options: { readonly maxConnections?: number } = {}): Promise<Opened> {
  const { url, drop } = await freshDatabase()
  const db = createDatabase({ url, ...options })
  return {
    db,
    url,
    async [Symbol.asyncDispose]() {
      await db.close()
      await drop()
    },
  }
}

interface BehindProxy extends Opened {
  readonly proxy: FaultProxy
}

async function openBehindProxy(): Promise<BehindProxy> {
  const database = await freshDatabase()
  const url = new URL(database.url)
  const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
  url.hostname = proxy.host
  url.port = String(proxy.port)
  const db = createDatabase({ url: url.href })
  return {
    db,
    url: database.url,
    proxy,
    async [Symbol.asyncDispose]() {
      await db.close()
      await proxy[Symbol.asyncDispose]()
      await database.drop()
    },
  }
}

/** Both ways that statements take: alone, and in a transaction. */
function run(db: Database, ...statements: readonly string[]) {
  return db.kysely.transaction().execute(async (tx) => {
    for (const statement of statements) await sql.raw(statement).execute(tx)
  })
}

describe('the database', { concurrency: true }, () => {
  describe('that refuses', { concurrency: true }, () => testRefusals())
  describe('behind a network that fails', { concurrency: true }, () => testNetwork())
})

function testRefusals(): void {
  it('fails with the code of what happened', async () => {
    await using opened = await open()
    const { db, url } = opened
    await query(url, 'create table held (id int primary key)')
    const holder = new pg.Client({ connectionString: url })
    await holder.connect()
    await holder.query('begin; lock table held')
    for (const [statements, code] of [
      [['set local statement_timeout = 20', 'select pg_sleep(5)'], 'DATABASE_TIMEOUT'],
      [['set local lock_timeout = 20', 'insert into held values (1)'], 'DATABASE_TIMEOUT'],
      [['set transaction read only', "insert into statelens_runs (run_id) values ('x')"], 'DATABASE_UNAVAILABLE'],
      [['select pg_terminate_backend(pg_backend_pid())'], 'DATABASE_UNAVAILABLE'],
      [["select 'x'::int"], 'BAD_REQUEST'],
      [["select '\\u0000'::jsonb"], 'BAD_REQUEST'],
      [['select 2147483648::int'], 'BAD_REQUEST'],
      [["select '2026-02-31'::timestamptz"], 'BAD_REQUEST'],
    ] as const) {
      await assert.rejects(run(db, ...statements), { name: 'AppError', code }, statements.join('; '))
    }
    await assert.rejects(db.rows(sql`select ${'a\u0000'}::text`), { code: 'BAD_REQUEST' })
    await assert.rejects(db.rows(sql`select pg_terminate_backend(pg_backend_pid())`), { code: 'DATABASE_UNAVAILABLE' })
    await holder.end()
    await db.check()
  })

  it('fails as it is where nobody foresaw it', async () => {
    await using opened = await open()
    for (const statement of ['select * from nowhere', 'select 1 +', 'insert into statelens_runs values (null)']) {
      await assert.rejects(run(opened.db, statement), (error) => !(error instanceof AppError))
    }
  })

  it('fails with what PostgreSQL said for the log, and nothing of it for others', async () => {
    await using opened = await open()
    await assert.rejects(run(opened.db, 'select \'{"password":"hunter2",bad\'::json'), (error: AppError) => {
      assert.equal(error.code, 'BAD_REQUEST')
      assert.doesNotMatch(error.message, /hunter2/)
      assert.ok(error.cause instanceof pg.DatabaseError)
      return true
    })
  })

  it('is DATABASE_UNAVAILABLE where it lets nobody in', async () => {
    const database = await freshDatabase()
    const stranger = new URL(database.url)
    stranger.username = 'nobody-here'
    const guess = new URL(database.url)
    guess.password = 'guess'
    const elsewhere = new URL(database.url)
    elsewhere.port = '1'
    await database.drop()
    for (const url of [database.url, stranger.href, guess.href, elsewhere.href]) {
      const db = createDatabase({ url })
      await assert.rejects(db.rows(sql`select 1`), { code: 'DATABASE_UNAVAILABLE' })
      await assert.rejects(run(db, 'select 1'), { code: 'DATABASE_UNAVAILABLE' })
      await assert.rejects(db.check(), { code: 'DATABASE_UNAVAILABLE' })
      await db.close()
    }
  })

  it('data 1.12: says that it takes no writes, and does not keep connections that take none', async () => {
    await using opened = await open({ maxConnections: 2 })
    const { db, url } = opened
    const name = new URL(url).pathname.slice(1)
    const setReadOnly = (value: string) =>
      query(url, `alter database ${name} set default_transaction_read_only = ${value}`)
    const write = () => run(db, 'insert into statelens_runs (run_id) values (gen_random_uuid()::text)')
    const insert = () => db.rows(sql`insert into statelens_runs (run_id) values (gen_random_uuid()::text) returning 1`)
    await setReadOnly('on')
    await Promise.all([write, insert].map((one) => assert.rejects(one, { code: 'DATABASE_UNAVAILABLE' })))
    assert.deepEqual(await db.check(), { isReadOnly: true })
    assert.equal((await db.rows(sql`select 1`)).length, 1, 'reads go on')
    await query(url, `set transaction_read_only = off; alter database ${name} reset default_transaction_read_only`)
    // A connection that was made meanwhile fails once.
    const outcomes = []
    for (let i = 0; i < 6; i++)
      outcomes.push(
        await insert().then(
          () => 'ok',
          ({ code }) => code,
        ),
      )
    assert.ok(
      outcomes.slice(2).every((outcome) => outcome === 'ok'),
      outcomes.join(),
    )
  })

  it('is OVERLOADED after two seconds without a free connection; checks have one of their own', async () => {
    await using opened = await open({ maxConnections: 1 })
    const { db } = opened
    const begun = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const held = db.kysely.transaction().execute(async () => {
      begun.resolve()
      await release.promise
    })
    await begun.promise
    const start = performance.now()
    const refused = assert.rejects(db.rows(sql`select 1`), { code: 'OVERLOADED' })
    await Promise.all([refused, db.check()]).finally(() => release.resolve())
    assert.ok(performance.now() - start < 4000)
    await held
    assert.equal((await db.rows(sql`select 1`)).length, 1)
  })
}

function testNetwork(): void {
  it('faults N12: has a code where this machine has no more of something to connect with', () => {
    for (const code of ['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENETDOWN', 'ECONNREFUSED']) {
      const error = toDatabaseError(Object.assign(new Error(`connect ${code}`), { code }))
      assert.ok(error instanceof AppError && error.code === 'DATABASE_UNAVAILABLE', code)
    }
  })

  it('E2: reads once more what was under way when connections broke, fails what may have been done, and goes on', async () => {
    await using behind = await openBehindProxy()
    const { db, proxy } = behind
    await query(behind.url, 'create table made (id int)')
    await db.rows(sql`select 1`)
    const reads = Array.from({ length: 5 }, () => db.rows(sql`select 1 from pg_sleep(2)`))
    const insert = sql`insert into made select 1 from pg_sleep(4.5) returning 1`
    const write = assert.rejects(db.rows(insert), { code: 'DATABASE_UNAVAILABLE' })
    const inTransaction = assert.rejects(run(db, 'select 1', 'select pg_sleep(4.5)'), {
      code: 'DATABASE_UNAVAILABLE',
    })
    for (const from = performance.now(); performance.now() - from < 1500; )
      if ((await countSleeping(behind.url)) === 7) break
    proxy.resetNow()
    await db.rows(sql`select 1`)
    await Promise.all([write, inTransaction])
    assert.deepEqual(await Promise.all(reads), Array(5).fill([[1]]))
  })

  it('E2: reads twice at most', async () => {
    await using behind = await openBehindProxy()
    const { db, proxy } = behind
    await db.rows(sql`select 1`)
    proxy.limitData(400, 'rst')
    const before = proxy.connections
    await assert.rejects(db.rows(sql`select repeat('x', 1000)`), { code: 'DATABASE_UNAVAILABLE' })
    assert.ok(proxy.connections - before <= 1, `${proxy.connections - before} new connections`)
  })

  it('gives an error where a reply breaks in its middle, never a part of the rows', async () => {
    await using behind = await openBehindProxy()
    const { db, proxy } = behind
    await db.rows(sql`select 1`)
    for (const end of ['rst', 'fin'] as const) {
      proxy.limitData(20_000, end)
      const rows = db.rows(sql`select repeat('x', 1000) from generate_series(1, 100)`)
      await assert.rejects(rows, { code: 'DATABASE_UNAVAILABLE' })
      await proxy.heal()
      assert.equal((await db.rows(sql`select 1`)).length, 1)
    }
  })

  it('is DATABASE_UNAVAILABLE while connections are refused, and no longer', async () => {
    await using behind = await openBehindProxy()
    const { db, proxy } = behind
    await db.rows(sql`select 1`)
    await proxy.refuse()
    proxy.resetNow()
    await assert.rejects(db.rows(sql`select 2`), { code: 'DATABASE_UNAVAILABLE' })
    await assert.rejects(run(db, 'select 2'), { code: 'DATABASE_UNAVAILABLE' })
    await assert.rejects(db.check(), { code: 'DATABASE_UNAVAILABLE' })
    await proxy.heal()
    assert.equal((await db.rows(sql`select 2`)).length, 1)
    await db.check()
  })

  for (const direction of ['both', 'replies'] as const) {
    it(`E3: is DATABASE_TIMEOUT where nothing answers, and heals without a restart (${direction})`, async () => {
      await using behind = await openBehindProxy()
      const { db, proxy } = behind
      await db.rows(sql`select 1`)
      proxy.blackhole(direction)
      const start = performance.now()
      await assert.rejects(db.rows(sql`select 1`), { code: 'DATABASE_TIMEOUT' })
      assert.ok(performance.now() - start < 9000)
      // What was on its way is lost in one case, and comes late in the other.
      if (direction === 'both') proxy.resetNow()
      await proxy.heal()
      assert.equal((await db.rows(sql`select 1`)).length, 1)
    })
  }

  it('is the same behind a slow network', async () => {
    await using behind = await openBehindProxy()
    behind.proxy.latency(100)
    assert.equal((await behind.db.rows(sql`select 1`)).length, 1)
    await run(behind.db, 'select 1')
  })
}

async function countSleeping(url: string): Promise<number> {
  const text =
    "select 1 from pg_stat_activity where state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()"
  return (await query(url, `${text} and datname = current_database()`)).length
}
