import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import {
  type Integrity,
  type JsonVerdict,
  SNAPSHOT_FIELDS,
  type Snapshot,
  type StorageState,
  VERIFICATION_NEEDS,
} from '../../model/snapshot.ts'
import type { Database, Rows } from '../connect.ts'
import { unlessReadOnly } from '../errors.ts'
import { DIGEST, projectSnapshot } from './snapshot-columns.ts'
import { SNAPSHOTS } from './sources.ts'

/**
 * What was looked at: a snapshot, the place of its payload, and its digest. Another writer may have written its row anew meanwhile: then
 * what was found is not of that row any more, and is not recorded.
 */
export type Seen = Pick<Snapshot, 'snapshotId' | 'storageUri' | 'digest'>

/** The row of what was seen, if it still says the same. A row that was settled on its copy may be seen either way. */
function isStill({ snapshotId, storageUri, digest }: Seen) {
  const place =
    storageUri === null ? sql`(s.storage_uri is null or s.reads_inline)` : sql`s.storage_uri = ${storageUri}`
  return sql`s.id = ${snapshotId}::uuid and ${place} and ${DIGEST} is not distinct from ${digest}::text`
}

const note = (db: Database, update: RawBuilder<unknown>) => unlessReadOnly(update.execute(db.kysely))

/** Records what reading the payload showed; a verification that it contradicts does not stand. */
export async function recordStorageState(db: Database, seen: Seen, state: StorageState): Promise<void> {
  await note(
    db,
    sql`
    update state_snapshots s set storage_state = ${state}, integrity = case
      when ${state} = 'CORRUPT' and s.content_digest is not null then 'MISMATCH'
      when ${state} = 'AVAILABLE' and s.integrity = 'MISMATCH' then null
      else s.integrity end
    where ${isStill(seen)} and s.storage_state is distinct from ${state}`,
  )
}

/** Records whether a version of the object is JSON. */
export async function recordJsonVerdict(db: Database, seen: Seen, { isJson, etag }: JsonVerdict): Promise<void> {
  await note(
    db,
    sql`
    update state_snapshots s set json_verdict = ${isJson ? 'VALID' : 'INVALID'}, json_verdict_etag = ${etag}
    where ${isStill(seen)}`,
  )
}

/** Records what the object of another writer is coded in. */
export async function recordContentEncoding(db: Database, seen: Seen, coding: string): Promise<void> {
  await note(
    db,
    sql`
    update state_snapshots s set content_encoding = ${coding}
    where ${isStill(seen)} and s.content_encoding <> ${coding}`,
  )
}

/** From now on the copy in the row is what is read. */
export async function settleOnCopy(db: Database, seen: Seen): Promise<void> {
  await note(
    db,
    sql`
    update state_snapshots s set reads_inline = true, size_bytes = octet_length(s.snapshot::text),
      preview = coalesce(s.preview, statelens_preview(s.snapshot::text)), storage_state = 'AVAILABLE',
      integrity = null, verified_at = null
    where ${isStill(seen)} and s.snapshot is not null and s.storage_uri is not null
      and (not s.reads_inline or s.storage_state is distinct from 'AVAILABLE')`,
  )
}

/** The object was found to be what its digest says. */
export async function settleOnObject(db: Database, seen: Seen, sizeBytes: number | null): Promise<void> {
  await note(
    db,
    sql`
    update state_snapshots s set reads_inline = false, size_bytes = ${sizeBytes}::bigint, storage_state = 'AVAILABLE'
    where ${isStill(seen)} and ${DIGEST} is not null and s.storage_uri is not null and (s.reads_inline
      or s.size_bytes is distinct from ${sizeBytes}::bigint or s.storage_state is distinct from 'AVAILABLE')
  `,
  )
}

export interface Verified {
  readonly storageState: StorageState
  /** Null when the payload could not be read to its end. */
  readonly integrity: Exclude<Integrity, 'NOT_CHECKED'> | null
  /** Where the digest vouches for it. */
  readonly sizeBytes: number | null
}

/** Records what a verification showed; nothing is written where that was known. */
export async function recordVerification(
  db: Database,
  seen: Seen,
  { storageState, integrity, sizeBytes }: Verified,
): Promise<void> {
  await note(
    db,
    sql`
    update state_snapshots s set storage_state = ${storageState}, integrity = ${integrity}, verified_at = now(),
      size_bytes = coalesce(s.size_bytes, ${sizeBytes}::bigint)
    where ${isStill(seen)} and (s.verified_at is null
      or (s.storage_state, s.integrity) is distinct from (${storageState}::text, ${integrity}::text)
      or s.size_bytes is null and ${sizeBytes}::bigint is not null)`,
  )
}

const TO_VERIFY: Fields<Snapshot> = SNAPSHOT_FIELDS.pick(['snapshotId', 'runId', 'seq', ...VERIFICATION_NEEDS])

export interface VerificationBatch {
  /** Snapshots up to this one are left out. */
  readonly afterSeq: string | number
  /** Of this run alone. */
  readonly runId?: string
  readonly limit: number
}

/**
 * The next snapshots, in the order of `seq`. Where the copy in a row was found to be what is read, although a digest could tell
 * whether the object is right, the row comes as if nobody had read it yet.
 */
export async function loadForVerification(
  db: Rows,
  { afterSeq, runId, limit }: VerificationBatch,
): Promise<Snapshot[]> {
  const { columns, read } = projectSnapshot(TO_VERIFY)
  const ofRun = runId === undefined ? sql`` : sql` and s.run_id = ${runId}`
  const rows = await db.rows(sql`
    select case when s.reads_inline and s.content_digest is not null then s.storage_uri end, ${columns}
    from ${SNAPSHOTS} and s.seq > ${afterSeq}::bigint${ofRun} order by s.seq limit ${limit}`)
  return rows.map((row) => {
    const snapshot = read(row, 1)
    const [settledUri] = row as [string | null]
    if (settledUri === null) return snapshot
    return { ...snapshot, storageUri: settledUri, hasInlineCopy: true, sizeBytes: null, digestOf: null }
  })
}
