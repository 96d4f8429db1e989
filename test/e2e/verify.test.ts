import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { runVerify } from '../../src/commands/verify.ts'
import { readConfig } from '../../src/config.ts'
import { freshDatabase } from '../support/database.ts'
import { describeWith } from '../support/describe-with.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { openObjects, s3Env } from '../support/objects.ts'
import { insertOldRow } from '../support/old-system.ts'
import { startProcess } from '../support/process.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'

const OBJECTS = { SNAPSHOT_INLINE_MAX_BYTES: '100' }
const CANARY = 'canary-payload'
const RUN = 'a run: "quoted" 🦉'

describe('statelens verify', { concurrency: true }, () => {
  it('ends with 0 where all that can be checked is intact, and records that', async () => {
    await using server = await startServer({ env: OBJECTS })
    for (const sizeBytes of [10, 1000, 5_000_000]) await captured(server, sizeBytes)
    await insertForeign(server.databaseUrl, { payload: '{"old":true}' })
    const { code, lines } = await verify(server)
    assert.equal(code, 0)
    assert.deepEqual(countsIn(lines), { verified: 3, 'not verifiable': 1 })
    assert.deepEqual(await integrities(server), ['VERIFIED', 'VERIFIED', 'VERIFIED', 'NOT_VERIFIABLE'])
  })

  it('ends with 2 where something is missing or corrupt, with a line for each payload that is not well', async () => {
    await using server = await startServer({ env: OBJECTS })
    using objects = openObjects(server)
    const [gone, changed, good] = [
      await captured(server, 200),
      await captured(server, 300),
      await captured(server, 400),
    ]
    await objects.remove(gone.storageUri)
    await objects.replace(changed.storageUri, Buffer.alloc(changed.sizeBytes, CANARY))
    const odd = await insertForeign(server.databaseUrl, { runId: RUN, storageUri: 'file:///odd.json' })
    await objects.put('file:///odd.json', `{"${CANARY}": NaN}`)
    const far = await insertForeign(server.databaseUrl, { runId: RUN, storageUri: 's3://elsewhere/key' })
    const { code, lines, stdout, stderr } = await verifyByProcess(server)
    assert.deepEqual([code, stderr], [2, ''])
    const run = JSON.stringify(RUN)
    assert.deepEqual(
      lines.slice(0, 4).map((line) => line.split(/ {2,}/)),
      [
        ['OBJECT_MISSING', gone.snapshotId, run],
        ['OBJECT_CORRUPT', changed.snapshotId, run],
        ['INVALID_PAYLOAD', odd, run],
        ['UNSUPPORTED_STORAGE_SCHEME', far, run],
      ],
    )
    assert.deepEqual(countsIn(lines), { verified: 1, 'not JSON': 1, missing: 1, corrupt: 1, unreadable: 1 })
    for (const secret of [CANARY, 'file:', 'elsewhere', server.storagePath]) assert.ok(!stdout.includes(secret), secret)
    assert.deepEqual(await integrities(server), [null, 'MISMATCH', 'VERIFIED', 'NOT_VERIFIABLE', null])
    assert.equal(good.sizeBytes, 400)
  })

  it('ends with 1 where something could not be read, and nothing is known to be wrong', async () => {
    await using server = await startServer({ env: OBJECTS })
    await insertForeign(server.databaseUrl, { storageUri: 'gs://bucket/key' })
    await captured(server, 200)
    const { code, lines } = await verify(server)
    assert.equal(code, 1)
    assert.deepEqual(countsIn(lines), { verified: 1, unreadable: 1 })
  })

  it('takes one run, or what comes after a snapshot', async () => {
    await using server = await startServer({ env: OBJECTS })
    await captured(server, 10)
    const { seq } = await captured(server, 20)
    await captured(server, 30, 'another run')
    assert.deepEqual(countsIn((await verify(server, { args: { run: RUN } })).lines), { verified: 2 })
    assert.deepEqual(countsIn((await verify(server, { args: { run: 'no run' } })).lines), {})
    assert.deepEqual(countsIn((await verify(server, { args: { after: String(seq) } })).lines), { verified: 1 })
  })

  it('refuses arguments that mean nothing, and a database that lacks a migration', async () => {
    await using server = await startServer()
    const wrong: readonly VerifyWish['args'][] = [
      { after: 'x' },
      { after: '-1' },
      { run: '' },
      { 'max-mb-per-second': '0' },
    ]
    for (const args of wrong) await assert.rejects(verify(server, { args }), /--\w/)
    const { code: unknown, stdout } = await verifyByProcess(server, ['--fast'])
    assert.deepEqual([unknown, stdout], [1, ''])
    await using database = await freshDatabase({ template: 'empty' })
    const { code, stderr } = await verifyByProcess({ ...server, databaseUrl: database.url })
    assert.equal(code, 1)
    assert.match(stderr, /statelens migrate/)
  })

  it('says where to go on when it is told to stop, and leaves nothing out from there', async () => {
    await using server = await startServer({ env: OBJECTS })
    for (let i = 0; i < 20; i++) await captured(server, 100_000)
    await using running = startVerify(server, ['--max-mb-per-second', '0.5'])
    await seen(server, 3)
    assert.deepEqual(await running.stop('SIGINT'), { code: 1, signal: null })
    const [, after = ''] = /--after (\d+)\n$/.exec(running.stdout()) ?? []
    const { verified = 0 } = countsIn(running.stdout().split('\n'))
    assert.ok(verified >= 3 && verified < 20)
    const rest = await verify(server, { args: { after } })
    assert.deepEqual([rest.code, countsIn(rest.lines)], [0, { verified: 20 - verified }])
    assert.equal(await seen(server, 20), 20)
  })

  it('reads no faster than it may', async () => {
    await using server = await startServer({ env: OBJECTS })
    for (let i = 0; i < 3; i++) await captured(server, 500_000)
    const began = performance.now()
    const { code } = await verify(server, { args: { 'max-mb-per-second': '1' } })
    assert.equal(code, 0)
    assert.ok(performance.now() - began > 1400)
  })

  it('settles states that are there twice anew: on the object once it is there, on the row when it is not', async () => {
    await using server = await startServer({ env: OBJECTS })
    using objects = openObjects(server)
    const text = `{"zeta": "${'x'.repeat(2000)}"}`
    const digest = createHash('sha256').update(text).digest()
    const row = { runId: RUN, digest, snapshot: text }
    await insertOldRow(server.databaseUrl, { ...row, storageUri: 'object-storage://a.json' })
    await insertOldRow(server.databaseUrl, { ...row, storageUri: 'object-storage://b.json' })
    const settled = () =>
      query(
        server.databaseUrl,
        'select reads_inline as row, integrity, storage_state as state from state_snapshots order by seq',
      )
    await objects.put('file:///b.json', text)
    assert.equal((await verify(server)).code, 0)
    const onRow = { row: true, integrity: 'NOT_VERIFIABLE', state: 'AVAILABLE' }
    const onObject = { row: false, integrity: 'VERIFIED', state: 'AVAILABLE' }
    assert.deepEqual(await settled(), [onRow, onObject])
    await objects.put('file:///a.json', text)
    await objects.replace('file:///b.json', 'another')
    assert.equal((await verify(server)).code, 0)
    assert.deepEqual(await settled(), [onObject, onRow])
  })
})

