import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AppError } from '../../../src/errors.ts'
import type { CopyOptions, PutResult, StorageBackend, StorageUri } from '../../../src/storage/backend.ts'
import type { Storage } from '../../../src/storage/registry.ts'
import { openObjects } from '../../support/objects.ts'
import { query } from '../../support/rows.ts'
import { openStore, type TestStore, withBackends } from '../../support/store.ts'
import { INPUT, isWhole, once, PAYLOAD, uploadsOf } from './uploads-fixture.ts'

type Copy = (from: StorageUri, to: StorageUri, options: CopyOptions) => Promise<PutResult>

/** The same storage, whose backends copy like this; unless told, as a store does: the same bytes at another place. */
function copying(storage: Storage, copy?: (backend: StorageBackend) => Copy): Storage {
  const plain =
    ({ get, put }: StorageBackend): Copy =>
    async (from, to, { signal }) =>
      await put(to, (await get(from, { signal })).body, { signal })
  return withBackends(storage, (backend) => ({ ...backend, copy: (copy ?? plain)(backend) }))
}

/** A snapshot that has the payload, as any capture leaves it. */
async function captured(store: TestStore, input: object = {}): Promise<string> {
  const { snapshot } = await store.writer().capture({ runId: 'source', ...input }, PAYLOAD)
  return snapshot.snapshotId
}

/** That nothing is offered, and that the bytes are stored when they are sent. */
async function isSent(store: TestStore, storage: Storage): Promise<void> {
  const uploads = uploadsOf(store, { storage })
  const { uploadId, alreadyStored } = await uploads.begin(INPUT)
  assert.equal(alreadyStored, false)
  await uploads.receive(uploadId, { chunks: once(PAYLOAD), sizeBytes: PAYLOAD.length })
  assert.equal((await uploads.commit(uploadId)).created, true)
}

