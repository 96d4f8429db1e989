import { sql } from 'kysely'
import type { Database } from '../connect.ts'
import { unlessReadOnly } from '../errors.ts'
import type { NewStoredBytes } from './captures.ts'

/**
 * What was noted of the bytes of a live object; null where it was written before such notes were made, and for objects of other
 * writers.
 */
export async function loadStoredBytes(db: Database, storageUri: string): Promise<NewStoredBytes | null> {
  const [row] = await db.rows(sql`
    select stored_size_bytes, stored_digest, chunk_size_bytes, chunk_digests from statelens_objects
    where storage_uri = ${storageUri} and state = 'live' and chunk_digests is not null`)
  if (!row) return null
  const [sizeBytes, digest, chunkSizeBytes, chunkDigests] = row as [string, Buffer, string, Buffer]
  return { sizeBytes: Number(sizeBytes), digest, chunkSizeBytes: Number(chunkSizeBytes), chunkDigests }
}

/** Notes it of an object that was read to its end and found to be what was captured. The first note stands. */
export async function recordStoredBytes(db: Database, storageUri: string, stored: NewStoredBytes): Promise<void> {
  const noting = db.kysely
    .updateTable('statelens_objects')
    .set({
      stored_size_bytes: stored.sizeBytes,
      stored_digest: stored.digest,
      chunk_size_bytes: stored.chunkSizeBytes,
      chunk_digests: stored.chunkDigests,
    })
    .where('storage_uri', '=', storageUri)
    .where('state', '=', 'live')
    .where('chunk_digests', 'is', null)
    .execute()
  await unlessReadOnly(noting)
}
