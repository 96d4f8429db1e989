import { type Kysely, sql } from 'kysely'

/** A capture is stored by one statement: its run and step where they are not there yet, its object made live, its row. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(CAPTURE).execute(db)
}

/**
 * Gives the row, or none where another one has the id or the key, or had it before it was deleted, or where the object was given up.
 * Each statement in it sees what was committed before it began, whatever the lock had to wait for.
 */
const CAPTURE = `create function statelens_capture(
    new_id uuid, new_run text, new_step text, new_attempt integer, new_kind text, is_success boolean, is_replay_safe boolean,
    tags text[], policy text, new_metadata json, expires timestamptz, new_key text, is_named boolean, new_request_digest bytea,
    new_payload json, new_uri text, new_size bigint, new_digest bytea, new_preview text, new_type text, new_coding text,
    stored_size bigint, stored bytea, chunk_size bigint, chunks bytea, new_version text
  ) returns setof state_snapshots language plpgsql
    -- Plans are made once a connection, perhaps while the tables are empty.
    set search_path from current set enable_seqscan = off as $$
  begin
    -- Keeps the run from being deleted until the transaction ends, whether its row is there yet or not.
    perform pg_advisory_xact_lock_shared(hashtextextended(new_run, 0));
    if (is_named or new_key is not null) and exists (select from statelens_tombstones
      where snapshot_id = new_id
        or run_id = new_run and coalesce(step_id, '') = coalesce(new_step, '') and idempotency_key = new_key) then
      return;
    end if;
    if new_uri is not null then
      update statelens_objects set state = 'live', content_digest = new_digest, size_bytes = new_size,
        stored_size_bytes = stored_size, stored_digest = stored, chunk_size_bytes = chunk_size, chunk_digests = chunks,
        version_id = new_version, multipart_id = null
      where storage_uri = new_uri and state = 'pending';
      if not found then return; end if;
    end if;
    insert into statelens_runs (run_id) values (new_run) on conflict do nothing;
    if new_step is not null then
      insert into statelens_steps (run_id, step_id) values (new_run, new_step) on conflict do nothing;
    end if;
    return query insert into state_snapshots as s (seq, id, run_id, step_id, attempt, kind, is_success_state, replay_safe,
        pii_tags, redaction_policy, metadata, expires_at, idempotency_key, request_digest, payload, storage_uri, storage_state,
        size_bytes, content_digest, preview, content_type, content_encoding)
      values (statelens_next_seq(), new_id, new_run, new_step, new_attempt, new_kind, is_success, is_replay_safe,
        tags, policy, new_metadata, expires, new_key, new_request_digest, new_payload, new_uri, 'AVAILABLE',
        new_size, new_digest, new_preview, new_type, new_coding)
      on conflict do nothing returning s.*;
    if not found and new_uri is not null then
      update statelens_objects set state = 'doomed', not_before = now() where storage_uri = new_uri;
    end if;
  end $$`
