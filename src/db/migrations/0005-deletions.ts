import { type Kysely, sql } from 'kysely'

/** Runs that are out of sight, and whose rows go in batches. Whoever deletes a row of ours gives its object up. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `create table statelens_deletions (
    run_id text primary key,
    seq bigint not null,
    ordinal bigint not null,
    done_seq bigint not null default -9223372036854775808,
    created_at timestamptz not null default now(),
    not_before timestamptz not null default now()
  )`,

  // As its owner: whoever may delete a snapshot need not know of this table. The temporary schema comes last, where nobody can put
  // a table of the same name before ours.
  //
  // A live object is asked for in other words than the index of contents has: plans are made once a connection, perhaps while the table
  // is empty, and each look might then read that whole index.
  `create function statelens_give_up_object() returns trigger language plpgsql security definer set enable_seqscan = off as $$
  begin
    update statelens_objects set state = 'doomed', not_before = now()
    where snapshot_id = old.id and state not in ('pending', 'doomed');
    return null;
  end $$`,
  `do $$ begin
    execute format('alter function statelens_give_up_object() set search_path = %I, pg_temp', current_schema());
  end $$`,
  `create trigger statelens_give_up_object after delete on state_snapshots for each row
    when (old.request_digest is not null and old.storage_uri is not null) execute function statelens_give_up_object()`,

  // A step that was deleted with its run, and is still there, makes room for the new one of its name.
  `create function statelens_replace_deleted_step() returns trigger language plpgsql
    set search_path from current set enable_seqscan = off as $$
  begin
    delete from statelens_steps t using statelens_deletions d
    where d.run_id = new.run_id and t.run_id = d.run_id and t.step_id = new.step_id and t.ordinal <= d.ordinal;
    return new;
  end $$`,
  `create trigger statelens_replace_deleted_step before insert on statelens_steps for each row
    execute function statelens_replace_deleted_step()`,
  `create or replace function statelens_create_parents() returns trigger language plpgsql
    set search_path from current set enable_seqscan = off as $$
  begin
    perform statelens_create_run(new.run_id, new.created_at);
    if statelens_is_id(new.step_id) and not exists (
      select from statelens_steps t where t.run_id = new.run_id and t.step_id = new.step_id
        and not exists (select from statelens_deletions d where d.run_id = t.run_id and t.ordinal <= d.ordinal)
    ) then
      insert into statelens_steps (run_id, step_id) values (new.run_id, new.step_id) on conflict do nothing;
    end if;
    return null;
  end $$`,
]
