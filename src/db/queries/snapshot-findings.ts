import { sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import {
  type Integrity,
  type JsonVerdict,
  SNAPSHOT_FIELDS,
  type Snapshot,
  type StorageState,
  VERIFICATION_NEEDS,
} from '../../model/snapshot.ts'
import type { Database } from '../connect.ts'
import { projectSnapshot } from './snapshot-columns.ts'

/** Records what reading the payload showed; a verification that it contradicts does not stand. */
export async function recordStorageState(db: Database, snapshotId: string, state: StorageState): Promise<void> {
  await sql`
    update state_snapshots set storage_state = ${state}, integrity = case
      when ${state} = 'CORRUPT' and content_digest is not null then 'MISMATCH'
      when ${state} = 'AVAILABLE' and integrity = 'MISMATCH' then null
      else integrity end
    where id = ${snapshotId}::uuid and storage_state is distinct from ${state}`.execute(db.kysely)
}

/** Records whether a version of the object is JSON. */
export async function recordJsonVerdict(
  db: Database,
  snapshotId: string,
  { isJson, etag }: JsonVerdict,
): Promise<void> {
  await db.kysely
    .updateTable('state_snapshots')
    .set({ json_verdict: isJson ? 'VALID' : 'INVALID', json_verdict_etag: etag })
    .where('id', '=', snapshotId)
    .execute()
}

/** A row with an object and a copy of it. */
export type TwoSources = Pick<Snapshot, 'snapshotId' | 'storageUri'>

/** From now on the copy in the row is what is read. Nothing changes where the row was written anew meanwhile. */
export async function settleOnCopy(db: Database, { snapshotId, storageUri }: TwoSources): Promise<void> {
  await sql`
    update state_snapshots set reads_inline = true, size_bytes = octet_length(snapshot::text),
      preview = coalesce(preview, statelens_preview(snapshot::text)), storage_state = 'AVAILABLE',
      integrity = null, verified_at = null
    where id = ${snapshotId}::uuid and storage_uri = ${storageUri} and snapshot is not null
      and (not reads_inline or storage_state is distinct from 'AVAILABLE')`.execute(db.kysely)
}

/** The object was found to be what its digest says. Nothing changes where the row was written anew meanwhile. */
export async function settleOnObject(
  db: Database,
  { snapshotId, storageUri, digest, sizeBytes }: TwoSources & Pick<Snapshot, 'digest' | 'sizeBytes'>,
): Promise<void> {
  await sql`
    update state_snapshots set reads_inline = false, size_bytes = ${sizeBytes}::bigint, storage_state = 'AVAILABLE'
    where id = ${snapshotId}::uuid and storage_uri = ${storageUri} and 'sha256:' || encode(content_digest, 'hex') = ${digest}
      and (reads_inline or size_bytes is distinct from ${sizeBytes}::bigint or storage_state is distinct from 'AVAILABLE')
  `.execute(db.kysely)
}

export interface Verified {
  readonly storageState: StorageState
  /** Null when the payload could not be read to its end. */
  readonly integrity: Exclude<Integrity, 'NOT_CHECKED'> | null
  /** Where the digest vouches for it. */
  readonly sizeBytes: number | null
}

/** Records what a verification showed. */
export async function recordVerification(
  db: Database,
  snapshotId: string,
  { storageState, integrity, sizeBytes }: Verified,
): Promise<void> {
  await sql`
    update state_snapshots set storage_state = ${storageState}, integrity = ${integrity}, verified_at = now(),
      size_bytes = coalesce(size_bytes, ${sizeBytes}::bigint)
    where id = ${snapshotId}::uuid`.execute(db.kysely)
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
  db: Database,
  { afterSeq, runId, limit }: VerificationBatch,
): Promise<Snapshot[]> {
  const { columns, read } = projectSnapshot(TO_VERIFY)
  const ofRun = runId === undefined ? sql`` : sql` and s.run_id = ${runId}`
  const rows = await db.rows(sql`
    select case when s.reads_inline and s.content_digest is not null then s.storage_uri end, ${columns}
    from state_snapshots s where s.seq > ${afterSeq}::bigint${ofRun} order by s.seq limit ${limit}`)
  return rows.map((row) => {
    const snapshot = read(row, 1)
    const [settledUri] = row as [string | null]
    if (settledUri === null) return snapshot
    return { ...snapshot, storageUri: settledUri, hasInlineCopy: true, sizeBytes: null, digestOf: null }
  })
}
