import { type Kysely, sql } from 'kysely'

/** Whether the database had the old system's table before it had ours. */
export async function hasOldTable(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`select to_regclass('state_snapshots') is not null as found`.execute(db)
  return rows[0]?.found === true
}

/**
 * Gives an old table every column that a new one has. None of it reads or writes a row: columns come without a default, or with
 * one that PostgreSQL keeps in its catalog, so that the lock is held for milliseconds whatever the size of the table.
 */
export async function widenOldTable(db: Kysely<unknown>): Promise<void> {
  await sql`lock table state_snapshots in access exclusive mode`.execute(db)
  for (const statement of WIDENING) await sql.raw(statement).execute(db)
}

/** What our own rows leave null. */
const NULLABLE = [
  'is_success_state',
  'pii_tags',
  'redaction_policy',
  'replay_safe',
  'content_digest',
  'storage_uri',
  'snapshot',
  'step_id',
]

const WIDENING = [
  `alter table state_snapshots
    add column if not exists id uuid,
    add column if not exists is_success_state boolean,
    -- Rows of a table without times all get the moment of the adoption.
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists pii_tags text[],
    add column if not exists redaction_policy text,
    add column if not exists replay_safe boolean,
    add column if not exists content_digest bytea,
    add column if not exists storage_uri text,
    add column if not exists snapshot json,
    add column if not exists step_id text,
    add column seq bigint,
    add column attempt integer not null default 1,
    add column kind text not null default 'CHECKPOINT',
    add column is_golden boolean not null default false,
    add column metadata json,
    add column size_bytes bigint,
    add column content_type text not null default 'application/json',
    add column content_encoding text not null default 'identity',
    add column storage_state text,
    add column json_verdict text,
    add column json_verdict_etag text,
    add column preview text,
    add column idempotency_key text,
    add column request_digest bytea,
    add column expires_at timestamptz`,
  // For rows to come; those that are there are numbered later, in their order, below every new one.
  `alter table state_snapshots
    alter column id set default gen_random_uuid(),
    alter column created_at set default now()`,
  // Those of a primary key stay required.
  `do $$ declare name text; begin
    for name in select attname from pg_attribute a where attrelid = 'state_snapshots'::regclass and attnotnull
      and attname in (${NULLABLE.map((column) => `'${column}'`).join(', ')})
      and not exists (select from pg_index where indrelid = attrelid and indisprimary and attnum = any(indkey))
    loop execute format('alter table state_snapshots alter column %I drop not null', name); end loop;
  end $$`,
  // A row takes 28 bytes of its page at the least, so this begins above their number, without counting them.
  `do $$ begin
    execute format('create sequence state_snapshots_seq_seq start with %s owned by state_snapshots.seq',
      pg_relation_size('state_snapshots') / 28 + 1);
  end $$`,
  `alter table state_snapshots alter column seq set default nextval('state_snapshots_seq_seq')`,
]
