import { sql } from 'kysely'
import type { CaptureInput } from '../../model/snapshot.ts'
import { parseJson } from '../columns.ts'
import type { Database } from '../connect.ts'
import type { UploadState } from '../tables.ts'
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

/**
 * Puts off when a sweeper may look at an upload, and at the object that is written or read for it: neither is abandoned.
 * @returns false when the upload has ended, or is forgotten.
 */
export async function renewUpload(
  db: Database,
  {
    uploadId,
    storageUri,
    seconds,
  }: { readonly uploadId: string; readonly storageUri: string; readonly seconds: number },
): Promise<boolean> {
  const later = sql`greatest(not_before, now() + make_interval(secs => ${seconds}))`
  const rows = await db.rows(sql`
    with held as (
      update statelens_uploads set not_before = ${later} where upload_id = ${uploadId}::uuid and state = 'open' returning 1
    ), object as (
      update statelens_objects set not_before = ${later}
      where storage_uri = ${storageUri} and state = 'pending' and exists (select from held)
    )
    select 1 from held`)
  return rows.length > 0
}

/** An object of this server that another snapshot may be made of, without its bytes being sent again. */
export interface CopySource {
  readonly storageUri: string
  /** Of the payload, which the object holds as it is. */
  readonly preview: string
}

export interface CopySourceQuery extends Pick<NewUpload, 'contentDigest' | 'sizeBytes'> {
  /** How the URIs of the store begin that is to copy it. */
  readonly uriPrefix: string
}

/**
 * An object with this content; null when there is none that can be read by whoever knows its digest. Of states with personal data
 * or a redaction policy the digest alone gives nothing away, and neither does content whose copy has failed lately.
 */
export async function findCopySource(db: Database, query: CopySourceQuery): Promise<CopySource | null> {
  const { contentDigest, sizeBytes, uriPrefix } = query
  const [row] = await db.rows(sql`
    select o.storage_uri, s.preview from statelens_objects o
    cross join lateral (select * from ${SNAPSHOTS} and s.id = o.snapshot_id and s.storage_uri = o.storage_uri) s
    where o.content_digest = ${contentDigest} and o.size_bytes = ${sizeBytes}::bigint and o.state = 'live'
      and starts_with(o.storage_uri, ${uriPrefix}) and s.request_digest is not null and s.content_encoding = 'identity'
      and s.storage_state = 'AVAILABLE' and s.integrity is distinct from 'MISMATCH'
      and coalesce(cardinality(s.pii_tags), 0) = 0 and s.redaction_policy is null
      and not exists (
        select from statelens_uploads u
        where u.content_digest = o.content_digest and u.state = 'refused' and u.storage_uri is null
      )
    limit 1`)
  if (!row) return null
  const [storageUri, preview] = row as [string, string | null]
  return { storageUri, preview: preview ?? '' }
}

/**
 * Forgets uploads that ended longer ago than the grace, and gives their objects up with the parts that have arrived of them, unless
 * a snapshot has them: whoever held the URL may have sent the bytes again after they were deleted. Several sweepers share the work.
 * @returns how many were forgotten.
 */
export async function forgetEndedUploads(
  db: Database,
  { graceSeconds, limit }: { readonly graceSeconds: number; readonly limit: number },
): Promise<number> {
  const [row] = await db.rows(sql`
    with ended as (
      select upload_id from statelens_uploads
      where not_before <= now() and expires_at <= now() - make_interval(secs => ${graceSeconds})
      order by not_before limit ${limit} for update skip locked
    ), gone as (
      delete from statelens_uploads u using ended where u.upload_id = ended.upload_id
      returning u.storage_uri, u.snapshot_id, u.multipart_id
    ), doomed as (
      insert into statelens_objects as o (storage_uri, snapshot_id, state, multipart_id)
      select storage_uri, snapshot_id, 'doomed', multipart_id from gone where storage_uri is not null
      on conflict (storage_uri) do update
      set state = 'doomed', not_before = now(), multipart_id = coalesce(excluded.multipart_id, o.multipart_id)
      where o.state <> 'live'
    )
    select count(*) from gone`)
  return Number(row?.[0] ?? 0)
}
