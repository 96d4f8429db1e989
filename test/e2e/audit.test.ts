import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { runAudit } from '../../src/commands/audit.ts'
import { readConfig } from '../../src/config.ts'
import { createDatabase } from '../../src/db/connect.ts'
import type { AuditFinding } from '../../src/snapshots/upkeep/audit-findings.ts'
import { audit } from '../../src/snapshots/upkeep/auditor.ts'
import { createStorage } from '../../src/storage/registry.ts'
import { describeWith } from '../support/describe-with.ts'
import { filesBelow, openObjects, s3Env } from '../support/objects.ts'
import { insertOldRow } from '../support/old-system.ts'
import { startProcess } from '../support/process.ts'
import { countRows, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { s3 } from '../support/services.ts'

const OBJECTS = { SNAPSHOT_INLINE_MAX_BYTES: '10' }
const FAST = { 'per-second': '10000', sample: '100' }

async function captured({ app }: TestServer, sizeBytes = 100): Promise<{ snapshotId: string; storageUri: string }> {
  const payload = Buffer.from(JSON.stringify(randomBytes(sizeBytes).toString('hex').slice(0, sizeBytes)))
  const { snapshot } = await app.writer.capture({ runId: 'run', stepId: 'step' }, payload)
  return { snapshotId: snapshot.snapshotId, storageUri: snapshot.storageUri ?? '' }
}

async function runOf(server: TestServer, args: Readonly<Record<string, string | boolean>> = FAST, env: object = {}) {
  const settings = { DATABASE_URL: server.databaseUrl, SNAPSHOT_STORAGE_PATH: server.storagePath, ...env }
  let printed = ''
  const code = await runAudit({
    config: { ...readConfig(settings), databaseUrl: server.databaseUrl },
    args,
    output: { write: (text: string) => (printed += text) },
    signal: new AbortController().signal,
  })
  const found = printed.split('\n').flatMap((line) => {
    const [, kind, id, uri] = /^([A-Z]+) +(\S+) {2}(\S+)$/.exec(line) ?? []
    return kind ? [{ kind, id, uri }] : []
  })
  return { code, printed, found }
}

/** Bytes under a key of ours that nobody knows, as old as is told. */
async function strayFile(
  { storagePath }: TestServer,
  days: number,
  snapshotId: string = randomUUID(),
): Promise<string> {
  const [name = ''] = await filesBelow(storagePath)
  const path = join(storagePath, name, '..', `${snapshotId}-${randomUUID()}.json`)
  await writeFile(path, '1')
  const then = new Date(Date.now() - days * 86_400_000)
  await utimes(path, then, then)
  return path
}

async function treeOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true })
  const lines = await Promise.all(
    entries.map(async (entry) => {
      const { size, mtimeMs } = await stat(join(folder, entry))
      return `${entry} ${size} ${mtimeMs}`
    }),
  )
  return lines.sort()
}

