import { type Kysely, sql } from 'kysely'

/**
 * Rows that another writer inserts, before or after, become whole by themselves: number, size, preview, run and step. Rows of this
 * server (`request_digest` is set) come whole, and no trigger looks at them.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
  if (await isNumbered(db)) for (const statement of OF_EVERY_ROW) await sql.raw(statement).execute(db)
}

/** Those of an adopted table have no number yet: what reads every row comes later for them, while the table is not locked. */
async function isNumbered(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ is_numbered: boolean }>`
    select attnotnull as is_numbered from pg_attribute
    where attrelid = 'state_snapshots'::regclass and attname = 'seq'`.execute(db)
  return rows[0]?.is_numbered === true
}

const STATEMENTS = [
  // "payload" has exactly the bytes that were captured here; "snapshot" is the old writer's, and may be jsonb.
  `alter table state_snapshots
    add column payload json,
    add column reads_inline boolean not null default false,
    add column integrity text,
    add column verified_at timestamptz`,

  // At most 1,024 bytes, ended by an ellipsis that is counted when the text is longer.
  `create function statelens_preview(body text) returns text language plpgsql immutable as $$
  declare
    cut text := left(body, 1021);
  begin
    if octet_length(body) <= 1024 then return body; end if;
    while octet_length(cut) > 1021 loop
      cut := left(cut, length(cut) - (octet_length(cut) - 1021 + 3) / 4);
    end loop;
    return cut || '…';
  end $$`,

  // Of a row with an object and a copy, only a digest can tell which of the two is right; without one it is the copy.
  `create function statelens_complete_row() returns trigger language plpgsql set search_path from current as $$
  declare
    body text := new.snapshot::text;
  begin
    new.id := coalesce(new.id, gen_random_uuid());
    new.created_at := coalesce(new.created_at, now());
    new.seq := coalesce(new.seq, nextval('state_snapshots_seq_seq'));
    if tg_op = 'UPDATE' then
      new.size_bytes := null;
      new.preview := null;
      new.reads_inline := false;
      new.storage_state := null;
      new.json_verdict := null;
      new.json_verdict_etag := null;
      new.integrity := null;
      new.verified_at := null;
    end if;
    if body is null then return new; end if;
    new.preview := coalesce(new.preview, statelens_preview(body));
    if new.storage_uri is null or new.content_digest is null then
      new.size_bytes := octet_length(body);
      new.reads_inline := new.storage_uri is not null;
    end if;
    return new;
  end $$`,
  `create trigger statelens_complete_row before insert or update of snapshot, storage_uri, content_digest
    on state_snapshots for each row when (new.request_digest is null) execute function statelens_complete_row()`,

  // Ids that no query can ask for make no run; the old writer may have them, and is not refused.
  `create function statelens_is_id(id text) returns boolean language sql immutable
    return coalesce(octet_length(id) between 1 and 512, false)`,

  // The run stays until the transaction ends. By a lock of its row, for a transaction may name more runs than there is room for
  // advisory locks; whoever deletes a run locks its row first.
  //
  // Plans are made once a connection, perhaps while the tables are empty: without the setting, each look would read all of them.
  `create function statelens_create_run(id text, created timestamptz) returns void language plpgsql
    set search_path from current set enable_seqscan = off as $$
  begin
    loop
      perform from statelens_runs where run_id = id for key share;
      if found then return; end if;
      insert into statelens_runs (run_id, created_at) values (id, created) on conflict do nothing;
      if found then return; end if;
    end loop;
  end $$`,

  `create function statelens_create_parents() returns trigger language plpgsql
    set search_path from current set enable_seqscan = off as $$
  begin
    perform statelens_create_run(new.run_id, new.created_at);
    if statelens_is_id(new.step_id)
      and not exists (select from statelens_steps where run_id = new.run_id and step_id = new.step_id) then
      insert into statelens_steps (run_id, step_id) values (new.run_id, new.step_id) on conflict do nothing;
    end if;
    return null;
  end $$`,
  // At commit: a long transaction of the old writer keeps nobody waiting for the run that it names first.
  `create constraint trigger statelens_create_parents after insert or update of run_id, step_id
    on state_snapshots deferrable initially deferred for each row
    when (new.request_digest is null and statelens_is_id(new.run_id)) execute function statelens_create_parents()`,

  // A row of the old system's table workflow_steps; columns that it lacks are null.
  `create function statelens_follow_step(row_of_step jsonb) returns void language plpgsql set search_path from current as $$
  declare
    run text := row_of_step ->> 'run_id';
    step text := row_of_step ->> 'id';
    started timestamptz := (row_of_step ->> 'started_at')::timestamptz;
    ended timestamptz := coalesce((row_of_step ->> 'completed_at')::timestamptz,
      started + make_interval(secs => (row_of_step ->> 'duration_ms')::double precision / 1000));
    failure jsonb := nullif(row_of_step -> 'error', 'null');
    place numeric := (row_of_step ->> 'step_index')::numeric;
  begin
    if not (statelens_is_id(run) and statelens_is_id(step)) then return; end if;
    perform statelens_create_run(run, coalesce(started, now()));
    insert into statelens_steps as t (run_id, step_id, step_index, name, status, started_at, ended_at, error)
    values (run, step, case when abs(place) < 2147483647 then place::integer end, row_of_step ->> 'phase',
      case row_of_step ->> 'success' when 'true' then 'SUCCEEDED' when 'false' then 'FAILED'
        else case when started is not null and ended is null then 'RUNNING' else 'UNKNOWN' end end,
      started, ended,
      case when jsonb_typeof(failure) = 'object' then
          jsonb_build_object('message', coalesce(failure ->> 'message', failure::text), 'type', failure ->> 'type')
        when failure is not null then jsonb_build_object('message', failure #>> '{}') end)
    on conflict (run_id, step_id) do update set step_index = excluded.step_index, name = excluded.name,
      status = excluded.status, started_at = excluded.started_at, ended_at = excluded.ended_at, error = excluded.error
    where (t.step_index, t.name, t.status, t.started_at, t.ended_at, t.error::text) is distinct from
      (excluded.step_index, excluded.name, excluded.status, excluded.started_at, excluded.ended_at, excluded.error::text);
  end $$`,
  `create function statelens_follow_steps() returns trigger language plpgsql set search_path from current as $$
  begin
    perform statelens_follow_step(to_jsonb(new));
    return null;
  end $$`,
]

const OF_EVERY_ROW = [
  'create index state_snapshots_seq on state_snapshots (seq)',
  // Runs and steps of rows that came before the triggers did.
  `insert into statelens_runs (run_id, created_at)
    select run_id, min(created_at) from state_snapshots
    where request_digest is null and statelens_is_id(run_id) group by run_id on conflict do nothing`,
  `insert into statelens_steps (run_id, step_id)
    select run_id, step_id from state_snapshots
    where request_digest is null and statelens_is_id(run_id) and statelens_is_id(step_id)
    group by run_id, step_id order by min(seq) on conflict do nothing`,
]
