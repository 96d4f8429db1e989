import { type Kysely, sql } from 'kysely'
import { type CaptureInput, SNAPSHOT_METADATA, type Snapshot } from '../../model/snapshot.ts'
import type { Database } from '../connect.ts'
import type { Tables } from '../tables.ts'
import { projectSnapshot } from './snapshot-columns.ts'
import { loadSnapshots } from './snapshots.ts'
import { holdRun } from './steps.ts'

/** A snapshot about to be stored: where its payload goes, and what was learnt of the payload on the way. */
export interface NewSnapshot extends CaptureInput {
  readonly snapshotId: string
  /** Whether the id is the caller's own choice. */
  readonly isNamed?: boolean
  /** Exactly one of the two is set: JSON text, or the URI of an object that was begun with `beginObject`. */
  readonly payload: string | null
  readonly storageUri: string | null
  /** Of the object, where its store keeps versions. */
  readonly versionId: string | null
  /** What the object is coded in; `identity` inline. */
  readonly contentEncoding: string
  readonly sizeBytes: number
  readonly contentDigest: Buffer
  readonly preview: string
  /** Of all that makes two captures the same one. */
  readonly requestDigest: Buffer
  /** Of the object's bytes as they lie in storage; null inline. */
  readonly stored: NewStoredBytes | null
}

/** What the ledger keeps of an object's bytes as they lie in storage. */
export interface NewStoredBytes {
  readonly sizeBytes: number
  /** SHA-256. */
  readonly digest: Buffer
  readonly chunkSizeBytes: number
  /** 32 bytes a chunk, in order. */
  readonly chunkDigests: Buffer
}

/** What an earlier capture under the same id or idempotency key left. */
export type EarlierCapture =
  | { readonly state: 'stored'; readonly snapshot: Snapshot; readonly requestDigest: Buffer | null }
  | { readonly state: 'deleted' }

type CaptureKey = Pick<NewSnapshot, 'snapshotId' | 'runId' | 'stepId' | 'idempotencyKey'>

/**
 * The capture that was stored, or stored and deleted, under this id or key; null when there was none. Where the two belong to different
 * snapshots it is that of the key.
 */
export async function findEarlierCapture(db: Database, key: CaptureKey): Promise<EarlierCapture | null> {
  const { snapshotId, runId, stepId = null, idempotencyKey = null } = key
  const sameKey = sql`run_id = ${runId} and coalesce(step_id, '') = coalesce(${stepId}::text, '')
    and idempotency_key = ${idempotencyKey}`
  const [row] = await db.rows(sql`
    select id, request_digest from state_snapshots where id = ${snapshotId}::uuid or (${sameKey})
    order by id = ${snapshotId}::uuid limit 1`)
  if (row) {
    const [id, requestDigest] = row as [string, Buffer | null]
    const [snapshot] = await loadSnapshots(db, [id], SNAPSHOT_METADATA)
    // A row out of sight is of a run that was deleted.
    return snapshot ? { state: 'stored', snapshot, requestDigest } : { state: 'deleted' }
  }
  const tombstones = await db.rows(sql`
    select 1 from statelens_tombstones where snapshot_id = ${snapshotId}::uuid or (${sameKey}) limit 1`)
  return tombstones.length > 0 ? { state: 'deleted' } : null
}

/** `seen`: an earlier capture has the id or the key. `lost`: the sweeper took the object for abandoned. */
export type InsertResult = { readonly snapshot: Snapshot } | 'seen' | 'lost'

/** Stores the row, with its run and step where they are not there yet; an object becomes live in the same transaction. */
export async function insertSnapshot(db: Database, snapshot: NewSnapshot): Promise<InsertResult> {
  return await db.kysely.transaction().execute(async (tx) => {
    await holdRun(snapshot.runId).execute(tx)
    if (snapshot.storageUri !== null && !(await makeLive(tx, snapshot.storageUri, snapshot))) return 'lost'
    await createParents(tx, snapshot)
    const stored = await insertRow(tx, snapshot)
    if (stored) return { snapshot: stored }
    if (snapshot.storageUri !== null) await doom(tx, snapshot.storageUri)
    return 'seen'
  })
}

async function makeLive(
  tx: Kysely<Tables>,
  storageUri: string,
  { contentDigest, sizeBytes, stored, versionId }: NewSnapshot,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('statelens_objects')
    .set({
      state: 'live',
      content_digest: contentDigest,
      size_bytes: sizeBytes,
      stored_size_bytes: stored?.sizeBytes,
      stored_digest: stored?.digest,
      chunk_size_bytes: stored?.chunkSizeBytes,
      chunk_digests: stored?.chunkDigests,
      version_id: versionId,
      multipart_id: null,
    })
    .where('storage_uri', '=', storageUri)
    .where('state', '=', 'pending')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

async function doom(tx: Kysely<Tables>, storageUri: string): Promise<void> {
  await tx
    .updateTable('statelens_objects')
    .set({ state: 'doomed', not_before: sql`now()` })
    .where('storage_uri', '=', storageUri)
    .execute()
}

async function createParents(tx: Kysely<Tables>, { runId, stepId }: NewSnapshot): Promise<void> {
  await tx
    .insertInto('statelens_runs')
    .values({ run_id: runId })
    .onConflict((c) => c.doNothing())
    .execute()
  if (stepId == null) return
  const step = { run_id: runId, step_id: stepId }
  await tx
    .insertInto('statelens_steps')
    .values(step)
    .onConflict((c) => c.doNothing())
    .execute()
}

/** Null where another row has its id or its key. */
async function insertRow(tx: Kysely<Tables>, snapshot: NewSnapshot): Promise<Snapshot | null> {
  const { columns, read } = projectSnapshot(SNAPSHOT_METADATA)
  const { rows } = await sql<object>`
    insert into state_snapshots as s (seq, id, run_id, step_id, attempt, kind, is_success_state, replay_safe, pii_tags,
      redaction_policy, metadata, expires_at, idempotency_key, request_digest, payload, storage_uri, storage_state,
      size_bytes, content_digest, preview, content_encoding)
    values (statelens_next_seq(), ${snapshot.snapshotId}, ${snapshot.runId}, ${snapshot.stepId ?? null}, ${snapshot.attempt ?? 1},
      ${snapshot.kind ?? 'CHECKPOINT'}, ${snapshot.isSuccessState ?? false}, ${snapshot.replaySafe ?? false},
      ${snapshot.piiTags ?? []}, ${snapshot.redactionPolicy ?? null}, ${snapshot.metadata ?? null},
      ${snapshot.expiresAt ?? null}, ${snapshot.idempotencyKey ?? null}, ${snapshot.requestDigest},
      ${snapshot.payload}, ${snapshot.storageUri}, 'AVAILABLE', ${snapshot.sizeBytes}, ${snapshot.contentDigest},
      ${snapshot.preview}, ${snapshot.contentEncoding})
    on conflict do nothing returning ${columns}`.execute(tx)
  return rows[0] ? read(Object.values(rows[0])) : null
}
