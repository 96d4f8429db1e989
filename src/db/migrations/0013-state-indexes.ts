import { type Kysely, sql } from 'kysely'

/** By what any place of a large state is found without reading the rest of it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  // Apart from the snapshots: equal states have one, and it stays where it is when their object moves.
  `create table statelens_state_indexes (
    key bytea primary key check (octet_length(key) = 32),
    snapshot_id uuid,
    version smallint not null,
    size_bytes bigint not null,
    entries bytea not null,
    created_at timestamptz not null default now()
  )`,
  // Mostly digests: to compress them takes time and saves nothing.
  'alter table statelens_state_indexes alter column entries set storage external',
]
