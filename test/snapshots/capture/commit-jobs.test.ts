import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { AppError, Departure, isAppError } from '../../../src/errors.ts'
import { createAdmission } from '../../../src/snapshots/source/admission.ts'
import { resuming } from '../../../src/storage/resume.ts'
import { expireUploads } from '../../graphql/uploads-fixture.ts'
import { eventually } from '../../support/put.ts'
import { countRows, query } from '../../support/rows.ts'
import { openStore, type TestStore, withBackends } from '../../support/store.ts'
import { arrived, INPUT, isWhole, once, PAYLOAD, uploadsOf, withGet, withHeldReads } from './uploads-fixture.ts'

/** A caller that leaves as HTTP does, when it is told to. */
function caller(commit: (signal: AbortSignal) => Promise<unknown>) {
  const controller = new AbortController()
  const answer = commit(controller.signal)
  return {
    async leave() {
      controller.abort(new Departure())
      await assert.rejects(answer, Departure)
    },
  }
}

const stateOf = async ({ databaseUrl }: TestStore) =>
  (await query<{ state: string }>(databaseUrl, 'select state from statelens_uploads')).map(({ state }) => state)

/** Resolves when a sweeper would not take the upload, although its time is over. */
const isHeld = ({ databaseUrl }: TestStore) =>
  eventually(async () => {
    const held = 'statelens_uploads u join statelens_objects o using (storage_uri)'
    const later = 'u.expires_at < now() and u.not_before > now() and o.not_before > now()'
    assert.equal(await countRows(databaseUrl, `${held} where ${later}`), 1)
  })

