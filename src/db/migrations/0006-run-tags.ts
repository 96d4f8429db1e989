import { type Kysely, sql } from 'kysely'
import { markTagsIndexed } from '../run-tags.ts'

/** The tags of runs in the order of the runs: a list of those with one tag reads no others. The column stays what is shown. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  const { rows } = await sql<{ found: boolean }>`select exists (select from statelens_runs) as found`.execute(db)
  // The tags of runs that are there come later, while others write.
  if (rows[0]?.found) return
  await markTagsIndexed(db)
  await sql.raw('drop index statelens_runs_tags').execute(db)
}

const STATEMENTS = [
  `create table statelens_run_tags (
    key text not null,
    value text not null,
    created_at timestamptz not null,
    run_id text not null,
    primary key (run_id, key, value)
  )`,
  'create unique index statelens_run_tags_order on statelens_run_tags (key, value, created_at, run_id)',

  `create function statelens_index_tags() returns trigger language plpgsql
    set search_path from current set enable_seqscan = off as $$
  begin
    if tg_op <> 'INSERT' then delete from statelens_run_tags where run_id = old.run_id; end if;
    if tg_op <> 'DELETE' then
      insert into statelens_run_tags (key, value, created_at, run_id)
      select distinct t.key, t.value, new.created_at, new.run_id
      from jsonb_to_recordset(new.tags) as t(key text, value text) where t.key is not null and t.value is not null
      on conflict do nothing;
    end if;
    return null;
  end $$`,
  `create trigger statelens_index_new_tags after insert on statelens_runs for each row
    when (new.tags <> '[]') execute function statelens_index_tags()`,
  `create trigger statelens_index_other_tags after update on statelens_runs for each row
    when (old.tags <> new.tags or (old.created_at, old.run_id) is distinct from (new.created_at, new.run_id))
    execute function statelens_index_tags()`,
  `create trigger statelens_forget_tags after delete on statelens_runs for each row
    when (old.tags <> '[]') execute function statelens_index_tags()`,
]
