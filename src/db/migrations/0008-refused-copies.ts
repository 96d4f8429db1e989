import { type Kysely, sql } from 'kysely'

/** Which content its store has failed to copy lately. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `create index statelens_uploads_refused_copies on statelens_uploads (content_digest)
        where state = 'refused' and storage_uri is null`,
    )
    .execute(db)
}
