import { type Kysely, sql } from 'kysely'
import { markReplicatedWhole } from '../replicated-rows.ts'

/**
 * Rows that come by replication, or by whoever sets `session_replication_role`, fire no ordinary trigger: from now on these are
 * fired whatever brings a row. Rows that came before are completed later, while others write.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  const { rows } = await sql<{ found: boolean }>`select exists (select from state_snapshots) as found`.execute(db)
  if (!rows[0]?.found) await markReplicatedWhole(db)
}

/** Not those of tags: rows of runs come with their tags, where all of the database is replicated. */
const TRIGGERS = [
  ['statelens_complete_row', 'state_snapshots'],
  ['statelens_create_parents', 'state_snapshots'],
  ['statelens_give_up_object', 'state_snapshots'],
  ['statelens_replace_deleted_step', 'statelens_steps'],
]

const STATEMENTS = [
  ...TRIGGERS.map(([trigger, table]) => `alter table ${table} enable always trigger ${trigger}`),
  `do $$ begin
    if exists (select from pg_trigger where tgrelid = to_regclass('workflow_steps') and tgname = 'statelens_follow_steps') then
      alter table workflow_steps enable always trigger statelens_follow_steps;
    end if;
  end $$`,
]