describe('an upload of what the store has already', () => {
  it('D10: is copied by the store, with all that is known of its bytes', async () => {
    await using store = await openStore()
    const source = await captured(store)
    let reads = 0
    const storage = withBackends(copying(store.storage), (backend) => ({
      ...backend,
      get: (uri, options) => {
        reads++
        return backend.get(uri, options)
      },
    }))
    const uploads = uploadsOf(store, { storage })
    const ticket = await uploads.begin(INPUT)
    assert.deepEqual([ticket.alreadyStored, ticket.parts], [true, []])
    const { snapshot, created } = await uploads.commit(ticket.uploadId)
    assert.deepEqual([created, reads], [true, 0])
    const known = await query(
      store.databaseUrl,
      `select o.state, o.content_digest, o.size_bytes, o.stored_size_bytes, o.stored_digest, o.chunk_size_bytes,
        o.chunk_digests, s.preview from statelens_objects o join state_snapshots s using (storage_uri)`,
    )
    assert.equal(known.length, 2)
    assert.deepEqual(known[0], known[1])
    assert.equal(known[0]?.['stored_size_bytes'], String(PAYLOAD.length))
    assert.equal((await uploads.commit(ticket.uploadId)).created, false)
    await store.writer().deleteSnapshot(source)
    await isWhole(store, 1)
    using objects = openObjects(store)
    assert.deepEqual(await objects.get(snapshot.storageUri ?? ''), PAYLOAD)
  })

  it('D10: is sent where its store cannot copy', async () => {
    await using store = await openStore()
    await captured(store)
    await isSent(
      store,
      copying(store.storage, () => undefined as never),
    )
  })

  it('D10: is sent where only another store has it', async () => {
    await using store = await openStore()
    await captured(store)
    for (const table of ['state_snapshots', 'statelens_objects']) {
      await query(store.databaseUrl, `update ${table} set storage_uri = replace(storage_uri, 'file:///', 's3://old/')`)
    }
    await isSent(store, copying(store.storage))
  })

  for (const [what, secret] of [
    ['personal data', { piiTags: ['health'] }],
    ['a redaction policy', { redactionPolicy: 'mask' }],
  ] as const) {
    it(`D10: is sent where only a state with ${what} has it: a digest is no right to read`, async () => {
      await using store = await openStore()
      await captured(store, secret)
      await isSent(store, copying(store.storage))
    })
  }

  it('D10: is sent where only a coded object has it', async () => {
    await using store = await openStore()
    await captured(store)
    await query(store.databaseUrl, "update state_snapshots set content_encoding = 'gzip'")
    await isSent(store, copying(store.storage))
  })

  for (const [what, stat] of [
    ['does not answer', () => new Promise<never>(() => {})],
    ['is down', () => Promise.reject(new AppError('STORAGE_UNAVAILABLE', 'No'))],
    ['has lost it', () => Promise.reject(new AppError('OBJECT_MISSING', 'No'))],
    ['has something else in its place', async () => ({ sizeBytes: PAYLOAD.length - 1, etag: null })],
  ] as const) {
    it(`D10: is sent where the store ${what}`, { timeout: 30_000 }, async () => {
      await using store = await openStore()
      await captured(store)
      await isSent(
        store,
        withBackends(copying(store.storage), (backend) => ({ ...backend, stat })),
      )
    })
  }

  for (const code of ['STORAGE_UNAVAILABLE', 'STORAGE_TIMEOUT', 'OBJECT_MISSING', 'CONFLICT', 'BAD_REQUEST'] as const) {
    it(`D10: is begun anew, and then sent, when the copy fails with ${code}`, async () => {
      await using store = await openStore()
      await captured(store)
      const storage = copying(store.storage, () => async () => {
        throw new AppError(code, 'No')
      })
      const uploads = uploadsOf(store, { storage })
      const { uploadId, alreadyStored } = await uploads.begin(INPUT)
      assert.equal(alreadyStored, true)
      for (let asked = 2; asked > 0; asked--) await assert.rejects(uploads.commit(uploadId), { code: 'OBJECT_MISSING' })
      await isSent(store, storage)
      await isWhole(store, 2)
    })
  }

  it('D10: is begun anew when the copy has another size', async () => {
    await using store = await openStore()
    await captured(store)
    const storage = copying(store.storage, ({ put }) => async (_from, to) => {
      return await put(to, [PAYLOAD.subarray(1)].values() as never)
    })
    const uploads = uploadsOf(store, { storage })
    const { uploadId } = await uploads.begin(INPUT)
    await assert.rejects(uploads.commit(uploadId), { code: 'OBJECT_MISSING' })
    await isWhole(store, 1)
  })

  it('D10: is begun anew when it was deleted meanwhile', async () => {
    await using store = await openStore()
    const source = await captured(store)
    const storage = copying(store.storage)
    const uploads = uploadsOf(store, { storage })
    const { uploadId } = await uploads.begin(INPUT)
    await store.writer().deleteSnapshot(source)
    await store.sweep()
    await assert.rejects(uploads.commit(uploadId), { code: 'OBJECT_MISSING' })
    await isSent(store, storage)
  })

  it('D10: is copied by the next process when the server stops, and nothing is left of the first copy', async () => {
    await using store = await openStore()
    await captured(store)
    const begun = Promise.withResolvers<void>()
    const stuck = copying(store.storage, () => async (_from, _to, { signal }) => {
      begun.resolve()
      return await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    })
    const uploads = uploadsOf(store, { storage: stuck })
    const { uploadId } = await uploads.begin(INPUT)
    const answer = assert.rejects(uploads.commit(uploadId), { code: 'OVERLOADED' })
    await begun.promise
    await uploads.close()
    await answer
    assert.equal((await uploadsOf(store, { storage: copying(store.storage) }).commit(uploadId)).created, true)
    await isWhole(store, 2)
  })

  it('D10: by several processes at once is one snapshot, and one copy stays', async () => {
    await using store = await openStore()
    await captured(store)
    const storage = copying(store.storage)
    const { uploadId } = await uploadsOf(store, { storage }).begin(INPUT)
    const processes = Array.from({ length: 4 }, () => uploadsOf(store, { storage }))
    const answers = await Promise.all(processes.map((uploads) => uploads.commit(uploadId)))
    assert.equal(answers.filter(({ created }) => created).length, 1)
    await isWhole(store, 2)
  })
})