describe('statelens audit', { concurrency: true }, () => {
  it('ends with 0 where stores and ledger agree, whatever other writers have in the same place', async () => {
    await using server = await startServer({ env: OBJECTS })
    for (const sizeBytes of [100, 3_000_000, 200]) await captured(server, sizeBytes)
    using objects = openObjects(server)
    const old = `snapshots/${randomUUID()}.json`
    await objects.put(`file:///${old}`, '1')
    await insertOldRow(server.databaseUrl, { runId: 'old', storageUri: `object-storage://${old}`, snapshot: '1' })
    await objects.put('file:///snapshots/notes.txt', '1')
    const { code, printed, found } = await runOf(server)
    assert.deepEqual([code, found], [0, []], printed)
    assert.match(printed, /3 objects listed; 3 objects asked for, 3 chunks compared; 4 states/)
  })

  it('I10, I11: tells of each thing that does not fit, with 2, and changes nothing', async () => {
    await using server = await startServer({ env: OBJECTS })
    const [gone, longer, other, uncovered, unnamed, good] = [
      await captured(server),
      await captured(server),
      await captured(server),
      await captured(server),
      await captured(server),
      await captured(server),
    ]
    using objects = openObjects(server)
    await objects.remove(gone.storageUri)
    await objects.replace(longer.storageUri, Buffer.alloc(200, 'x'))
    await objects.replace(other.storageUri, Buffer.alloc(102, 'x'))
    await query(server.databaseUrl, 'delete from statelens_objects where storage_uri = $1', [uncovered.storageUri])
    await query(
      server.databaseUrl,
      "set session_replication_role = replica; delete from state_snapshots where id = '".concat(
        unnamed.snapshotId,
        "'",
      ),
    )
    await query(server.databaseUrl, "update statelens_objects set state = 'live' where storage_uri = $1", [
      unnamed.storageUri,
    ])
    const orphan = randomUUID()
    await strayFile(server, 8, orphan)
    await strayFile(server, 6)
    const before = [
      await treeOf(server.storagePath),
      await query(server.databaseUrl, 'select * from statelens_objects order by storage_uri'),
    ]
    const { code, found, printed } = await runOf(server)
    assert.equal(code, 2, printed)
    assert.deepEqual(
      found.map(({ kind, id }) => [kind, id]).sort(),
      [
        ['CORRUPT', other.snapshotId],
        ['MISSING', gone.snapshotId],
        ['ORPHAN', orphan],
        ['SIZE', longer.snapshotId],
        ['UNCOVERED', uncovered.snapshotId],
        ['UNNAMED', unnamed.snapshotId],
      ].sort(),
    )
    assert.match(printed, /1 unknown ones too young to count/)
    assert.ok(!printed.includes(server.storagePath) && !printed.includes(good.snapshotId))
    assert.deepEqual(
      [
        await treeOf(server.storagePath),
        await query(server.databaseUrl, 'select * from statelens_objects order by storage_uri'),
      ],
      before,
    )
  })

  it('I10: a state whose object is gone is told by its read, and keeps its row', async () => {
    await using server = await startServer({ env: OBJECTS })
    const { snapshotId, storageUri } = await captured(server)
    using objects = openObjects(server)
    await objects.remove(storageUri)
    const { data, errors } = await server.graphql(
      `{ snapshot(runId: "run", stepId: "step", useCache: false) { snapshotId payload } }`,
    )
    assert.deepEqual(
      [data, errors?.[0]?.extensions.code],
      [{ snapshot: { snapshotId, payload: null } }, 'OBJECT_MISSING'],
    )
    assert.equal((await runOf(server)).code, 2)
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 1)
  })

  it('I11: deletes orphans only when it is told to, of the age it is told, by the queue of deletions', async () => {
    await using server = await startServer({ env: OBJECTS })
    for (let n = 0; n < 10; n++) await captured(server)
    await strayFile(server, 8)
    const young = await strayFile(server, 3)
    for (const age of ['0', '0.9', 'x', ''])
      await assert.rejects(runOf(server, { ...FAST, 'min-age': age }), /--min-age/)
    const { code, printed } = await runOf(server, { ...FAST, 'delete-orphans': true })
    assert.equal(code, 0, printed)
    assert.match(printed, /1 orphan given up and deleted/)
    const files = await filesBelow(server.storagePath)
    assert.equal(files.length, 11)
    assert.ok(files.some((file) => young.endsWith(file)))
    assert.equal(await countRows(server.databaseUrl, 'statelens_objects'), 10)
    assert.equal((await runOf(server, { ...FAST, 'delete-orphans': true, 'min-age': '2' })).code, 0)
    assert.equal((await filesBelow(server.storagePath)).length, 10)
  })

  it('I11: takes a store that is mostly unknown for that of another database, unless it is forced', async () => {
    await using server = await startServer({ env: OBJECTS })
    await captured(server)
    await strayFile(server, 30)
    const careful = await runOf(server, { ...FAST, 'delete-orphans': true })
    assert.deepEqual([careful.code, (await filesBelow(server.storagePath)).length], [2, 2])
    assert.match(careful.printed, /another database/)
    assert.equal((await runOf(server, { ...FAST, 'delete-orphans': true, force: true })).code, 0)
    assert.equal((await filesBelow(server.storagePath)).length, 1)
  })

  it('says nothing of a folder that is not that of the database, and ends with 1', async () => {
    await using server = await startServer({ env: OBJECTS })
    await captured(server)
    const elsewhere = `${server.storagePath}-elsewhere`
    const { code, printed } = await runOf(server, FAST, { SNAPSHOT_STORAGE_PATH: elsewhere })
    assert.equal(code, 1)
    assert.match(printed, /Stopped: .*STORAGE_UNAVAILABLE/)
  })

  it('is a command that ends when it is told to', async () => {
    await using server = await startServer({ env: OBJECTS })
    for (let n = 0; n < 4; n++) await captured(server)
    const env = { DATABASE_URL: server.databaseUrl, SNAPSHOT_STORAGE_PATH: server.storagePath }
    await using whole = startProcess({ args: ['audit'], env })
    assert.equal((await whole.exited).code, 0, whole.stderr())
    await using running = startProcess({ args: ['audit', '--per-second', '1'], env })
    // Until it asks for the first object.
    for (;;) {
      const [row] = await query<{ found: boolean }>(
        server.databaseUrl,
        "select exists (select from pg_stat_activity where application_name = 'statelens audit' and query like '%chunk_digests%' and datname = current_database()) as found",
      )
      if (row?.found) break
    }
    assert.equal((await running.stop('SIGINT')).code, 1)
    assert.match(running.stdout(), /Stopped/)
  })
})

