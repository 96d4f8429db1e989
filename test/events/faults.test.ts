import assert from 'node:assert/strict'
import { join } from 'node:path'
import { it } from 'node:test'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { isCaughtUp, type Received, RUN_EVENTS, snapshotIds, startLive } from '../support/live.ts'
import { startPgbouncer } from '../support/pgbouncer.ts'
import { insertForeign } from '../support/rows.ts'
import { pgbouncer } from '../support/services.ts'
import { temporaryFolder } from '../support/tmp.ts'

const has = (id: string) => (received: Received) => snapshotIds([received]).includes(id)

it('PostgreSQL is restarted: who watches loses nothing, and who comes meanwhile is told to come again', async () => {
  await using folder = await temporaryFolder()
  const options = { dataDir: join(folder.path, 'postgres'), settings: { fsync: 'off', max_connections: '30' } }
  let postgres = await startEmbeddedPostgres(options)
  // Its port is another one after the restart, and that of the proxy is not.
  const target = { host: '127.0.0.1', port: Number(new URL(postgres.url).port) }
  await using proxy = await startFaultProxy(target)
  const url = new URL(postgres.url)
  url.port = String(proxy.port)
  try {
    await migrate(postgres.url)
    await using live = startLive({ databaseUrl: url.href })
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'restart' })
    await watcher.until(isCaughtUp)
    const before = await insertForeign(postgres.url, { runId: 'restart', payload: '1' })
    await watcher.until(has(before))
    await postgres.stop()
    const refused = await live.ask(RUN_EVENTS, { runId: 'restart' })
    assert.ok('errors' in refused)
    assert.deepEqual(
      refused.errors?.map(({ extensions }) => extensions['retryable']),
      [true],
    )
    postgres = await startEmbeddedPostgres(options)
    target.port = Number(new URL(postgres.url).port)
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push(await insertForeign(postgres.url, { runId: 'restart', payload: '1' }))
    const told = await watcher.until(has(ids.at(-1) ?? ''))
    assert.deepEqual(snapshotIds(told), ids)
    await watcher.stream.return()
  } finally {
    await postgres.stop()
  }
})

await describeWith('behind PgBouncer in transaction mode', pgbouncer, (program) => {
  it('who watches is told each capture once', async () => {
    await using database = await freshDatabase()
    await using pooler = await startPgbouncer(program, database.url, { mode: 'transaction' })
    await using live = startLive({ databaseUrl: pooler.url })
    const watcher = await live.subscribe(RUN_EVENTS, { runId: 'pooled' })
    await watcher.until(isCaughtUp)
    const ids: string[] = []
    for (let i = 0; i < 10; i++) ids.push(await insertForeign(database.url, { runId: 'pooled', payload: '1' }))
    assert.deepEqual(snapshotIds(await watcher.until(has(ids.at(-1) ?? ''))), ids)
    await watcher.stream.return()
  })
})
