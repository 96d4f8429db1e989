import { sql } from 'kysely'
import { type CaptureInput, SNAPSHOT_METADATA, type Snapshot } from '../../model/snapshot.ts'
import { parseJson } from '../columns.ts'
import type { Database } from '../connect.ts'
import type { UploadState } from '../tables.ts'
import { loadSnapshots } from './snapshots.ts'
import { SNAPSHOTS } from './sources.ts'

const REMEMBERED_SECONDS = 86_400

/** An upload about to begin. */
export interface NewUpload {
  readonly uploadId: string
  readonly input: CaptureInput & { readonly snapshotId: string }
  /** Where its bytes are to go; null where they are here already. */
  readonly storageUri: string | null
  readonly sizeBytes: number
  /** SHA-256. */
  readonly contentDigest: Buffer
  /** From now, by the clock of the database. */
  readonly expiresInSeconds: number
}

export interface Upload extends Omit<NewUpload, 'expiresInSeconds'> {
  /** Name that the store gave to an upload in parts; null for others, and where nobody knows whether it has one. */
  readonly multipartId: string | null
  readonly state: UploadState
}

/** Declares the upload and its object, before anybody can send a byte. No sweeper takes the object while the upload lives. */
export async function beginUpload(db: Database, upload: NewUpload): Promise<void> {
  const { uploadId, input, storageUri, sizeBytes, contentDigest, expiresInSeconds } = upload
  const { snapshotId } = input
  await sql`
    with ends as (select now() + make_interval(secs => ${expiresInSeconds}) as at), object as (
      insert into statelens_objects (storage_uri, snapshot_id, not_before)
      select ${storageUri}::text, ${snapshotId}::uuid, at from ends where ${storageUri}::text is not null
    )
    insert into statelens_uploads
      (upload_id, snapshot_id, storage_uri, input, size_bytes, content_digest, expires_at, not_before)
    select ${uploadId}::uuid, ${snapshotId}::uuid, ${storageUri}::text, ${JSON.stringify(input)}::json, ${sizeBytes}::bigint,
      ${contentDigest}::bytea, at, at from ends`.execute(db.kysely)
}

export async function recordMultipart(db: Database, uploadId: string, multipartId: string): Promise<void> {
  await db.kysely
    .updateTable('statelens_uploads')
    .set({ multipart_id: multipartId })
    .where('upload_id', '=', uploadId)
    .execute()
}

/** Null when there never was one, or when it was forgotten. */
export async function findUpload(db: Database, uploadId: string): Promise<Upload | null> {
  const [row] = await db.rows(sql`
    select input, storage_uri, multipart_id, size_bytes, content_digest, state from statelens_uploads
    where upload_id = ${uploadId}::uuid`)
  if (!row) return null
  const [input, storageUri, multipartId, sizeBytes, contentDigest, state] = row as Row
  return {
    uploadId,
    input: parseJson(input) as NewUpload['input'],
    storageUri,
    multipartId,
    sizeBytes: Number(sizeBytes),
    contentDigest,
    state,
  }
}

type Row = [Buffer, string | null, string | null, string, Buffer, UploadState]

/** The first end stands. A committed one is remembered for a day after its time, for those who commit again. */
export async function endUpload(db: Database, uploadId: string, state: Exclude<UploadState, 'open'>): Promise<void> {
  await sql`
    update statelens_uploads set state = ${state},
      not_before = expires_at + make_interval(secs => ${state === 'committed' ? REMEMBERED_SECONDS : 0})
    where upload_id = ${uploadId}::uuid and state = 'open'`.execute(db.kysely)
}

/** A snapshot of this server whose object has this content; null when there is none, or none that can be read. */
export async function findStoredContent(
  db: Database,
  { contentDigest, sizeBytes }: Pick<NewUpload, 'contentDigest' | 'sizeBytes'>,
): Promise<Snapshot | null> {
  const [row] = await db.rows(sql`
    select s.id from statelens_objects o
    cross join lateral (select * from ${SNAPSHOTS} and s.id = o.snapshot_id and s.storage_uri = o.storage_uri) s
    where o.content_digest = ${contentDigest} and o.size_bytes = ${sizeBytes}::bigint and o.state = 'live'
      and s.request_digest is not null and s.storage_state = 'AVAILABLE' limit 1`)
  if (!row) return null
  const [snapshot] = await loadSnapshots(db, [String(row[0])], SNAPSHOT_METADATA)
  return snapshot ?? null
}

/** An upload whose time is over. */
export type DueUpload = Pick<Upload, 'uploadId' | 'storageUri' | 'multipartId' | 'sizeBytes' | 'state'>

/**
 * Takes uploads that ended longer ago than the grace. Each is taken by one sweeper at a time, and comes up again later unless it is
 * forgotten.
 */
export async function takeDueUploads(
  db: Database,
  { graceSeconds, limit }: { readonly graceSeconds: number; readonly limit: number },
): Promise<DueUpload[]> {
  const rows = await db.rows(sql`
    update statelens_uploads u
    set attempts = attempts + 1,
      not_before = now() + make_interval(secs => least(3600, 30 * power(2, least(attempts, 10))))
    where upload_id in (
      select upload_id from statelens_uploads
      where not_before <= now() and expires_at <= now() - make_interval(secs => ${graceSeconds})
      order by not_before limit ${limit} for update skip locked
    ) returning u.upload_id, u.storage_uri, u.multipart_id, u.size_bytes, u.state`)
  return rows.map((row) => {
    const [uploadId, storageUri, multipartId, sizeBytes, state] = row as DueRow
    return { uploadId, storageUri, multipartId, sizeBytes: Number(sizeBytes), state }
  })
}

type DueRow = [string, string | null, string | null, string, UploadState]

/**
 * Forgets an upload, and gives its object up unless a snapshot has it: whoever held the URL may have sent the bytes again after
 * they were deleted.
 */
export async function forgetUpload(db: Database, uploadId: string): Promise<void> {
  await sql`
    with gone as (delete from statelens_uploads where upload_id = ${uploadId}::uuid returning storage_uri, snapshot_id)
    insert into statelens_objects as o (storage_uri, snapshot_id, state)
    select storage_uri, snapshot_id, 'doomed' from gone where storage_uri is not null
    on conflict (storage_uri) do update set state = 'doomed', not_before = now() where o.state <> 'live'`.execute(
    db.kysely,
  )
}
