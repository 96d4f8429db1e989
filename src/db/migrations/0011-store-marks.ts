import { type Kysely, sql } from 'kysely'

/** What the folder is marked with that the objects of this database lie in. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `create table statelens_stores (
        scheme text primary key,
        id uuid not null,
        is_used boolean not null default false,
        created_at timestamptz not null default now()
      )`,
    )
    .execute(db)
}
