import { type Kysely, sql } from 'kysely'

/** Uploads that do not come by a capture, and the way to a payload that is stored already. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `create table statelens_uploads (
    upload_id uuid primary key,
    snapshot_id uuid not null,
    storage_uri text,
    multipart_id text,
    input json not null,
    size_bytes bigint not null,
    content_digest bytea not null,
    state text not null default 'open' check (state in ('open', 'committed', 'refused')),
    expires_at timestamptz not null,
    created_at timestamptz not null default now(),
    not_before timestamptz not null,
    attempts integer not null default 0
  )`,
  'create index statelens_uploads_due on statelens_uploads (not_before)',

  // Here and not on the snapshots: that table may be another writer's, and too large for an index while nobody can write.
  'alter table statelens_objects add column content_digest bytea, add column size_bytes bigint',
  "create index statelens_objects_content on statelens_objects (content_digest, size_bytes) where state = 'live'",
]
