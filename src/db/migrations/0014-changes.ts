import { type Kysely, sql } from 'kysely'
import { createIndexesOfEmpty, EVENT_INDEXES } from '../indexes.ts'

/**
 * Which transaction last wrote a run and a step, as snapshots have it already: who watches finds every change as it is committed, whoever
 * made it. Rows that are there already have none, and are history.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  await createIndexesOfEmpty(db, EVENT_INDEXES)
}

const CHANGING = ['statelens_runs', 'statelens_steps']

const STATEMENTS = [
  // First without a default: one that is computed for each row would write the whole table anew.
  ...CHANGING.flatMap((table) => [
    `alter table ${table} add column changed_xid xid8`,
    `alter table ${table} alter column changed_xid set default pg_current_xact_id()`,
  ]),
  `create function statelens_mark_change() returns trigger language plpgsql as $$
  begin
    new.changed_xid := pg_current_xact_id();
    return new;
  end $$`,
  // A row that is copied from another database brings the number of a transaction there.
  ...[...CHANGING, 'state_snapshots'].flatMap((table) => [
    `create trigger statelens_mark_new before insert on ${table} for each row
      when (new.changed_xid is distinct from pg_current_xact_id()) execute function statelens_mark_change()`,
    `alter table ${table} enable always trigger statelens_mark_new`,
  ]),
  ...CHANGING.flatMap((table) => [
    `create trigger statelens_mark_change before update on ${table} for each row execute function statelens_mark_change()`,
    `alter table ${table} enable always trigger statelens_mark_change`,
  ]),
]
