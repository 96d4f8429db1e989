import { type Kysely, sql } from 'kysely'

/** By what a key of an object of millions is found without reading the others. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `create table statelens_state_keys (
    key bytea not null references statelens_state_indexes on delete cascade,
    container bigint not null,
    seed bytea not null,
    bucket smallint not null,
    part integer not null,
    pairs bytea not null,
    primary key (key, container, seed, bucket, part)
  )`,
  // Hashes: to compress them takes time and saves nothing.
  'alter table statelens_state_keys alter column pairs set storage external',
]