await describeWith('S3', s3, (service) => {
  it('I11, S1: audits a bucket, and what nobody can see in one that keeps versions', async () => {
    const bucket = `audit-${randomUUID()}`
    const { endpoint, region, accessKey: accessKeyId, secretKey: secretAccessKey } = service
    const admin = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    })
    try {
      await admin.send(new CreateBucketCommand({ Bucket: bucket }))
      const VersioningConfiguration = { Status: 'Enabled' } as const
      await admin.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }))
      const own = { ...service, bucket }
      const env = { ...OBJECTS, ...s3Env(own) }
      await using server = await startServer({ env })
      const kept = await captured(server)
      const hidden = await captured(server)
      const gone = await captured(server)
      const keyOf = ({ storageUri }: { storageUri: string }) => storageUri.slice(`s3://${bucket}/`.length)
      // As whoever deletes behind our back leaves them.
      await admin.send(new DeleteObjectCommand({ Bucket: bucket, Key: keyOf(hidden) }))
      await query(server.databaseUrl, 'delete from statelens_objects where snapshot_id = $1', [hidden.snapshotId])
      await query(server.databaseUrl, 'delete from state_snapshots where id = $1', [hidden.snapshotId])
      await admin.send(new DeleteObjectCommand({ Bucket: bucket, Key: keyOf(gone) }))
      const db = createDatabase({ url: server.databaseUrl })
      const storage = createStorage({ defaultScheme: 's3', s3: { ...own, endpointUrl: endpoint } })
      const found: AuditFinding[] = []
      // A day from now: what was just written is young.
      const counts = await audit({
        db,
        storage,
        minAgeDays: -1,
        samplePercent: 100,
        perSecond: 1000,
        onFinding: (finding) => found.push(finding),
        onProgress: () => {},
        signal: new AbortController().signal,
      })
      assert.deepEqual(
        found.map(({ kind, snapshotId }) => [kind, snapshotId]).sort(),
        [
          ['missing', gone.snapshotId],
          ['orphan', hidden.snapshotId],
        ].sort(),
      )
      assert.deepEqual([counts.listed, counts.checked, counts.sampled], [3, 2, 1])
      const { backend, uri } = storage.resolve(hidden.storageUri)
      await backend.delete(uri)
      const left = await admin.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: keyOf(hidden) }))
      assert.deepEqual([left.Versions ?? [], left.DeleteMarkers ?? []], [[], []])
      assert.equal(
        (await server.graphql(`{ snapshotById(snapshotId: "${kept.snapshotId}") { payload } }`)).errors,
        undefined,
      )
      await db.close()
      storage.close()
    } finally {
      admin.destroy()
    }
  })
})