await describeWith('statelens verify with S3', s3, (service) => {
  it('stops when storage goes away in the middle, and calls nothing missing', async () => {
    const { hostname, port } = new URL(service.endpoint)
    await using proxy = await startFaultProxy({ host: hostname, port: Number(port) })
    const env = { ...s3Env({ ...service, endpoint: `http://${proxy.host}:${proxy.port}` }), ...OBJECTS }
    await using server = await startServer({ env })
    for (let i = 0; i < 6; i++) await captured(server, 3_000_000)
    const running = verify(server, { args: { 'max-mb-per-second': '5' }, env })
    await seen(server, 2)
    await proxy.refuse()
    proxy.resetNow()
    const { code, printed } = await running
    assert.equal(code, 1)
    assert.match(printed, /\(STORAGE_UNAVAILABLE\)\. To go on from here: --after \d+\n$/)
    assert.doesNotMatch(printed, /OBJECT_MISSING/)
    const states = await query(server.databaseUrl, 'select distinct storage_state as state from state_snapshots')
    assert.deepEqual(states, [{ state: 'AVAILABLE' }])
    await proxy.heal()
    const [, after = ''] = /--after (\d+)\n$/.exec(printed) ?? []
    assert.equal((await verify(server, { args: { after }, env })).code, 0)
    assert.equal(await seen(server, 6), 6)
  })
})

/** A state of so many bytes. */
async function captured({ app }: TestServer, sizeBytes: number, runId = RUN) {
  const payload = Buffer.from(JSON.stringify('x'.repeat(sizeBytes - 2)))
  const { snapshot } = await app.writer.capture({ runId, stepId: 'step' }, payload)
  return { ...snapshot, sizeBytes, storageUri: snapshot.storageUri ?? '' }
}

function startVerify({ databaseUrl, storagePath }: TestServer, args: readonly string[] = []) {
  const env = { DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath }
  return startProcess({ args: ['verify', ...args], env })
}

/** The command as a process of its own. */
async function verifyByProcess(server: TestServer, args: readonly string[] = []) {
  await using running = startVerify(server, args)
  const { code } = await running.exited
  return { code, stdout: running.stdout(), stderr: running.stderr(), lines: running.stdout().split('\n') }
}

interface VerifyWish {
  readonly args?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

/** The same in this process, without a wait for a store that is away. */
async function verify({ databaseUrl, storagePath }: TestServer, { args = {}, env = {} }: VerifyWish = {}) {
  const settings = { DATABASE_URL: databaseUrl, SNAPSHOT_STORAGE_PATH: storagePath, ...env }
  let printed = ''
  const output = {
    write(text: string) {
      printed += text
    },
  }
  const { signal } = new AbortController()
  const code = await runVerify({ config: { ...readConfig(settings), databaseUrl }, args, output, signal, pauseMs: 10 })
  return { code, printed, lines: printed.split('\n') }
}

/** The rows of the table at the end that count something. */
function countsIn(lines: readonly string[]): Record<string, number> {
  const rows = lines.flatMap((line) => {
    const [, what, count] = /^(verified|not verifiable|not JSON|missing|corrupt|unreadable) +(\d+)$/.exec(line) ?? []
    return what === undefined || Number(count) === 0 ? [] : [[what, Number(count)] as const]
  })
  return Object.fromEntries(rows)
}

async function integrities({ databaseUrl }: TestServer): Promise<readonly (string | null)[]> {
  const rows = await query<{ integrity: string | null }>(
    databaseUrl,
    'select integrity from state_snapshots order by seq',
  )
  return rows.map(({ integrity }) => integrity)
}

/** Resolves when at least so many snapshots were verified, with their number. */
async function seen({ databaseUrl }: TestServer, least: number): Promise<number> {
  for (;;) {
    const [row] = await query<{ count: string }>(databaseUrl, 'select count(verified_at) from state_snapshots')
    if (Number(row?.count) >= least) return Number(row?.count)
  }
}
