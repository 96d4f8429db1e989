import { type Kysely, sql } from 'kysely'
import { createIndexesOfEmpty, RETENTION_INDEXES } from '../indexes.ts'

/** What is kept for how long: runs that are held, states that were approved, signs of life of steps, and whose turn a pass is. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  await createIndexesOfEmpty(db, RETENTION_INDEXES)
}

const STATEMENTS = [
  'alter table statelens_runs add column legal_hold boolean not null default false',
  // A step that is there already has its sign of life now: no run ends by this.
  'alter table statelens_steps add column updated_at timestamptz not null default now()',
  `alter table state_snapshots
    add column golden_source text,
    add column golden_metadata json,
    add column golden_at timestamptz`,
  // Others take their place, by which a pass goes on behind what it has seen.
  'drop index if exists state_snapshots_expires, statelens_runs_expires',
  `create table statelens_passes (
    name text primary key,
    holder uuid,
    held_until timestamptz not null default '-infinity',
    ended_at timestamptz,
    report json
  )`,
]
