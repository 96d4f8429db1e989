import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lookAtRows } from '../../src/commands/doctor/rows.ts'
import { runGc } from '../../src/commands/gc.ts'
import { readConfig } from '../../src/config.ts'
import { createDatabase } from '../../src/db/connect.ts'
import { createLogger } from '../../src/log.ts'
import { insertAged } from '../support/aged.ts'
import { filesBelow } from '../support/objects.ts'
import { startProcess } from '../support/process.ts'
import { countRows, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { watchBy } from '../support/watching.ts'

const OBJECTS = { SNAPSHOT_INLINE_MAX_BYTES: '10' }
/** Shows a process another time than the database's. */
const TEN_YEARS_ON = `data:text/javascript,${encodeURIComponent(`
  const Real = Date; const on = 10 * 365 * 86400000
  globalThis.Date = class extends Real {
    constructor(...args) { if (args.length) super(...args); else super(Real.now() + on) }
    static now() { return Real.now() + on }
  }`)}`

async function capture({ app }: TestServer, runId: string, count: number, expiresAt?: string): Promise<void> {
  for (let n = 0; n < count; n++) {
    await app.writer.capture(
      { runId, stepId: 'step', expiresAt },
      Buffer.from(JSON.stringify(`${runId} ${n}`.repeat(5))),
    )
  }
}

async function gc(
  { databaseUrl, storagePath }: TestServer,
  wish: { dry?: boolean; force?: boolean; env?: object } = {},
) {
  let printed = ''
  const lines: Record<string, unknown>[] = []
  const settings = { DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath, ...wish.env }
  const code = await runGc({
    config: { ...readConfig(settings), databaseUrl },
    isDryRun: wish.dry === true,
    isForced: wish.force === true,
    output: { write: (text: string) => (printed += text) },
    log: createLogger({ output: { write: (line) => void lines.push(JSON.parse(line)) } }),
    signal: new AbortController().signal,
  })
  return { code, printed, audited: lines.filter(({ audit }) => audit === 'expired') }
}

async function gcByProcess(
  { databaseUrl, storagePath }: TestServer,
  args: readonly string[],
  more = {},
  nodeArgs: readonly string[] = [],
) {
  const env = { DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath, ...more }
  await using running = startProcess({ args: ['gc', ...args], env, nodeArgs })
  const { code } = await running.exited
  return { code, stdout: running.stdout(), stderr: running.stderr() }
}

describe('statelens gc', { concurrency: true }, () => {
  it('deletes what is past its end with its bytes, and nothing else; first it tells', async () => {
    await using server = await startServer({ env: OBJECTS })
    await capture(server, 'past', 3)
    await capture(server, 'kept', 12)
    await server.app.writer.upsertRun({ runId: 'past', expiresAt: '2020-01-01T00:00:00Z' })
    const dry = await gcByProcess(server, ['--dry-run'], { RETENTION_MAX_PERCENT: '50' })
    assert.deepEqual([dry.code, dry.stderr], [0, ''])
    assert.equal(dry.stdout, '1 run and 3 states past their end, of 2 runs and 15 states.\n')
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 15)
    const { code, printed, audited } = await gc(server, { env: { RETENTION_MAX_PERCENT: '50' } })
    assert.equal(code, 0)
    assert.deepEqual(printed.split('\n').slice(1), ['1 run and 3 states deleted.', '3 objects deleted.', ''])
    assert.deepEqual(
      audited.map(({ runId, states, isRun }) => [runId, states, isRun]),
      [['past', 3, true]],
    )
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 12)
    assert.equal((await filesBelow(server.storagePath)).length, 12)
    assert.deepEqual((await server.graphql('{ run(runId: "past") { runId } }')).data, { run: null })
  })

  it('I9: ends with 2, and deletes nothing, where it would be too much; --force does it', async () => {
    await using server = await startServer({ env: OBJECTS })
    await capture(server, 'past', 3, '2020-01-01T00:00:00Z')
    await capture(server, 'kept', 3)
    const refused = await gcByProcess(server, [])
    assert.equal(refused.code, 2)
    assert.match(refused.stdout, /more than 20 percent \(RETENTION_MAX_PERCENT\), so nothing is deleted/)
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 6)
    const db = createDatabase({ url: server.databaseUrl })
    const doctor = async () => (await lookAtRows(db)).map(({ mark, text }) => `${mark} ${text}`).join('\n')
    assert.match(await doctor(), /^warn more is past its end than RETENTION_MAX_PERCENT allows/m)
    assert.equal((await gc(server, { force: true })).code, 0)
    assert.equal((await filesBelow(server.storagePath)).length, 3)
    assert.match(await doctor(), /^ok what was past its end was deleted, last /m)
    await db.close()
  })

  it('I9: goes by the clock of the database, however wrong that of its machine is', async () => {
    await using server = await startServer({ env: OBJECTS })
    await capture(server, 'in a year', 2, new Date(Date.now() + 31_536_000_000).toISOString())
    await capture(server, 'silent for minutes', 2)
    await capture(server, 'past', 1, '2020-01-01T00:00:00Z')
    const env = { RETENTION_DAYS: '30', RETENTION_MAX_PERCENT: '90' }
    const { code, stdout } = await gcByProcess(server, [], env, ['--import', TEN_YEARS_ON])
    assert.equal(code, 0, stdout)
    assert.match(stdout, /0 runs and 1 state deleted/)
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 4)
  })

  it('I8: that is killed goes on where it was, and ends with nothing of it', async () => {
    await using server = await startServer({ env: OBJECTS })
    await insertAged(server.databaseUrl, { runId: 'past', states: 10_000, runExpires: -1, isInline: true })
    await insertAged(server.databaseUrl, { runId: 'states', states: 3000, stateExpires: -1, isInline: true })
    const env = { DATABASE_URL: server.databaseUrl, SNAPSHOT_STORAGE_PATH: server.storagePath }
    await using running = startProcess({ args: ['gc', '--force'], env })
    for (;;) if ((await countRows(server.databaseUrl, 'state_snapshots')) < 13_000) break
    await running.stop('SIGKILL')
    // Its turn ends by itself, a minute later.
    await query(server.databaseUrl, 'update statelens_passes set held_until = now()')
    assert.equal((await gc(server, { force: true })).code, 0)
    for (const table of ['state_snapshots', 'statelens_deletions'])
      assert.equal(await countRows(server.databaseUrl, table), 0)
  })

  it('ends with 1 where bytes could not be deleted yet', async () => {
    await using server = await startServer({ env: OBJECTS })
    await capture(server, 'past', 1, '2020-01-01T00:00:00Z')
    await query(server.databaseUrl, "update statelens_objects set storage_uri = 's3://elsewhere/key'")
    const { code, printed } = await gc(server, { force: true })
    assert.equal(code, 1)
    assert.match(printed, /0 objects deleted, 1 could not be/)
  })
})

it('what a server deletes by itself is told to who watches, as a delete by hand is', async () => {
  await using server = await startServer({
    env: { ...OBJECTS, RETENTION_MAX_PERCENT: '100' },
    retention: { everySeconds: 0, lookSeconds: 0.05 },
  })
  await capture(server, 'run', 1)
  await using watching = await watchBy('SSE', server.url, 'subscription { runEvents(runId: "run") { __typename } }')
  await watching.until('CaughtUp')
  await server.app.writer.upsertRun({ runId: 'run', expiresAt: '2020-01-01T00:00:00Z' })
  await watching.until('RunEnded')
  assert.deepEqual((await server.graphql('{ run(runId: "run") { runId } }')).data, { run: null })
})
