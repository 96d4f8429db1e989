import assert from 'node:assert/strict'
import { it } from 'node:test'
import { sql } from 'kysely'
import { lookAtDatabase } from '../../src/commands/doctor/database.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { migrate, pendingMigrations } from '../../src/db/migrate.ts'
import { capture, dataOf, payloadBytes } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { insertOldRow, OLD_TABLES } from '../support/old-system.ts'
import { IGNORING, startPgbouncer } from '../support/pgbouncer.ts'
import { put } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { pgbouncer } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const WAYS = [
  { name: 'as it comes, in transaction mode', mode: 'transaction', settings: [] },
  { name: 'dropping what it does not know, in transaction mode', mode: 'transaction', settings: [IGNORING] },
  { name: 'as it comes, in session mode', mode: 'session', settings: ['default_pool_size = 30'] },
] as const

/** Twenty clients at once, each with every kind of request in turn. */
async function mixedOperations(server: TestServer, operations: number): Promise<void> {
  const client = async (number: number) => {
    const runId = `run ${number % 4}`
    for (let i = 0; i < operations / 20 / 5; i++) {
      const { snapshot } = await capture(server, { runId, stepId: `step ${i}`, payload: { number, i } })
      assert.equal((await put(server.url, `[${number},${i}]`, { runId, stepId: 'put' })).status, 201)
      assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), JSON.stringify({ number, i }))
      await dataOf(server.graphql('{ runs(first: 5) { edges { node { runId stats { snapshotCount } } } } }'))
      await dataOf(server.graphql(`mutation { upsertRun(input: { runId: "${runId}", status: RUNNING }) { runId } }`))
    }
  }
  await Promise.all(Array.from({ length: 20 }, (_, number) => client(number)))
}

const LOCKS = `select pid from pg_locks
  where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`

await describeWith('a database behind PgBouncer', pgbouncer, (program) => {
  for (const { name, ...options } of WAYS) {
    it(`${name}: serves all that it serves without`, async () => {
      await using database = await freshDatabase({ template: 'empty' })
      await using pooler = await startPgbouncer(program, database.url, options)
      assert.deepEqual((await migrate(pooler.url)).applied, await migrationsOf())
      assert.deepEqual(await query(database.url, LOCKS), [])
      assert.deepEqual(await migrate(database.url), { applied: [] }, 'nobody is kept waiting')
      await using folder = await temporaryFolder()
      await using server = await startServer({ store: { databaseUrl: pooler.url, storagePath: folder.path } })
      await mixedOperations(server, 200)
      const db = createDatabase({ url: pooler.url })
      const { findings, isReadable } = await lookAtDatabase(db, pooler.url)
      await db.close()
      assert.ok(isReadable)
      assert.match(findings.map(({ text }) => text).join('\n'), /a pooler is on the way/)
    })
  }

  it('ends statements whose time is over, and leaves nothing with a connection that serves others', async () => {
    await using database = await freshDatabase()
    await using pooler = await startPgbouncer(program, database.url, {
      mode: 'transaction',
      settings: ['default_pool_size = 1'],
    })
    const db = createDatabase({ url: `${pooler.url}?statement_timeout=300` })
    await assert.rejects(db.rows(sql`select pg_sleep(20)`), { code: 'DATABASE_TIMEOUT' })
    const inTransaction = db.kysely.transaction().execute((tx) => sql`select pg_sleep(20)`.execute(tx))
    await assert.rejects(inTransaction, { code: 'DATABASE_TIMEOUT' })
    await assert.rejects(sql`select pg_sleep(20)`.execute(db.kysely), { code: 'DATABASE_TIMEOUT' })
    assert.deepEqual(await db.rows(sql`select current_setting('statement_timeout'), current_setting('lock_timeout')`), [
      ['0', '0'],
    ])
    const reader = createDatabase({ url: pooler.url, isReadOnly: true })
    await assert.rejects(sql`insert into statelens_runs (run_id) values ('no')`.execute(reader.kysely), {
      code: 'DATABASE_UNAVAILABLE',
    })
    await sql`insert into statelens_runs (run_id) values ('yes')`.execute(db.kysely)
    await Promise.all([db.close(), reader.close()])
  })

  it('adopts an old table through it', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, OLD_TABLES.first)
    for (let n = 0; n < 20; n++) await insertOldRow(database.url, { runId: `run ${n % 3}`, snapshot: `${n}` })
    await using pooler = await startPgbouncer(program, database.url, { mode: 'transaction' })
    await migrate(pooler.url)
    assert.deepEqual(await pendingMigrations(database.url), [])
    assert.deepEqual(await query(database.url, LOCKS), [])
  })
})

async function migrationsOf(): Promise<readonly string[]> {
  await using database = await freshDatabase({ template: 'empty' })
  return await pendingMigrations(database.url)
}
