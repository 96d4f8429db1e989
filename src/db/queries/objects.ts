import { sql } from 'kysely'
import type { Database } from '../connect.ts'

/** Declares that an object is about to be written, before its first byte. */
export async function beginObject(db: Database, storageUri: string, snapshotId: string): Promise<void> {
  await db.kysely.insertInto('statelens_objects').values({ storage_uri: storageUri, snapshot_id: snapshotId }).execute()
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

/**
 * Takes objects whose bytes are to be deleted now: doomed ones that are due, and ones that were begun, or whose upload ended,
 * longer ago than the grace and never became live. Each is taken by one sweeper at a time, and comes up again later unless it is
 * forgotten.
 */
export async function takeDoomedObjects(
  db: Database,
  { graceSeconds, limit }: { readonly graceSeconds: number; readonly limit: number },
): Promise<string[]> {
  const rows = await db.rows(sql`
    update statelens_objects o
    set state = 'doomed', attempts = attempts + 1,
      not_before = now() + make_interval(secs => least(3600, 30 * power(2, least(attempts, 10))))
    where storage_uri in (
      select storage_uri from statelens_objects
      where not_before <= now() and (state = 'doomed'
        or state = 'pending' and greatest(created_at, not_before) < now() - make_interval(secs => ${graceSeconds}))
      order by not_before limit ${limit} for update skip locked
    ) returning o.storage_uri`)
  return rows.map(([uri]) => uri as string)
}

/** The object's bytes are gone; unless it was given up anew since it was taken, for then they may have come meanwhile. */
export async function forgetObject(db: Database, storageUri: string): Promise<void> {
  await db.kysely
    .deleteFrom('statelens_objects')
    .where('storage_uri', '=', storageUri)
    .where('state', '=', 'doomed')
    .where('not_before', '>', sql<string>`now()`)
    .execute()
}
