import { type Kysely, sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { type CaptureInput, SNAPSHOT_METADATA, type Snapshot } from '../../model/snapshot.ts'
import type { Database } from '../connect.ts'
import type { Tables } from '../tables.ts'
import { loadSnapshots } from './snapshots.ts'
import { holdRun } from './steps.ts'

/** A snapshot about to be stored: where its payload goes, and what was learnt of the payload on the way. */
export interface NewSnapshot extends CaptureInput {
  readonly snapshotId: string
  /** Exactly one of the two is set: JSON text, or the URI of an object that was begun with `beginObject`. */
  readonly payload: string | null
  readonly storageUri: string | null
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

/** The capture that was stored, or stored and deleted, under this id or key; null when there was none. */
export async function findEarlierCapture(db: Database, key: CaptureKey): Promise<EarlierCapture | null> {
  const { snapshotId, runId, stepId = null, idempotencyKey = null } = key
  const sameKey = sql`run_id = ${runId} and coalesce(step_id, '') = coalesce(${stepId}::text, '')
    and idempotency_key = ${idempotencyKey}`
  const [row] = await db.rows(sql`
    select id, request_digest from state_snapshots where id = ${snapshotId}::uuid or (${sameKey}) limit 1`)
  const [id, requestDigest] = (row ?? []) as [string?, (Buffer | null)?]
  const [snapshot] = id === undefined ? [] : await loadSnapshots(db, [id], SNAPSHOT_METADATA)
  if (snapshot) return { state: 'stored', snapshot, requestDigest: requestDigest ?? null }
  const tombstones = await db.rows(sql`
    select 1 from statelens_tombstones where snapshot_id = ${snapshotId}::uuid or (${sameKey}) limit 1`)
  return tombstones.length > 0 ? { state: 'deleted' } : null
}

/** `seen`: an earlier capture has the id or the key. `lost`: the sweeper took the object for abandoned. */
export type InsertResult = { readonly snapshot: Snapshot } | 'seen' | 'lost'

/** Stores the row, with its run and step where they are not there yet; an object becomes live in the same transaction. */
export async function insertSnapshot(db: Database, snapshot: NewSnapshot): Promise<InsertResult> {
  const result = await db.kysely.transaction().execute(async (tx) => {
    await holdRun(snapshot.runId).execute(tx)
    if (snapshot.storageUri !== null && !(await makeLive(tx, snapshot.storageUri, snapshot))) return 'lost'
    await createParents(tx, snapshot)
    if (await insertRow(tx, snapshot)) return 'stored'
    if (snapshot.storageUri !== null) await doom(tx, snapshot.storageUri)
    return 'seen'
  })
  if (result !== 'stored') return result
  const [stored] = await loadSnapshots(db, [snapshot.snapshotId], SNAPSHOT_METADATA)
  if (!stored) throw new AppError('NOT_FOUND', 'The snapshot was deleted as soon as it was stored')
  return { snapshot: stored }
}

async function makeLive(
  tx: Kysely<Tables>,
  storageUri: string,
  { contentDigest, sizeBytes, stored }: NewSnapshot,
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

async function insertRow(tx: Kysely<Tables>, snapshot: NewSnapshot): Promise<boolean> {
  const { rows } = await sql`
    insert into state_snapshots as s (id, run_id, step_id, attempt, kind, is_success_state, replay_safe, pii_tags,
      redaction_policy, metadata, expires_at, idempotency_key, request_digest, payload, storage_uri, storage_state,
      size_bytes, content_digest, preview, content_encoding)
    values (${snapshot.snapshotId}, ${snapshot.runId}, ${snapshot.stepId ?? null}, ${snapshot.attempt ?? 1},
      ${snapshot.kind ?? 'CHECKPOINT'}, ${snapshot.isSuccessState ?? false}, ${snapshot.replaySafe ?? false},
      ${snapshot.piiTags ?? []}, ${snapshot.redactionPolicy ?? null}, ${snapshot.metadata ?? null},
      ${snapshot.expiresAt ?? null}, ${snapshot.idempotencyKey ?? null}, ${snapshot.requestDigest},
      ${snapshot.payload}, ${snapshot.storageUri}, 'AVAILABLE', ${snapshot.sizeBytes}, ${snapshot.contentDigest},
      ${snapshot.preview}, ${snapshot.contentEncoding})
    on conflict do nothing returning id`.execute(tx)
  return rows.length === 1
}

export interface Deleted {
  readonly found: boolean
  readonly snapshotCount: number
  /** Objects whose bytes are now to be deleted. */
  readonly storageUris: readonly string[]
}

/** Deletes one row for good; its object, where this server wrote it, is doomed in the same transaction. */
export async function deleteSnapshot(db: Database, snapshotId: string): Promise<Deleted> {
  return await db.kysely.transaction().execute(async (tx) => {
    const deleted = await deleteRows(tx, sql`id = ${snapshotId}::uuid`)
    return { ...deleted, found: deleted.snapshotCount > 0 }
  })
}

/** Deletes a run with its steps and snapshots; captures for it wait until that is done, and then begin a new run. */
export async function deleteRun(db: Database, runId: string): Promise<Deleted> {
  return await db.kysely.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtextextended(${runId}, 0))`.execute(tx)
    // Other writers hold the row of the run.
    await sql`select from statelens_runs where run_id = ${runId} for update`.execute(tx)
    const deleted = await deleteRows(tx, sql`run_id = ${runId}`)
    await tx.deleteFrom('statelens_steps').where('run_id', '=', runId).execute()
    const { numDeletedRows } = await tx.deleteFrom('statelens_runs').where('run_id', '=', runId).executeTakeFirst()
    return { ...deleted, found: numDeletedRows > 0n || deleted.snapshotCount > 0 }
  })
}

/** An object of another snapshot stays, even when a deleted row names it: only its own snapshot dooms it. */
async function deleteRows(tx: Kysely<Tables>, condition: ReturnType<typeof sql>): Promise<Omit<Deleted, 'found'>> {
  const { rows } = await sql<{ snapshotCount: string; storageUris: string[] | null }>`
    with gone as (
      delete from state_snapshots where ${condition} returning id, run_id, step_id, idempotency_key
    ), tombstones as (
      insert into statelens_tombstones (snapshot_id, run_id, step_id, idempotency_key) select * from gone
      on conflict (snapshot_id) do update set deleted_at = now()
    ), doomed as (
      update statelens_objects o set state = 'doomed', not_before = now() from gone
      where o.snapshot_id = gone.id and o.state = 'live' returning o.storage_uri
    )
    select (select count(*) from gone) as "snapshotCount", (select array_agg(storage_uri) from doomed) as "storageUris"
  `.execute(tx)
  const [row] = rows
  return { snapshotCount: Number(row?.snapshotCount ?? 0), storageUris: row?.storageUris ?? [] }
}
