import { type RawBuilder, sql } from 'kysely'
import { type CaptureInput, SNAPSHOT_METADATA, type Snapshot } from '../../model/snapshot.ts'
import type { Database } from '../connect.ts'
import { defineStatement, type Places } from '../statements.ts'
import { projectSnapshot } from './snapshot-columns.ts'
import { loadSnapshots } from './snapshots.ts'

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

/** In the order of the function's own. */
const CAPTURED = [
  'snapshotId',
  'runId',
  'stepId',
  'attempt',
  'kind',
  'isSuccessState',
  'replaySafe',
  'piiTags',
  'redactionPolicy',
  'metadata',
  'expiresAt',
  'idempotencyKey',
  'isNamed',
  'requestDigest',
  'payload',
  'storageUri',
  'sizeBytes',
  'contentDigest',
  'preview',
  'contentType',
  'contentEncoding',
  'storedSizeBytes',
  'storedDigest',
  'chunkSizeBytes',
  'chunkDigests',
  'versionId',
] as const

const captured = projectSnapshot(SNAPSHOT_METADATA)

type CapturePlaces = Places<(typeof CAPTURED)[number]>

const capture = defineStatement({
  values: CAPTURED,
  keyOf: (isAlone: boolean) => Number(isAlone),
  build: (_isAlone, places) => sql`select ${captured.columns} from ${captureOf(places)} s`,
  buildEach: (isAlone, all) => (isAlone ? undefined : captures(all)),
  orderBy: ['runId', 'stepId', 'idempotencyKey'],
})

function captureOf(places: CapturePlaces): RawBuilder<unknown> {
  return sql`statelens_capture(${sql.join(CAPTURED.map((name) => places[name]))})`
}

/**
 * Milliseconds for which captures that are stored together wait for what others hold: then each goes on by itself. Less than
 * PostgreSQL's `deadlock_timeout`, whose victim may be an old writer that holds many runs.
 */
const HURRY_MILLIS = 200

/** The limit is in every id, so that it is set before anything is locked. */
function captures(all: readonly CapturePlaces[]): RawBuilder<unknown> {
  const each = all.map((places, index) => {
    const snapshotId = sql`case when hurry.millis is not null then ${places.snapshotId}::uuid end`
    return sql`
      select ${sql.lit(index + 1)}, ${captured.columns} from hurry cross join lateral ${captureOf({ ...places, snapshotId })} s`
  })
  return sql`
    with hurry as materialized (select set_config('lock_timeout', ${sql.lit(String(HURRY_MILLIS))}, true) as millis)
    ${sql.join(each, sql` union all `)}`
}

/**
 * Stores the row, with its run and step where they are not there yet; an object becomes live along with it.
 * @returns null where it cannot be: an earlier capture has the id or the key, or the sweeper took the object for abandoned.
 */
export async function insertSnapshot(db: Database, snapshot: NewSnapshot): Promise<Snapshot | null> {
  const { stored } = snapshot
  // An object's row has much to lock, and an id that somebody chose could be another's who waits.
  const isAlone = snapshot.storageUri !== null || snapshot.isNamed === true
  const statement = capture(isAlone, {
    snapshotId: snapshot.snapshotId,
    runId: snapshot.runId,
    stepId: snapshot.stepId ?? null,
    attempt: snapshot.attempt ?? 1,
    kind: snapshot.kind ?? 'CHECKPOINT',
    isSuccessState: snapshot.isSuccessState ?? false,
    replaySafe: snapshot.replaySafe ?? false,
    piiTags: snapshot.piiTags ?? [],
    redactionPolicy: snapshot.redactionPolicy ?? null,
    metadata: snapshot.metadata ?? null,
    expiresAt: snapshot.expiresAt ?? null,
    idempotencyKey: snapshot.idempotencyKey ?? null,
    isNamed: snapshot.isNamed ?? false,
    requestDigest: snapshot.requestDigest,
    payload: snapshot.payload,
    storageUri: snapshot.storageUri,
    sizeBytes: snapshot.sizeBytes,
    contentDigest: snapshot.contentDigest,
    preview: snapshot.preview,
    contentType: snapshot.contentType ?? 'application/json',
    contentEncoding: snapshot.contentEncoding,
    storedSizeBytes: stored?.sizeBytes ?? null,
    storedDigest: stored?.digest ?? null,
    chunkSizeBytes: stored?.chunkSizeBytes ?? null,
    chunkDigests: stored?.chunkDigests ?? null,
    versionId: snapshot.versionId,
  })
  const [row] = await db.rows(statement)
  return row ? captured.read(row) : null
}
