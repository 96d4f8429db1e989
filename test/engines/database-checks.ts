import assert from 'node:assert/strict'
import { it } from 'node:test'
import { lookAtDatabase } from '../../src/commands/doctor/database.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { migrate, pendingMigrations } from '../../src/db/migrate.ts'
import { dataOf } from '../support/answers.ts'
import { freshDatabase } from '../support/database.ts'
import { insertOldRow, OLD_TABLES } from '../support/old-system.ts'
import { eventually } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { startServer } from '../support/server.ts'
import { sweepOnce } from '../support/store.ts'
import { checkCaptures, checkEvents, checkLists, checkVerify } from './checks.ts'

it('migrates twice, captures, reads, lists, watches, verifies, deletes and sweeps', async () => {
  await using database = await freshDatabase({ template: 'empty' })
  await migrate(database.url)
  assert.deepEqual(await migrate(database.url), { applied: [] })
  await using server = await startServer()
  await checkCaptures(server, 2_000_000)
  await checkLists(server)
  await checkEvents(server)
  await checkVerify(server)
  await dataOf(server.graphql('mutation { deleteRun(runId: "run") { deleted } }'))
  await sweepOnce(server)
  // The server's own sweeper may have taken some of them first.
  await eventually(async () => assert.deepEqual(await query(server.databaseUrl, 'select 1 from statelens_objects'), []))
})

it('adopts a table of the old system, and has nothing to complain of', async () => {
  await using database = await freshDatabase({ template: 'empty' })
  await query(database.url, OLD_TABLES.first)
  for (let n = 0; n < 50; n++) await insertOldRow(database.url, { runId: `run ${n % 7}`, snapshot: `{"n":${n}}` })
  await migrate(database.url)
  assert.deepEqual(await pendingMigrations(database.url), [])
  const db = createDatabase({ url: database.url })
  const { findings } = await lookAtDatabase(db, database.url).finally(() => db.close())
  assert.deepEqual(
    findings.filter(({ mark }) => mark === 'wrong'),
    [],
  )
  const count = await query<{ n: number }>(database.url, 'select count(*)::int as n from statelens_runs')
  assert.deepEqual(count, [{ n: 7 }])
})
