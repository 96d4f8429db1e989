import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { AppError } from '../../../src/errors.ts'
import type { Storage } from '../../../src/storage/registry.ts'
import { expireUploads } from '../../graphql/uploads-fixture.ts'
import { countRows, query } from '../../support/rows.ts'
import { openStore, withCommit } from '../../support/store.ts'
import { arrived, INPUT, isWhole, uploadsOf, withGet } from './uploads-fixture.ts'

describe('a commit', () => {
  for (const inlineMaxBytes of [0, 10_000]) {
    it(`by several processes at once makes one snapshot (inline up to ${inlineMaxBytes})`, async () => {
      await using store = await openStore()
      const uploadId = await arrived(uploadsOf(store))
      const processes = Array.from({ length: 5 }, () => uploadsOf(store, { inlineMaxBytes }))
      const answers = await Promise.all(processes.map((uploads) => uploads.commit(uploadId)))
      assert.equal(answers.filter(({ created }) => created).length, 1)
      assert.equal(new Set(answers.map(({ snapshot }) => snapshot.snapshotId)).size, 1)
      await isWhole(store, 1)
    })
  }

  it('of two uploads under one key makes one snapshot, and leaves nothing of the other', async () => {
    await using store = await openStore()
    const uploads = uploadsOf(store)
    const key = { idempotencyKey: 'key' }
    const ids = [
      await arrived(uploads, key),
      await arrived(uploads, key),
      await arrived(uploads, { ...key, kind: 'ERROR' }),
    ]
    const results = await Promise.allSettled(ids.slice(0, 2).map((id) => uploads.commit(id)))
    const answers = results.map((result) => (result.status === 'fulfilled' ? result.value : assert.fail()))
    assert.deepEqual(answers.map(({ created }) => created).toSorted(), [false, true])
    await assert.rejects(uploads.commit(ids[2] ?? ''), { code: 'CONFLICT' })
    await isWhole(store, 1)
  })

  it('whose database reply was lost finds what it stored', async () => {
    await using store = await openStore()
    const db = withCommit(store.db, async (commit) => {
      await commit()
      throw new AppError('DATABASE_UNAVAILABLE', 'The reply was lost')
    })
    const uploadId = await arrived(uploadsOf(store))
    const { snapshot } = await uploadsOf(store, { db }).commit(uploadId)
    const again = await uploadsOf(store).commit(uploadId)
    assert.deepEqual([again.created, again.snapshot.snapshotId], [false, snapshot.snapshotId])
    await isWhole(store, 1)
  })

  for (const code of ['DATABASE_UNAVAILABLE', 'DATABASE_TIMEOUT', 'OVERLOADED'] as const) {
    it(`that fails with ${code} keeps the bytes, and is tried again without them`, async () => {
      await using store = await openStore()
      const db = withCommit(store.db, async () => {
        throw new AppError(code, 'No')
      })
      const uploadId = await arrived(uploadsOf(store))
      await assert.rejects(uploadsOf(store, { db }).commit(uploadId), { code })
      await store.sweep()
      assert.equal((await uploadsOf(store).commit(uploadId)).created, true)
      await isWhole(store, 1)
    })
  }

  it('that the store fails keeps the bytes, and is tried again without them', async () => {
    await using store = await openStore()
    const storage = withGet(store.storage, () => async () => {
      throw new AppError('STORAGE_UNAVAILABLE', 'No')
    })
    const uploadId = await arrived(uploadsOf(store))
    await assert.rejects(uploadsOf(store, { storage }).commit(uploadId), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal((await uploadsOf(store).commit(uploadId)).created, true)
    await isWhole(store, 1)
  })

  it('that meets a sweeper when its time is over finds no upload, and no row is left without its object', async () => {
    await using store = await openStore()
    const storage = withGet(store.storage, (real) => async (uri, options) => {
      const object = await real(uri, options)
      await expireUploads(store.databaseUrl)
      await store.sweep()
      return object
    })
    const uploadId = await arrived(uploadsOf(store))
    await assert.rejects(uploadsOf(store, { storage }).commit(uploadId), { code: 'NOT_FOUND' })
    await isWhole(store, 0)
    assert.equal(await countRows(store.databaseUrl, 'statelens_uploads'), 0)
  })

  it('after the time of its upload succeeds until the sweeper comes', async () => {
    await using store = await openStore()
    const uploads = uploadsOf(store)
    const uploadId = await arrived(uploads)
    await expireUploads(store.databaseUrl)
    assert.equal((await uploads.commit(uploadId)).created, true)
    await isWhole(store, 1)
  })

  it('is remembered for a day after the time of its upload', async () => {
    await using store = await openStore()
    const uploads = uploadsOf(store)
    const uploadId = await arrived(uploads)
    const { snapshot } = await uploads.commit(uploadId)
    const passed = async (time: string) => {
      await query(
        store.databaseUrl,
        'update statelens_uploads set expires_at = expires_at - $1::interval, not_before = not_before - $1::interval',
        [time],
      )
      await store.sweep()
    }
    await passed('23 hours')
    const again = await uploads.commit(uploadId)
    assert.deepEqual([again.created, again.snapshot.snapshotId], [false, snapshot.snapshotId])
    await passed('2 hours')
    await assert.rejects(uploads.commit(uploadId), { code: 'NOT_FOUND' })
    await isWhole(store, 1)
  })

  it('reads the object once', async () => {
    await using store = await openStore()
    let reads = 0
    const storage = withGet(store.storage, (real) => (uri, options) => {
      reads++
      return real(uri, options)
    })
    const uploads = uploadsOf(store, { storage })
    const uploadId = await arrived(uploads)
    await Promise.all(Array.from({ length: 10 }, () => uploads.commit(uploadId)))
    await uploads.commit(uploadId)
    assert.equal(reads, 1)
  })
})

describe('an upload', () => {
  it('is declared before a byte can come, and its object with it', async () => {
    await using store = await openStore()
    const storage: Storage = {
      ...store.storage,
      resolve: () => {
        throw new AppError('STORAGE_UNAVAILABLE', 'No')
      },
    }
    await assert.rejects(uploadsOf(store, { storage }).begin(INPUT), { code: 'STORAGE_UNAVAILABLE' })
    assert.equal(await countRows(store.databaseUrl, 'statelens_uploads'), 1)
    assert.equal((await store.uris()).declared.length, 1)
    await expireUploads(store.databaseUrl)
    await isWhole(store, 0)
    assert.equal(await countRows(store.databaseUrl, 'statelens_uploads'), 0)
  })

  it('under an id that a snapshot already has is in conflict, or that very snapshot', async () => {
    await using store = await openStore()
    const uploads = uploadsOf(store)
    const snapshotId = randomUUID()
    const { snapshot } = await uploads.commit(await arrived(uploads, { snapshotId: snapshotId.toUpperCase() }))
    assert.equal(snapshot.snapshotId, snapshotId)
    const { uploadId, alreadyStored } = await uploads.begin({ ...INPUT, snapshotId })
    assert.equal(alreadyStored, true)
    assert.equal((await uploads.commit(uploadId)).created, false)
    await assert.rejects(uploads.begin({ ...INPUT, snapshotId, runId: 'other' }), { code: 'CONFLICT' })
  })
})
