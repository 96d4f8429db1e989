import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { startProcess } from '../support/process.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/tmp.ts'
import { exported, imported, kept, runAndSteps } from './moves.ts'

const RUN = 'a run: "quoted"/../🦉 \n%2F'
const ODD = '{"a":1.0,"a":-0, "n":1e400,"big":12345678901234567890,"z":"\\u0000"}'

describe('a run as a file', { concurrency: true }, () => {
  let server: TestServer
  let folder: TemporaryFolder
  let file: Buffer
  before(async () => {
    server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '1000' } })
    folder = await temporaryFolder()
    await record(server)
    const { code, file: written } = await exported(server, RUN)
    assert.equal(code, 0)
    file = written
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  it('comes back in another store as it was, and changes nothing the second time', async () => {
    await using other = await startServer()
    const first = await imported(other, { input: file })
    assert.deepEqual([first.code, first.counts], [0, { taken: 8 }], first.told)
    assert.deepEqual(await kept(other, RUN), await kept(server, RUN))
    assert.deepEqual(await runAndSteps(other, RUN), await runAndSteps(server, RUN))
    const again = await imported(other, { input: file })
    assert.deepEqual([again.code, again.counts], [0, { taken: 0, 'there already': 8 }])
    const { file: second } = await exported(other, RUN)
    assert.deepEqual(statesIn(await list(second)), statesIn(await list(file)))
    const repeated = await other.app.writer.capture(
      { runId: RUN, stepId: 's 1', idempotencyKey: 'mine' },
      Buffer.from('1'),
    )
    assert.equal(repeated.created, false)
    assert.deepEqual(await payloadsOf(other), await payloadsOf(server))
  })

  it('is a tar that other programs take apart', async () => {
    const at = `${folder.path}/run.tar`
    assert.equal((await exported(server, RUN, at)).code, 0)
    assert.equal((await stat(at)).mode & 0o777, 0o600)
    assert.deepEqual(await readFile(at), file)
    await assert.rejects(exported(server, RUN, at), /there already/)
    const run = promisify(execFile)
    const { stdout, stderr } = await run('tar', ['-tf', at])
    assert.equal(stderr, '')
    assert.deepEqual(stdout.split('\n').slice(0, 5), [
      'manifest.json',
      'run.json',
      'steps/00000001.jsonl',
      'snapshots/00000001.meta.json',
      'snapshots/00000001.state.json',
    ])
    const { stdout: odd } = await run('tar', ['-xOf', at, 'snapshots/00000001.state.json'])
    assert.equal(odd, ODD)
    // What such a program has made of it again is taken as well.
    await run(
      'sh',
      [
        '-c',
        'mkdir x && tar -xf run.tar -C x && tar -cf again.tar --sort=name -C x ./manifest.json ./run.json ./steps ./snapshots',
      ],
      {
        cwd: folder.path,
      },
    )
    await using other = await startServer()
    const { code, counts, told } = await imported(other, {
      words: [`${folder.path}/again.tar`],
      args: { 'dry-run': true },
    })
    assert.deepEqual([code, counts], [0, { 'would be taken': 8 }], told)
  })

  it('goes on where it was broken off', async () => {
    await using other = await startServer()
    const cut = await imported(other, { input: file.subarray(0, Math.floor(file.length * 0.6)) })
    assert.equal(cut.code, 1)
    assert.match(cut.told, /cut off behind \d+ bytes/)
    const { taken = 0 } = cut.counts
    assert.ok(taken > 0 && taken < 8, cut.told)
    const rest = await imported(other, { input: file })
    assert.deepEqual([rest.code, rest.counts], [0, { taken: 8 - taken, 'there already': taken }])
    assert.deepEqual(await kept(other, RUN), await kept(server, RUN))
  })

  it('tells where it is damaged, and takes nothing that is not what was written', async () => {
    await using other = await startServer()
    const states = statesIn(await list(file))
    for (const place of [
      10,
      1550,
      file.indexOf('"snapshotId"') + 20,
      file.indexOf('xxxxxxxx') + 5,
      file.length - 1535,
    ]) {
      const damaged = Buffer.from(file)
      damaged[place] = (damaged[place] ?? 0) ^ 1
      const { code, told } = await imported(other, { input: damaged })
      assert.equal(code, 1, `${place} ${told}`)
      assert.match(told, /Stopped: The file is (damaged|no).*Bring one that is whole/)
      const digests = (await kept(other, RUN)).map(({ digest }) => digest)
      assert.deepEqual(digests, states.slice(0, digests.length))
    }
    const whole = await imported(other, { input: file })
    assert.equal(whole.code, 0)
    assert.deepEqual(await kept(other, RUN), await kept(server, RUN))
    for (const input of [Buffer.alloc(0), Buffer.from('{}'), Buffer.alloc(2000)]) {
      assert.equal((await imported(other, { input })).code, 1)
    }
    await writeFile(`${folder.path}/run.tar.gz`, gzipSync(file))
    await assert.rejects(imported(other, { words: [`${folder.path}/run.tar.gz`] }), /gunzip/)
  })

  it('becomes another run of the same store, once', async () => {
    const wish = { input: file, args: { run: 'a copy' } }
    const looked = await imported(server, { ...wish, args: { ...wish.args, 'dry-run': true } })
    assert.deepEqual([looked.code, looked.counts], [0, { 'would be taken': 8 }])
    assert.deepEqual(await kept(server, 'a copy'), [])
    assert.deepEqual((await imported(server, wish)).counts, { taken: 8 })
    assert.deepEqual((await imported(server, wish)).counts, { taken: 0, 'there already': 8 })
    const copies = await kept(server, 'a copy')
    const originals = await kept(server, RUN)
    const named = (row: object) => ({ ...row, id: null, run_id: null })
    assert.deepEqual(copies.map(named), originals.map(named))
  })

  it('comes back after it was deleted, and keeps what has become of it where it is there', async () => {
    await using other = await startServer()
    await imported(other, { input: file })
    await other.app.writer.upsertRun({ runId: RUN, status: 'CANCELED' })
    await imported(other, { input: file })
    const [run] = (await runAndSteps(other, RUN)).runs
    assert.equal(run?.['status'], 'CANCELED')
    await other.app.writer.deleteRun(RUN)
    for (const counts of [{ taken: 8 }, { taken: 0, 'there already': 8 }]) {
      assert.deepEqual((await imported(other, { input: file })).counts, counts)
    }
    const digests = async (of: TestServer) => (await kept(of, RUN)).map(({ digest }) => digest)
    assert.deepEqual((await digests(other)).slice(-8), await digests(server))
  })

  it('is made without states that nobody can read, and says so', async () => {
    await using other = await startServer()
    await insertForeign(other.databaseUrl, {
      runId: 'old',
      payload: '{"b": 1, "a": 2}',
      createdAt: '2020-01-02T03:04:05.678Z',
    })
    await insertForeign(other.databaseUrl, { runId: 'old', storageUri: 'file:///gone.json' })
    const { code, told, file: written } = await exported(other, 'old')
    assert.equal(code, 2)
    assert.match(told, /^OBJECT_MISSING /m)
    await using third = await startServer()
    const result = await imported(third, { input: written })
    assert.deepEqual([result.code, result.counts], [2, { taken: 1, 'not in the file': 1 }])
    const [row] = await query(
      third.databaseUrl,
      'select created_at::text as at, size_bytes::int as size from state_snapshots',
    )
    assert.match(String(row?.['at']), /^2020-01-02 \d\d:04:05.678/)
  })

  it('may be empty, and must be there', async () => {
    await using other = await startServer()
    await server.app.writer.upsertRun({ runId: 'empty', workflowName: 'w' })
    await query(server.databaseUrl, "update statelens_runs set legal_hold = true where run_id = 'empty'")
    const { file: written } = await exported(server, 'empty')
    assert.equal((await imported(other, { input: written })).code, 0)
    assert.deepEqual(await runAndSteps(other, 'empty'), await runAndSteps(server, 'empty'))
    await assert.rejects(exported(server, 'never'), /There is no run "never"/)
  })

  it('goes through the commands as they are typed', async () => {
    const env = { DATABASE_URL: server.databaseUrl, SNAPSHOT_STORAGE_PATH: server.storagePath }
    const at = `${folder.path}/typed.tar`
    await using writing = startProcess({ args: ['export', RUN, '--output', at], env })
    assert.deepEqual([(await writing.exited).code, writing.stdout()], [0, ''], writing.stderr())
    assert.match(writing.stderr(), /^written +8$/m)
    await using reading = startProcess({ args: ['import', at, '--run', 'typed', '--dry-run'], env })
    assert.equal((await reading.exited).code, 0, reading.stderr())
    assert.match(reading.stdout(), /^would be taken +8$/m)
  })
})

