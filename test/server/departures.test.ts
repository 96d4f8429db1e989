import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, it } from 'node:test'
import pg from 'pg'
import { ANYONE, type Viewer } from '../../src/auth/viewer.ts'
import { createDatabase } from '../../src/db/connect.ts'
import type { Services } from '../../src/graphql/context.ts'
import { createGraphqlServer, type GraphqlServer } from '../../src/server/yoga.ts'
import { createReader } from '../../src/snapshots/reader.ts'
import { dataOf } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'

/** Statements that wait or work in PostgreSQL now, but for those of this question. */
async function activeStatements(url: string): Promise<number> {
  const [row] = await query<{ count: string }>(
    url,
    `select count(*) from pg_stat_activity
     where datname = current_database() and state = 'active' and pid <> pg_backend_pid() and application_name = 'statelens'`,
  )
  return Number(row?.count)
}

async function waitFor(url: string, isReached: (count: number) => boolean, millis: number): Promise<number> {
  const end = performance.now() + millis
  for (;;) {
    const count = await activeStatements(url)
    if (isReached(count) || performance.now() > end) return count
  }
}

/** Keeps everybody else from a table until it is disposed of. */
async function lockTable(url: string, table: string): Promise<AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`begin; lock table ${table} in access exclusive mode`)
  return { [Symbol.asyncDispose]: () => client.end() }
}

const SLOW = `{ run(runId: "run") { ${Array.from(
  { length: 60 },
  (_, index) =>
    `a${index}: snapshots(first: 1, filter: { createdBefore: "2026-01-01T00:00:00.${String(index).padStart(6, '0')}Z" }) { nodes { seq } }`,
).join(' ')} } }`

describe('a client', () => {
  it('data 1.7: of 60 lists at once leaves room for others, and when it goes its statements end', async () => {
    await using server = await startServer()
    await dataOf(server.graphql('mutation { upsertRun(input: { runId: "run" }) { runId } }'))
    const other = '{ runs(first: 1) { nodes { runId } } }'
    await dataOf(server.graphql(other))
    await using _lock = await lockTable(server.databaseUrl, 'state_snapshots')
    const { hostname, port } = new URL(server.url)
    const asked = request({
      hostname,
      port,
      method: 'POST',
      path: '/graphql',
      headers: { 'content-type': 'application/json' },
    })
    asked.on('error', () => {})
    asked.end(JSON.stringify({ query: SLOW }))
    const atOnce = await waitFor(server.databaseUrl, (count) => count >= 3, 2000)
    assert.ok(atOnce >= 2 && atOnce <= 4, `${atOnce} at once`)
    const took: number[] = []
    for (let i = 0; i < 3; i++) {
      const start = performance.now()
      await dataOf(server.graphql(other))
      took.push(performance.now() - start)
    }
    assert.ok(Math.min(...took) < 250, `another client waited ${took} ms`)
    asked.destroy()
    assert.equal(await waitFor(server.databaseUrl, (count) => count === 0, 250), 0)
  })
})

describe('a query', () => {
  it('N12: has a deadline as a whole, tells it at each place, and leaves no statement behind', async () => {
    await using database = await freshDatabase()
    const db = createDatabase({ url: database.url })
    try {
      await query(database.url, `insert into statelens_runs (run_id) values ('run')`)
      const services = {
        readers: { forViewer: (_viewer: Viewer, signal: AbortSignal) => createReader(db.share(signal)) },
      } as unknown as Services
      const hidden: unknown[] = []
      const onHiddenError = (error: unknown) => hidden.push(error)
      const [unhurried, graphql] = [undefined, 1000].map((queryMillis) =>
        createGraphqlServer({ services, queryMillis, onHiddenError }),
      ) as [GraphqlServer, GraphqlServer]
      const asker = { viewer: ANYONE, signal: new AbortController().signal }
      const text = '{ run(runId: "run") { runId latestSnapshot { seq } stateAt(seq: 5) { seq } } }'
      const execute = (by: GraphqlServer) => by.execute({ query: text }, 'POST', asker)
      assert.deepEqual(await execute(unhurried), {
        data: { run: { runId: 'run', latestSnapshot: null, stateAt: null } },
      })
      await using _lock = await lockTable(database.url, 'state_snapshots')
      const start = performance.now()
      const answer = await execute(graphql)
      const took = performance.now() - start
      assert.ok(took > 900 && took < 1900, `${took} ms`)
      assert.ok(answer && 'errors' in answer)
      assert.deepEqual(answer.data, { run: { runId: 'run', latestSnapshot: null, stateAt: null } })
      for (const { extensions } of answer.errors ?? []) {
        assert.deepEqual(extensions, { code: 'DATABASE_TIMEOUT', retryable: true })
      }
      assert.deepEqual(
        answer.errors?.map(({ path }) => path),
        [
          ['run', 'latestSnapshot'],
          ['run', 'stateAt'],
        ],
      )
      assert.equal(await waitFor(database.url, (count) => count === 0, 1000), 0)
      assert.deepEqual(hidden, [])
    } finally {
      await db.close()
    }
  })
})