describe('a commit, whoever asked for it,', () => {
  it('D1: goes on when its caller leaves, and the next one gives the snapshot', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, held)
    const uploadId = await arrived(uploads)
    const first = caller((signal) => uploads.commit(uploadId, signal))
    await held.begun
    await first.leave()
    assert.deepEqual(await stateOf(store), ['open'])
    const second = uploads.commit(uploadId)
    held.release()
    assert.equal((await second).created, true)
    assert.equal(held.count, 1)
    await isWhole(store, 1)
  })

  it('D1: ends by itself when nobody is left, and the next one finds the snapshot', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, held)
    const uploadId = await arrived(uploads)
    const first = caller((signal) => uploads.commit(uploadId, signal))
    await held.begun
    await first.leave()
    held.release()
    await eventually(async () => assert.deepEqual(await stateOf(store), ['committed']))
    assert.equal((await uploads.commit(uploadId)).created, false)
    assert.equal(held.count, 1)
    await isWhole(store, 1)
  })

  it('D1: changes nothing when its caller leaves while it waits for a place', async () => {
    await using store = await openStore()
    const admission = createAdmission({ uploadStreamsMax: 1 })
    const uploads = uploadsOf(store, { admission })
    const uploadId = await arrived(uploads)
    const freePlace = await admission.commits.enter()
    const waiting = caller((signal) => uploads.commit(uploadId, signal))
    await waiting.leave()
    assert.deepEqual(await stateOf(store), ['open'])
    freePlace()
    await uploads.commit(uploadId)
    await isWhole(store, 1)
  })

  it('D1: is refused a place without losing anything', async () => {
    await using store = await openStore()
    const admission = createAdmission({ uploadStreamsMax: 1, queueMillis: 1 })
    const uploads = uploadsOf(store, { admission })
    const uploadId = await arrived(uploads)
    const freePlace = await admission.commits.enter()
    await assert.rejects(uploads.commit(uploadId), { code: 'OVERLOADED' })
    freePlace()
    assert.equal((await uploads.commit(uploadId)).created, true)
    await isWhole(store, 1)
  })

  it('D1b: is not kept from the sixth caller by five that leave', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, held)
    const uploadId = await arrived(uploads)
    for (let callers = 5; callers > 0; callers--) {
      const impatient = caller((signal) => uploads.commit(uploadId, signal))
      await held.begun
      await impatient.leave()
    }
    held.release()
    await uploads.commit(uploadId)
    assert.equal(held.count, 1)
    await isWhole(store, 1)
  })

  it('D1b: answers before it is done, so that nobody has to hold a connection', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, { ...held, answerMillis: 20 })
    const uploadId = await arrived(uploads)
    for (let asked = 3; asked > 0; asked--) await assert.rejects(uploads.commit(uploadId), { code: 'STORAGE_TIMEOUT' })
    held.release()
    await eventually(async () => assert.deepEqual(await stateOf(store), ['committed']))
    await uploadsOf(store, held).commit(uploadId)
    assert.equal(held.count, 1)
    await isWhole(store, 1)
  })

  it('D1: tells the next caller what it found when nobody was left to hear it', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, held)
    const uploadId = await arrived(uploads, {}, Buffer.from('{"no json'))
    const first = caller((signal) => uploads.commit(uploadId, signal))
    await held.begun
    await first.leave()
    held.release()
    await eventually(async () => assert.deepEqual(await stateOf(store), ['refused']))
    await assert.rejects(uploads.commit(uploadId), { code: 'INVALID_PAYLOAD' })
    await assert.rejects(uploads.commit(uploadId), { code: 'NOT_FOUND' })
    await isWhole(store, 0)
  })

  it('D1: tells nobody later that bytes were missing', async () => {
    await using store = await openStore()
    const looked = Promise.withResolvers<void>()
    const left = Promise.withResolvers<void>()
    const storage = withGet(store.storage, (real) => async (uri, options) => {
      await left.promise
      return await real(uri, options).finally(looked.resolve)
    })
    const uploads = uploadsOf(store, { storage })
    const { uploadId } = await uploads.begin(INPUT)
    await caller((signal) => uploads.commit(uploadId, signal)).leave()
    left.resolve()
    await looked.promise
    await uploads.receive(uploadId, { chunks: once(PAYLOAD), sizeBytes: PAYLOAD.length })
    assert.equal((await uploads.commit(uploadId)).created, true)
    await isWhole(store, 1)
  })

  it('D1: is cancelled when the server stops, and made by the next process', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, held)
    const uploadId = await arrived(uploads)
    const answer = assert.rejects(uploads.commit(uploadId), { code: 'OVERLOADED' })
    await held.begun
    await uploads.close()
    await answer
    await assert.rejects(uploads.commit(uploadId), { code: 'OVERLOADED' })
    assert.deepEqual(await stateOf(store), ['open'])
    assert.equal((await uploadsOf(store).commit(uploadId)).created, true)
    await isWhole(store, 1)
  })

  it('D1: gives a store up that sends nothing more, and keeps the upload', async () => {
    await using store = await openStore()
    const storage = withGet(store.storage, (real) => async (uri, options) => {
      const { body, ...object } = await real(uri, options)
      body.destroy()
      return { ...object, body: new Readable({ read() {} }) }
    })
    const limits = { stallMs: 10, pauseMs: 1, graceMs: 50 }
    const toError = (error: unknown) => (isAppError(error) ? error : new AppError('STORAGE_UNAVAILABLE', 'No'))
    const patient = withBackends(storage, (backend) =>
      resuming(
        { ...backend, get: async (uri, options) => ({ ...(await backend.get(uri, options)), toError }) },
        limits,
      ),
    )
    const uploadId = await arrived(uploadsOf(store))
    await assert.rejects(uploadsOf(store, { storage: patient }).commit(uploadId), { code: 'STORAGE_TIMEOUT' })
    assert.deepEqual(await stateOf(store), ['open'])
    assert.equal((await uploadsOf(store).commit(uploadId)).created, true)
    await isWhole(store, 1)
  })

  for (const code of ['BAD_REQUEST', 'CONFLICT', 'INVALID_PAYLOAD', 'NOT_FOUND'] as const) {
    it(`D1: is not ended by a store that fails with ${code}`, async () => {
      await using store = await openStore()
      const storage = withGet(store.storage, () => async () => {
        throw new AppError(code, 'No')
      })
      const uploadId = await arrived(uploadsOf(store))
      await assert.rejects(uploadsOf(store, { storage }).commit(uploadId), { code })
      assert.equal((await uploadsOf(store).commit(uploadId)).created, true)
      await isWhole(store, 1)
    })
  }

  it('D3: keeps sweepers away while it reads, long after the time of its upload', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, { ...held, renewSeconds: 0.01 })
    const uploadId = await arrived(uploads)
    const committing = uploads.commit(uploadId)
    await held.begun
    for (let hours = 3; hours > 0; hours--) {
      await expireUploads(store.databaseUrl)
      await isHeld(store)
      await store.sweep()
    }
    held.release()
    assert.equal((await committing).created, true)
    await isWhole(store, 1)
  })

  it('D3: begun when its upload is about to be swept comes first', async () => {
    await using store = await openStore()
    const held = withHeldReads(store.storage)
    const uploads = uploadsOf(store, held)
    const uploadId = await arrived(uploads)
    await expireUploads(store.databaseUrl)
    const committing = uploads.commit(uploadId)
    await held.begun
    await store.sweep()
    held.release()
    assert.equal((await committing).created, true)
    await isWhole(store, 1)
  })
})

describe('bytes on their way to this server', () => {
  it('D3: keep sweepers away for as long as they come', async () => {
    await using store = await openStore()
    const uploads = uploadsOf(store, { renewSeconds: 0.01 })
    const { uploadId } = await uploads.begin(INPUT)
    async function* slowly() {
      yield PAYLOAD.subarray(0, 100)
      await expireUploads(store.databaseUrl)
      await isHeld(store)
      await store.sweep()
      yield PAYLOAD.subarray(100)
    }
    await uploads.receive(uploadId, { chunks: slowly(), sizeBytes: PAYLOAD.length })
    assert.equal((await uploads.commit(uploadId)).created, true)
    await isWhole(store, 1)
  })

  it('D4: take a place when they go to storage, and none for what is here already', async () => {
    await using store = await openStore()
    const admission = createAdmission({ uploadStreamsMax: 1, queueMillis: 1 })
    const uploads = uploadsOf(store, { admission })
    const { uploadId } = await uploads.begin(INPUT)
    const send = () => uploads.receive(uploadId, { chunks: once(PAYLOAD), sizeBytes: PAYLOAD.length })
    const freePlace = await admission.uploads.enter()
    await assert.rejects(send(), { code: 'OVERLOADED' })
    freePlace()
    await send()
    await uploads.commit(uploadId)
    const freeAgain = await admission.uploads.enter()
    await send()
    freeAgain()
    assert.equal(admission.uploads.taken(), 0)
    await isWhole(store, 1)
  })
})
