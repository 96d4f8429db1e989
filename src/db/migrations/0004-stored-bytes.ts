import { type Kysely, sql } from 'kysely'

/** What an object's bytes are as they lie in storage, and what is on its way to become one. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `alter table statelens_objects
        add column stored_size_bytes bigint,
        add column stored_digest bytea,
        add column chunk_size_bytes bigint,
        add column chunk_digests bytea,
        add column multipart_id text,
        add column version_id text`,
    )
    .execute(db)
}
