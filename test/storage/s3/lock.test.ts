import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, it } from 'node:test'
import {
  CreateBucketCommand,
  ListObjectVersionsCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { lookAtStore } from '../../../src/commands/doctor/object-store.ts'
import { settingNames } from '../../../src/commands/doctor/setting-names.ts'
import { createDatabase, type Database } from '../../../src/db/connect.ts'
import type { AppError } from '../../../src/errors.ts'
import { createSweeper } from '../../../src/snapshots/upkeep/sweeper.ts'
import { isLocked, lockedUntil } from '../../../src/storage/locked.ts'
import { createStorage } from '../../../src/storage/registry.ts'
import { describeWith } from '../../support/describe-with.ts'
import { s3Env } from '../../support/objects.ts'
import { query } from '../../support/rows.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import { s3 } from '../../support/services.ts'

await describeWith('S3: a bucket that locks what it holds', s3, (service) => {
  const bucket = `locks-${randomUUID()}`
  const { endpoint, region, accessKey: accessKeyId, secretKey: secretAccessKey } = service
  const admin = new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } })
  const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 86_400_000)
  const settings = { ...service, bucket, endpointUrl: endpoint }
  const storage = createStorage({ defaultScheme: 's3', s3: settings })
  let server: TestServer
  let db: Database
  before(async () => {
    await admin.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }))
    server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '1', ...s3Env({ ...service, bucket }) } })
    db = createDatabase({ url: server.databaseUrl })
  })
  after(async () => {
    storage.close()
    await db.close()
    await server[Symbol.asyncDispose]()
    admin.destroy()
  })

  async function stored(): Promise<{
    storageUri: string
    Bucket: string
    Key: string
    VersionId: string
    snapshotId: string
  }> {
    const { snapshot } = await server.app.writer.capture({ runId: 'run' }, Buffer.from(JSON.stringify(randomUUID())))
    const storageUri = snapshot.storageUri ?? ''
    const [row] = await query<{ version_id: string }>(
      server.databaseUrl,
      'select version_id from statelens_objects where storage_uri = $1',
      [storageUri],
    )
    const Key = storageUri.slice(`s3://${bucket}/`.length)
    return { storageUri, Bucket: bucket, Key, VersionId: row?.version_id ?? '', snapshotId: snapshot.snapshotId }
  }

  const versionsOf = async (Prefix: string) => {
    const { Versions = [], DeleteMarkers = [] } = await admin.send(
      new ListObjectVersionsCommand({ Bucket: bucket, Prefix }),
    )
    return Versions.length + DeleteMarkers.length
  }

  it('S1: gives every version back that is not locked, and leaves no mark', async () => {
    const one = await stored()
    assert.notEqual(one.VersionId, '')
    await server.graphql(`mutation { deleteSnapshot(snapshotId: "${one.snapshotId}") { deleted } }`)
    await sweepUntilQuiet()
    assert.equal(await versionsOf(one.Key), 0)
  })

  it('says until when it has an object locked, whether the version is known, and of many at once', async () => {
    const one = await stored()
    const { Key, VersionId } = one
    const Retention = { Mode: 'GOVERNANCE', RetainUntilDate: until } as const
    await admin.send(new PutObjectRetentionCommand({ Bucket: bucket, Key, VersionId, Retention }))
    const { backend, uri } = storage.resolve(one.storageUri)
    for (const versionId of [VersionId, null]) {
      const refusal = await backend.delete(uri, { versionId }).then(
        () => assert.fail('it was deleted'),
        (error: unknown) => error as AppError,
      )
      assert.deepEqual(
        [isLocked(refusal), refusal.isRetryable, lockedUntil(refusal)],
        [true, false, until.toISOString()],
      )
      const [failure] = (await backend.deleteMany?.([{ uri, versionId, multipartId: null, isUnfinished: false }])) ?? []
      assert.equal(lockedUntil(failure), until.toISOString())
    }
    const held = await stored()
    const LegalHold = { Status: 'ON' } as const
    const { VersionId: heldVersion } = held
    await admin.send(
      new PutObjectLegalHoldCommand({ Bucket: bucket, Key: held.Key, VersionId: heldVersion, LegalHold }),
    )
    const place = storage.resolve(held.storageUri)
    const refusal = await place.backend.delete(place.uri, { versionId: heldVersion }).then(
      () => assert.fail('it was deleted'),
      (error: unknown) => error as AppError,
    )
    assert.deepEqual([isLocked(refusal), lockedUntil(refusal)], [true, null])
    await admin.send(
      new PutObjectLegalHoldCommand({
        Bucket: bucket,
        Key: held.Key,
        VersionId: heldVersion,
        LegalHold: { Status: 'OFF' },
      }),
    )
  })

  it('keeps it in the queue of deletions until then, told once, and it is gone afterwards', async () => {
    const [one, other] = [await stored(), await stored()]
    const lock = (Key: string, VersionId: string, RetainUntilDate: Date) =>
      admin.send(
        new PutObjectRetentionCommand({
          Bucket: bucket,
          Key,
          VersionId,
          BypassGovernanceRetention: true,
          Retention: { Mode: 'GOVERNANCE', RetainUntilDate },
        }),
      )
    for (const { Key, VersionId } of [one, other]) await lock(Key, VersionId, until)
    await query(
      server.databaseUrl,
      "update statelens_objects set state = 'doomed', not_before = now() + interval '1 hour'",
    )
    const problems: unknown[] = []
    const { sweep, stop } = createSweeper({ db, storage, onProblem: (error) => problems.push(error) })
    for (let times = 0; times < 3; times++) {
      await query(server.databaseUrl, 'update statelens_objects set not_before = now() where storage_uri = any($1)', [
        [one.storageUri, other.storageUri],
      ])
      assert.deepEqual(await sweep(), { deletedObjects: 0, failedObjects: 2 })
    }
    assert.deepEqual([problems.length, isLocked(problems[0])], [1, true])
    const due = await query<{ due: boolean }>(
      server.databaseUrl,
      'select not_before >= $2 as due from statelens_objects where storage_uri = any($1)',
      [[one.storageUri, other.storageUri], until],
    )
    assert.deepEqual(due, [{ due: true }, { due: true }])
    for (const { Key, VersionId } of [one, other]) await lock(Key, VersionId, new Date(Date.now() + 2000))
    await query(server.databaseUrl, 'update statelens_objects set not_before = now() where storage_uri = any($1)', [
      [one.storageUri, other.storageUri],
    ])
    let deleted = 0
    while (deleted < 2) {
      deleted += (await sweep()).deletedObjects
      await query(server.databaseUrl, 'update statelens_objects set not_before = now() where storage_uri = any($1)', [
        [one.storageUri, other.storageUri],
      ])
    }
    assert.equal((await versionsOf(one.Key)) + (await versionsOf(other.Key)), 0)
    await stop()
  })

  it('is told by doctor, with its days', async () => {
    const names = settingNames({}, ['S3'])
    const look = async () =>
      (await lookAtStore({ scheme: 's3', store: settings, names, role: 'new objects go here' })).map(({ text }) => text)
    assert.match((await look()).join('\n'), /keeps versions/)
    await admin.send(
      new PutObjectLockConfigurationCommand({
        Bucket: bucket,
        ObjectLockConfiguration: {
          ObjectLockEnabled: 'Enabled',
          Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 3 } },
        },
      }),
    )
    assert.match((await look()).join('\n'), /locks each object for 3 days \(GOVERNANCE\)/)
    // And what is captured is stored all the same.
    await stored()
  })

  async function sweepUntilQuiet(): Promise<void> {
    const { sweep, stop } = createSweeper({ db, storage, onProblem: (error) => assert.fail(String(error)) })
    while ((await query(server.databaseUrl, "select 1 from statelens_objects where state = 'doomed'")).length > 0)
      await sweep()
    await stop()
  }
})
