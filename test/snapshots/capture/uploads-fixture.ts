import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { unlessAborted } from '../../../src/abort.ts'
import type { Database } from '../../../src/db/connect.ts'
import {
  createUploads,
  type UploadInput,
  type Uploads,
  type UploadsOptions,
} from '../../../src/snapshots/capture/uploads.ts'
import { createStateIndexes } from '../../../src/snapshots/indexes/state-indexes.ts'
import { createAdmission } from '../../../src/snapshots/source/admission.ts'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { createUploadLinkSigner } from '../../../src/storage/links/upload-link.ts'
import type { Storage } from '../../../src/storage/registry.ts'
import { announced } from '../../graphql/uploads-fixture.ts'
import { countRows } from '../../support/rows.ts'
import { type TestStore, withBackends } from '../../support/store.ts'

const SECRET = 'x'.repeat(32)

type Limits = Partial<Pick<UploadsOptions, 'inlineMaxBytes' | 'admission' | 'answerMillis' | 'renewSeconds'>>

export interface Faults extends Limits {
  readonly db?: Database
  readonly storage?: Storage
}

/** Uploads as one process has them; nothing is swept but by `store.sweep`. */
export function uploadsOf(store: TestStore, faults: Faults = {}): Uploads {
  return createUploads({
    db: store.db,
    storage: store.storage,
    sweeper: { wake() {} },
    indexes: createStateIndexes(store.db),
    admission: createAdmission(),
    signer: createUploadLinkSigner({ secrets: [SECRET], publicUrl: 'http://localhost', maxSeconds: 3600 }),
    inlineMaxBytes: 0,
    maxSeconds: 3600,
    ...faults,
  })
}

export const PAYLOAD = Buffer.from(JSON.stringify({ text: 'x'.repeat(5000) }))
export const INPUT: UploadInput = {
  runId: 'run',
  ...announced(PAYLOAD),
  expiresInSeconds: 60,
}

export async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

/** An upload whose bytes have arrived. */
export async function arrived(
  uploads: Uploads,
  input: Partial<UploadInput> = {},
  payload: Buffer = PAYLOAD,
): Promise<string> {
  const { uploadId } = await uploads.begin({ ...INPUT, ...announced(payload), ...input })
  await uploads.receive(uploadId, { chunks: once(payload), sizeBytes: payload.length })
  return uploadId
}

/** The same storage, where every backend reads otherwise. */
export function withGet(storage: Storage, get: (real: StorageBackend['get']) => StorageBackend['get']): Storage {
  return withBackends(storage, (backend) => ({ ...backend, get: get(backend.get) }))
}

export interface HeldReads {
  readonly storage: Storage
  /** Resolves when the first read stands still. */
  readonly begun: Promise<void>
  release(): void
  readonly count: number
}

/** The same storage, whose objects are opened and then do not come before they are released. */
export function withHeldReads(storage: Storage): HeldReads {
  const begun = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  let count = 0
  async function* held(body: Readable, signal: AbortSignal | undefined) {
    begun.resolve()
    await unlessAborted(released.promise, signal)
    yield* body
  }
  return {
    storage: withGet(storage, (real) => async (uri, options) => {
      count++
      const object = await real(uri, options)
      // While it is held nobody else listens.
      object.body.on('error', () => {})
      return { ...object, body: Readable.from(held(object.body, options?.signal)) }
    }),
    begun: begun.promise,
    release: released.resolve,
    get count() {
      return count
    },
  }
}

/** Nothing is lost and nothing is left over, now and after a sweep. */
export async function isWhole(store: TestStore, snapshots: number): Promise<void> {
  await store.sweep()
  const { rows, live, declared, files } = await store.uris()
  assert.deepEqual([live, declared, files], [rows, rows, rows])
  assert.equal(await countRows(store.databaseUrl, 'state_snapshots'), snapshots)
}
