/**
 * Has the database itself note what becomes of objects and snapshots, with the transaction that did it: the order of some changes is a
 * promise that the tables alone do not show afterwards.
 */
export const CHANGE_LOG = `
  create table history_log (
    number bigint generated always as identity, tx xid8 not null default pg_current_xact_id(),
    what text not null, storage_uri text, snapshot_id uuid, before text, after text);
  create function history_of_object() returns trigger language plpgsql security definer as $$
  begin
    if tg_op = 'DELETE' then
      insert into history_log (what, storage_uri, snapshot_id, before) values ('object', old.storage_uri, old.snapshot_id, old.state);
    elsif tg_op = 'INSERT' then
      insert into history_log (what, storage_uri, snapshot_id, after) values ('object', new.storage_uri, new.snapshot_id, new.state);
    elsif old.state <> new.state then
      insert into history_log (what, storage_uri, snapshot_id, before, after)
      values ('object', new.storage_uri, new.snapshot_id, old.state, new.state);
    end if;
    return null;
  end $$;
  create trigger history_of_object after insert or update or delete on statelens_objects
    for each row execute function history_of_object();
  create function history_of_snapshot() returns trigger language plpgsql security definer as $$
  begin
    if tg_op = 'DELETE' then
      insert into history_log (what, storage_uri, snapshot_id, before) values ('snapshot', old.storage_uri, old.id, 'there');
    else
      insert into history_log (what, storage_uri, snapshot_id, after) values ('snapshot', new.storage_uri, new.id, 'there');
    end if;
    return null;
  end $$;
  create trigger history_of_snapshot after insert or delete on state_snapshots for each row execute function history_of_snapshot();`

/** I-4: an object that was live is given up only where its snapshot goes, in one transaction; a capture may take its own back. */
export const GIVEN_UP_ALONE = `
  select o.storage_uri from history_log o
  where o.what = 'object' and o.before = 'live' and o.after = 'doomed'
    and not exists (select from history_log s where s.what = 'snapshot' and s.before = 'there' and s.tx = o.tx
      and s.snapshot_id = o.snapshot_id)
    and not exists (select from history_log p where p.what = 'object' and p.storage_uri = o.storage_uri and p.tx = o.tx
      and p.before = 'pending' and p.after = 'live')`

/** I-3: nothing is forgotten that was not given up before, in a transaction of its own. */
export const FORGOTTEN_UNASKED = `
  select o.storage_uri from history_log o
  where o.what = 'object' and o.after is null and (o.before <> 'doomed' or not exists (
    select from history_log d where d.what = 'object' and d.storage_uri = o.storage_uri and d.after = 'doomed'
      and d.number < o.number and d.tx <> o.tx))`