/** A state of each kind that there is. */
async function record({ app: { writer }, databaseUrl }: TestServer): Promise<void> {
  await writer.upsertRun({
    runId: RUN,
    workflowName: 'digest',
    status: 'FAILED',
    tags: [{ key: 'team', value: 'ärzte' }],
    startedAt: '2026-01-01T00:00:00.123456Z',
    parentRunId: 'parent',
    error: { message: 'it broke', type: 'E', stack: 'here' },
  })
  await writer.upsertStep({ runId: RUN, stepId: 's 2', index: 2, name: 'second', kind: 'tool', status: 'FAILED' })
  await writer.upsertStep({ runId: RUN, stepId: 's 1', index: 1, attempt: 3, startedAt: '2026-01-01T00:00:01Z' })
  const large = Buffer.from(`{"n":1.0,"text":"${'x'.repeat(5_000_000)}"}`)
  const middle = Buffer.from(JSON.stringify(Array.from({ length: 3000 }, (_, i) => ({ i, name: `item ${i}` }))))
  await writer.capture({ runId: RUN, stepId: 's 1', kind: 'INPUT', metadata: '{ "m": 1.0, "m":2}' }, Buffer.from(ODD))
  await writer.capture({ runId: RUN, stepId: 's 1', idempotencyKey: 'mine' }, Buffer.from('1'))
  const tagged = { runId: RUN, stepId: 's 2', piiTags: ['email', 'ä'], redactionPolicy: 'mask', replaySafe: true }
  const golden = await writer.capture({ ...tagged, kind: 'OUTPUT', isSuccessState: true }, middle)
  await query(
    databaseUrl,
    "update state_snapshots set is_golden = true, golden_source = 'me', golden_metadata = '{\"a\": 1.0}', golden_at = '2026-02-02T00:00:00Z' where id = $1",
    [golden.snapshot.snapshotId],
  )
  for (const [encoding, bytes] of [
    ['zstd', zstdCompressSync(middle)],
    ['gzip', gzipSync(large)],
  ] as const) {
    await writer.capture({ runId: RUN, stepId: 's 2', attempt: 2 }, { chunks: chunkOf(bytes), encoding })
  }
  await writer.capture({ runId: RUN, kind: 'ERROR', expiresAt: '2126-01-01T00:00:00Z' }, Buffer.from('null'))
  await writer.capture({ runId: RUN, stepId: 'late', contentType: 'application/vnd.x+json' }, large)
  await writer.capture({ runId: RUN, stepId: 'late' }, Buffer.from('"end"'))
  await query(
    databaseUrl,
    "update state_snapshots set created_at = '2025-05-05T05:05:05.555555Z'::timestamptz + seq * interval '1 s'",
  )
  await query(databaseUrl, "update statelens_runs set created_at = '2025-05-05T05:05:05Z'")
}

async function* chunkOf(bytes: Buffer) {
  yield bytes
}

/** Content of a tar by its names, by a reader of its own. */
async function list(tar: Buffer): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for (let at = 0; tar[at] !== 0; ) {
    const [name = ''] = tar.toString('latin1', at, at + 100).split('\0')
    const sizeBytes = Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8)
    found.set(name, tar.subarray(at + 512, at + 512 + sizeBytes))
    at += 512 + Math.ceil(sizeBytes / 512) * 512
  }
  return found
}

function statesIn(files: ReadonlyMap<string, Buffer>): string[] {
  const states = [...files].filter(([name]) => /^snapshots\/\d+\.state\.json$/.test(name))
  return states.map(([, bytes]) => createHash('sha256').update(bytes).digest('hex'))
}

async function payloadsOf(server: TestServer): Promise<string[]> {
  const ids = (await kept(server, RUN)).map(({ id }) => id)
  const answers = ids.map((id) => fetch(`${server.url}/snapshots/${id}/payload`).then((answer) => answer.bytes()))
  return (await Promise.all(answers)).map((bytes) => createHash('sha256').update(bytes).digest('hex'))
}
