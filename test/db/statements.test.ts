import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import { createDatabase, type Database, type DatabaseOptions } from '../../src/db/connect.ts'
import { onlyReads } from '../../src/db/statements.ts'
import { Departure } from '../../src/errors.ts'
import { eventually } from '../contract/byte-cache.ts'
import { freshDatabase } from '../support/database.ts'
import { query } from '../support/rows.ts'

interface Opened extends AsyncDisposable {
  readonly db: Database
  readonly url: string
  /** How many statements are being executed. */
  active(): Promise<number>
}

async function open(options: Partial<DatabaseOptions> = {}): Promise<Opened> {
  const { url, drop } = await freshDatabase()
  const db = createDatabase({ url, ...options })
  return {
    db,
    url,
    async active() {
      const [row] = await query<{ count: number }>(
        url,
        `select count(*)::int from pg_stat_activity
         where state = 'active' and datname = current_database() and application_name = 'statelens' and query ~ 'pg_sleep'`,
      )
      return row?.count ?? 0
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      await drop()
    },
  }
}

const SLEEP = sql`select pg_sleep(4)`
const pidOf = async (db: Database) => (await db.rows(sql`select pg_backend_pid()`))[0]?.[0]

describe('a statement whose client leaves', () => {
  it('faults A19, N12: ends in PostgreSQL within 250 ms, and its connection goes on', async () => {
    await using opened = await open({ maxConnections: 1 })
    const { db } = opened
    const pid = await pidOf(db)
    const millis: number[] = []
    for (let attempt = 0; attempt < 3; attempt++) {
      const controller = new AbortController()
      const gone = new Departure()
      const refused = assert.rejects(db.rows(SLEEP, { signal: controller.signal }), (error) => error === gone)
      assert.ok(await eventually(async () => (await opened.active()) === 1))
      const left = performance.now()
      controller.abort(gone)
      await refused
      // The next one has waited for the only connection, and is not ended in place of the first.
      assert.equal(await pidOf(db), pid)
      millis.push(performance.now() - left)
      assert.equal(await opened.active(), 0)
    }
    assert.ok(Math.min(...millis) < 250, millis.join())
  })

  it('never was begun when it had left before, or while it waited for a connection', async () => {
    await using opened = await open({ maxConnections: 1 })
    const { db } = opened
    const before = AbortSignal.abort(new Departure())
    await assert.rejects(db.rows(SLEEP, { signal: before }), Departure)
    const [first, second] = [new AbortController(), new AbortController()]
    const running = assert.rejects(db.rows(SLEEP, { signal: first.signal }), Departure)
    assert.ok(await eventually(async () => (await opened.active()) === 1))
    const waiting = assert.rejects(db.rows(SLEEP, { signal: second.signal }), Departure)
    second.abort(new Departure())
    await waiting
    assert.equal(await opened.active(), 1)
    first.abort(new Departure())
    await running
    assert.equal((await db.rows(sql`select 1`)).length, 1)
  })

  it('leaves others alone, however departures and ends fall together', async () => {
    await using opened = await open({ maxConnections: 4 })
    const { db } = opened
    const works = Array.from({ length: 150 }, async (_, i) => {
      const controller = new AbortController()
      const answer = db.rows(sql`select pg_sleep(${(i % 5) / 1000}), ${i}::int`, { signal: controller.signal })
      const timer = setTimeout(() => controller.abort(new Departure()), i % 7)
      const rows = await answer.catch((error: unknown) => error)
      clearTimeout(timer)
      assert.ok(rows instanceof Departure || (Array.isArray(rows) && rows[0][1] === i), String(rows))
      assert.deepEqual(await db.rows(sql`select ${i}::int`), [[i]])
    })
    await Promise.all(works)
  })
})

describe('the share of a request', () => {
  it('data 1.7: is three statements at a time; the others wait, and all end with it', async () => {
    await using opened = await open()
    const { db } = opened
    const controller = new AbortController()
    const share = db.share(controller.signal)
    const works = Array.from({ length: 12 }, () => assert.rejects(share.rows(SLEEP), Departure))
    assert.ok(await eventually(async () => (await opened.active()) === 3))
    const began = performance.now()
    await db.share().rows(sql`select 1`)
    assert.ok(performance.now() - began < 250, 'another request is served beside it')
    assert.equal(await opened.active(), 3)
    controller.abort(new Departure())
    await Promise.all(works)
    assert.ok(await eventually(async () => (await opened.active()) === 0))
  })

  it('gives the place of one that fails to the next', async () => {
    await using opened = await open()
    const share = opened.db.share()
    const answers = Array.from({ length: 9 }, (_, i) =>
      share.rows(sql`select 1 / ${i % 2}::int`).then(
        () => 'ok',
        ({ code }) => code,
      ),
    )
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['ok', 'BAD_REQUEST']))
  })
})

describe('prepared statements', () => {
  const prepared = sql`select count(*)::int from pg_prepared_statements where name ~ '^statelens'`

  it('data 2.3: are those that come twice, and as many as fit, whatever came before them', async () => {
    await using opened = await open({ maxConnections: 1 })
    const { db } = opened
    const odd = (i: number) => sql`select ${sql.raw(String(i))}`
    for (let i = 0; i < 300; i++) await db.rows(odd(i))
    assert.deepEqual(await db.rows(prepared), [[0]])
    // A client that sends each odd one twice fills the memory, and starts it anew.
    for (let i = 300; i < 600; i++) for (let twice = 0; twice < 2; twice++) await db.rows(odd(i))
    const hot = sql`select 'hot'`
    for (let i = 0; i < 3; i++) await db.rows(hot)
    const [[isPrepared] = []] = await db.rows(sql`
      select bool_or(statement = 'select ''hot''') from pg_prepared_statements`)
    assert.equal(isPrepared, true)
    const [[count] = []] = await db.rows(prepared)
    assert.ok(Number(count) <= 256, String(count))
  })

  it('data 1.11: are done without where they are not found again, and nobody fails for it', async () => {
    await using opened = await open({ maxConnections: 1 })
    const { db } = opened
    const statement = sql`select 'again'`
    for (let i = 0; i < 3; i++) await db.rows(statement)
    await db.rows(sql`deallocate all`)
    assert.deepEqual(await db.rows(statement), [['again']])
    for (let i = 0; i < 3; i++) assert.deepEqual(await db.rows(statement), [['again']])
    assert.deepEqual(await db.rows(prepared), [[0]])
  })
})

it('E2: statements that only read are told from those that may change or hold something', () => {
  for (const text of ['select 1', '  SELECT updated_at, deleted_at from x', 'with a as (select 1) select * from a']) {
    assert.ok(onlyReads(text), text)
  }
  for (const text of [
    'insert into x values (1)',
    'with gone as (delete from x returning 1) select * from gone',
    'select 1 from x for update skip locked',
    'select * from statelens_capture($1)',
    'select pg_advisory_xact_lock(1)',
    "select nextval('x')",
    'begin',
    'commit',
  ]) {
    assert.ok(!onlyReads(text), text)
  }
})
