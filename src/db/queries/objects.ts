import { sql } from 'kysely'
import type { Database } from '../connect.ts'
import { hasLiveObject } from './state-indexes.ts'

/** Declares that an object is about to be written, before its first byte. */
export async function beginObject(db: Database, storageUri: string, snapshotId: string): Promise<void> {
  await db.kysely.insertInto('statelens_objects').values({ storage_uri: storageUri, snapshot_id: snapshotId }).execute()
}

/**
 * A sign of life of whoever writes an object: the sweepers' grace counts from now.
 * @returns false when a sweeper has it already, or has forgotten it.
 */
export async function renewObject(db: Database, storageUri: string): Promise<boolean> {
  const { numUpdatedRows } = await db.kysely
    .updateTable('statelens_objects')
    .set({ not_before: sql`greatest(not_before, now())` })
    .where('storage_uri', '=', storageUri)
    .where('state', '<>', 'doomed')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Notes the upload in parts that is to become an object, before its first part. @returns as `renewObject` does. */
export async function noteMultipart(db: Database, storageUri: string, multipartId: string): Promise<boolean> {
  const { numUpdatedRows } = await db.kysely
    .updateTable('statelens_objects')
    .set({ multipart_id: multipartId, not_before: sql`greatest(not_before, now())` })
    .where('storage_uri', '=', storageUri)
    .where('state', '=', 'pending')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/**
 * Gives an object up that no snapshot names; the next sweep deletes its bytes. A sweeper may have forgotten it while its
 * bytes were still on the way: then it is declared anew.
 */
export async function abandonObject(db: Database, storageUri: string, snapshotId: string): Promise<void> {
  await db.kysely
    .insertInto('statelens_objects')
    .values({ storage_uri: storageUri, snapshot_id: snapshotId, state: 'doomed' })
    .onConflict((conflict) =>
      conflict
        .column('storage_uri')
        .doUpdateSet({ state: 'doomed', not_before: sql`now()` })
        .where('statelens_objects.state', '<>', 'live'),
    )
    .execute()
}

/** An object whose bytes are to be deleted, as one sweeper took it. */
export interface TakenObject {
  readonly storageUri: string
  /** As the ledger knows them. */
  readonly multipartId: string | null
  readonly versionId: string | null
  /** Whether it never became live: its put may have been cut off anywhere. */
  readonly isUnfinished: boolean
  /** Another one as soon as the object is given up anew, or taken by somebody else. */
  readonly token: string
}

/**
 * Takes objects whose bytes are to be deleted now: doomed ones that are due, and ones of which there was no sign of life, or whose
 * upload ended, longer ago than the grace, and that never became live. Each is taken by one sweeper at a time, and comes up again
 * later unless it is forgotten.
 */
export async function takeDoomedObjects(
  db: Database,
  { graceSeconds, limit }: { readonly graceSeconds: number; readonly limit: number },
): Promise<TakenObject[]> {
  const rows = await db.rows(sql`
    update statelens_objects o
    set state = 'doomed', attempts = attempts + 1,
      not_before = now() + make_interval(secs => least(3600, 30 * power(2, least(attempts, 10))))
    where storage_uri in (
      select storage_uri from statelens_objects
      where not_before <= now() and (state = 'doomed'
        or state = 'pending' and greatest(created_at, not_before) < now() - make_interval(secs => ${graceSeconds}))
      order by not_before limit ${limit} for update skip locked
    ) returning o.storage_uri, o.multipart_id, o.version_id, o.content_digest is null, o.not_before`)
  return rows.map((row) => {
    const [storageUri, multipartId, versionId, isUnfinished, token] = row as TakenRow
    return { storageUri, multipartId, versionId, isUnfinished, token }
  })
}

type TakenRow = [string, string | null, string | null, boolean, string]

/** A store lets nobody delete these before a moment: they come up again then, and not every hour. */
export async function postponeObjects(
  db: Database,
  postponed: readonly { readonly object: TakenObject; readonly until: string }[],
): Promise<void> {
  const uris = postponed.map(({ object }) => object.storageUri)
  const tokens = postponed.map(({ object }) => object.token)
  const moments = postponed.map(({ until }) => until)
  await sql`
    update statelens_objects o set not_before = greatest(o.not_before, taken.until)
    from unnest(${uris}::text[], ${tokens}::timestamptz[], ${moments}::timestamptz[]) as taken (storage_uri, token, until)
    where o.storage_uri = taken.storage_uri and o.state = 'doomed' and o.not_before = taken.token`.execute(db.kysely)
}

/**
 * The bytes of these objects are gone, and with them the indexes of states that no live object has any more. One that was given up anew
 * since it was taken stays, for its bytes may have come meanwhile.
 */
export async function forgetObjects(db: Database, taken: readonly TakenObject[]): Promise<void> {
  const uris = taken.map(({ storageUri }) => storageUri)
  const tokens = taken.map(({ token }) => token)
  await sql`
    with gone as (
      delete from statelens_objects o using unnest(${uris}::text[], ${tokens}::timestamptz[]) as taken (storage_uri, token)
      where o.storage_uri = taken.storage_uri and o.state = 'doomed' and o.not_before = taken.token
      returning o.content_digest
    )
    delete from statelens_state_indexes i using gone
    where i.key = gone.content_digest and i.snapshot_id is null and not ${hasLiveObject(sql.ref('i.key'))}`.execute(
    db.kysely,
  )
}
