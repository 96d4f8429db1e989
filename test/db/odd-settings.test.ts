import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { migrate } from '../../src/db/migrate.ts'
import { capture, dataOf, payloadBytes } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { insertOldRow, OLD_TABLES } from '../support/old-system.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { temporaryFolder } from '../support/tmp.ts'

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/

interface RunPage {
  readonly runs: {
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
    readonly edges: readonly { readonly node: { readonly runId: string; readonly createdAt: string } }[]
  }
}

/** All runs, one a page. */
async function walk(server: TestServer, orderBy: 'CREATED_ASC' | 'CREATED_DESC'): Promise<string[]> {
  const text = `query($after: String, $orderBy: RunOrder!) { runs(first: 1, after: $after, orderBy: $orderBy) {
    pageInfo { hasNextPage endCursor } edges { node { runId createdAt } } } }`
  const found: string[] = []
  for (let after: string | null = null, isMore = true; isMore; ) {
    const { runs }: RunPage = await dataOf<RunPage>(server.graphql(text, { after, orderBy }))
    for (const { node } of runs.edges) {
      assert.match(node.createdAt, RFC_3339, node.runId)
      found.push(node.runId)
    }
    isMore = runs.pageInfo.hasNextPage
    after = runs.pageInfo.endCursor
  }
  return found
}

describe('data 1.13: a database', () => {
  it('may have any settings of its own', async () => {
    for (const settings of [
      { datestyle: "'German, DMY'", timezone: "'Asia/Kolkata'", intervalstyle: 'sql_standard' },
      {
        datestyle: "'SQL, MDY'",
        bytea_output: 'escape',
        standard_conforming_strings: 'off',
        timezone: "'America/New_York'",
      },
    ]) {
      await using database = await freshDatabase({ template: 'empty' })
      const name = new URL(database.url).pathname.slice(1)
      for (const [setting, value] of Object.entries(settings)) {
        await query(database.url, `alter database ${name} set ${setting} = ${value}`)
      }
      await migrate(database.url)
      await using folder = await temporaryFolder()
      await using server = await startServer({ store: { databaseUrl: database.url, storagePath: folder.path } })
      const { snapshot } = await capture(server, { runId: 'b', stepId: 's', payload: { a: 1 }, idempotencyKey: 'k\\' })
      await capture(server, { runId: 'a', payload: 1 })
      const again = await capture(server, { runId: 'b', stepId: 's', payload: { a: 1 }, idempotencyKey: 'k\\' })
      assert.equal(again.snapshot.snapshotId, snapshot.snapshotId)
      assert.equal((await payloadBytes(server, snapshot.snapshotId)).toString(), '{"a":1}')
      assert.deepEqual(await walk(server, 'CREATED_ASC'), ['b', 'a'])
      const [recent] = await dataOf<RunPage>(
        server.graphql(
          `{ runs(filter: { createdFrom: "${new Date(Date.now() - 60_000).toISOString()}" }) { edges { node { runId } } } }`,
        ),
      ).then(({ runs }) => runs.edges)
      assert.equal(recent?.node.runId, 'a')
    }
  })

  it('may hold times that RFC 3339 cannot say: each is shown as the nearest it can, and keeps its place in lists', async () => {
    await using database = await freshDatabase({ template: 'empty' })
    await query(database.url, OLD_TABLES.first)
    const order = [
      ['since ever', '-infinity'],
      ['ides', '0044-03-15 12:00+00 BC'],
      ['first', '0001-01-01 00:00+00'],
      ['today', '2026-11-23 01:41:09.123456+00'],
      ['today too', '2026-11-23 01:41:09.123456+00'],
      ['last', '9999-12-31 23:59:59.999999+00'],
      ['beyond', '10000-01-01 04:59:59.999999+00'],
      ['milliseconds as seconds', '58059-08-12 00:00+00'],
      ['for ever', 'infinity'],
    ] as const
    for (const [runId, createdAt] of order) await insertOldRow(database.url, { runId, createdAt, snapshot: '1' })
    await migrate(database.url)
    await using folder = await temporaryFolder()
    await using server = await startServer({ store: { databaseUrl: database.url, storagePath: folder.path } })
    const names = order.map(([runId]) => runId)
    assert.deepEqual(await walk(server, 'CREATED_ASC'), names)
    assert.deepEqual(await walk(server, 'CREATED_DESC'), names.toReversed())
    await query(
      database.url,
      "update statelens_runs set started_at = '-infinity', ended_at = case run_id when 'ides' then now() else 'infinity' end",
    )
    const { runs } = await dataOf<{ runs: { edges: { node: Record<string, unknown> }[] } }>(
      server.graphql(
        '{ runs(first: 2, orderBy: CREATED_ASC) { edges { node { startedAt endedAt durationMs createdAt } } } }',
      ),
    )
    assert.deepEqual(runs.edges[0]?.node, {
      startedAt: '0001-01-01T00:00:00Z',
      endedAt: '9999-12-31T23:59:59.999999Z',
      durationMs: null,
      createdAt: '0001-01-01T00:00:00Z',
    })
    assert.equal(runs.edges[1]?.node['durationMs'], null)
  })
})
