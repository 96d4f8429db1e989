import { pipeline } from 'node:stream/promises'
import { ANYONE } from '../../auth/viewer.ts'
import { createMemoryCache } from '../../cache/memory.ts'
import type { Database } from '../../db/connect.ts'
import { loadSnapshots } from '../../db/queries/snapshots.ts'
import { findSamples, SAMPLE_KINDS, type SampleKind } from '../../db/queries/survey.ts'
import { type ErrorCode, isAppError } from '../../errors.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../../model/snapshot.ts'
import { createPayloads, type Payloads } from '../../snapshots/views/payloads.ts'
import type { Storage } from '../../storage/registry.ts'
import { type Finding, fine, wordOf, wrong } from './finding.ts'

const MAX_BYTES = 67_108_864
const READ_MILLIS = 8000
/** What a server reads whole, as its cache takes it. */
const WHOLE_BYTES = 4_194_304

const NAMES: Readonly<Record<SampleKind, string>> = {
  'own-inline': 'inline, of statelens',
  'own-object': 'object, of statelens',
  'foreign-inline': 'inline, of another writer',
  'foreign-object': 'object, of another writer',
  'foreign-both': 'object and copy, of another writer',
}

const FAILURES: Partial<Record<ErrorCode, string>> = {
  OBJECT_MISSING: 'the bytes are gone: bring the object back, or delete the snapshot',
  OBJECT_CORRUPT: 'the bytes are not those that were captured: bring back the object as it was',
  STORAGE_URI_REJECTED:
    'its storage URI is refused: add the bucket to STORAGE_ALLOWED_BUCKETS, or let SNAPSHOT_STORAGE_PATH be the root it lies in',
  UNSUPPORTED_STORAGE_SCHEME: 'no storage is set up for its URI: set S3_BUCKET or MINIO_BUCKET, and what belongs to it',
  STORAGE_UNAVAILABLE: 'storage cannot be used: see what is said of it above',
  STORAGE_TIMEOUT: 'storage did not answer in time',
  DATABASE_TIMEOUT: 'the database did not answer in time',
  INVALID_PAYLOAD: 'the object is not JSON: GraphQL cannot show it, and a download can',
}

/** Reads one payload of each kind to its end, past the cache. @throws AppError when the database fails. */
export async function lookAtPayloads(db: Database, storage: Storage): Promise<readonly Finding[]> {
  const samples = await findSamples(db, MAX_BYTES)
  if (samples.size === 0) return [fine('there is none to read yet')]
  const snapshots = await loadSnapshots(db, [...samples.values()], SNAPSHOT_METADATA)
  const cache = createMemoryCache({ maxBytes: WHOLE_BYTES, maxEntryBytes: WHOLE_BYTES, ttlSeconds: 1 })
  const payloads = createPayloads({ db, storage, cache })
  const readings = SAMPLE_KINDS.map(async (kind) => {
    const snapshot = snapshots.find(({ snapshotId }) => snapshotId === samples.get(kind))
    return snapshot ? [await readOne(payloads, snapshot, NAMES[kind])] : []
  })
  const findings = (await Promise.all(readings)).flat()
  await cache.close()
  return findings
}

async function readOne(payloads: Payloads, snapshot: Snapshot, name: string): Promise<Finding> {
  const subject = `${name} (${snapshot.snapshotId}):`
  const signal = AbortSignal.timeout(READ_MILLIS)
  try {
    const source = await payloads.resolve(snapshot, { viewer: ANYONE, useCache: false, signal })
    // Whoever runs the server reads all of it anyway; nothing of it is printed.
    const { body, sizeBytes } = await payloads.open(source, { useCache: false, maxBytes: MAX_BYTES, signal })
    if (!Buffer.isBuffer(body)) await pipeline(body, drain, { signal })
    const digest = snapshot.digestOf === 'PAYLOAD' && snapshot.storageUri !== null ? ', and its digest is right' : ''
    return fine(`${subject} ${(sizeBytes ?? 0).toLocaleString('en-US')} bytes read${digest}`)
  } catch (error) {
    if (signal.aborted) return wrong(`${subject} it took longer than ${READ_MILLIS / 1000} seconds`)
    if (!isAppError(error)) return wrong(`${subject} it cannot be read (${wordOf(error)})`)
    if (error.code === 'PAYLOAD_TOO_LARGE') return fine(`${subject} larger than 64 MiB, and not read`)
    return wrong(`${subject} ${error.code}, ${FAILURES[error.code] ?? 'it cannot be read'}`)
  }
}

async function drain(chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of chunks);
}
