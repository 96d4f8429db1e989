import { query } from './rows.ts'

/** A run with states, as time would have left it. */
export interface AgedRun {
  readonly runId: string
  /** How many, each an object `file:///<runId>/<n>` unless inline. */
  readonly states?: number
  /** Days since its last sign of life; 0 when left out. */
  readonly age?: number
  /** Days from now; negative for what is past. */
  readonly runExpires?: number
  readonly stateExpires?: number
  readonly isInline?: boolean
  /** Of all of its states. */
  readonly isGolden?: boolean
  readonly hold?: boolean
}

const days = (value: number | undefined, parameter: string) =>
  value === undefined ? `null::timestamptz` : `now() + make_interval(days => ${parameter}::int)`

/** Writes a run as this server leaves one, with the times that it would have. The objects themselves are not made. */
export async function insertAged(databaseUrl: string, run: AgedRun): Promise<void> {
  const { runId, states = 1, age = 0, runExpires, stateExpires, isInline = false, isGolden = false, hold = false } = run
  await query(
    databaseUrl,
    `insert into statelens_runs (run_id, created_at, updated_at, legal_hold, expires_at)
     select $1, t, t, $3, ${days(runExpires, '$4')} from (select now() - make_interval(days => $2::int) as t, $4::int) a`,
    [runId, age, hold, runExpires ?? 0],
  )
  await query(
    databaseUrl,
    `insert into statelens_steps (run_id, step_id, updated_at) values ($1, 'step', now() - make_interval(days => $2::int))`,
    [runId, age],
  )
  await query(
    databaseUrl,
    `insert into state_snapshots (run_id, step_id, request_digest, payload, storage_uri, storage_state, size_bytes, content_digest,
       is_golden, created_at, expires_at)
     select $1, 'step', '\\x00', case when $6 then '1'::json end, case when not $6 then 'file:///' || md5($1) || '/' || i end, 'AVAILABLE', 1,
       sha256(($1 || i)::bytea), $5, now() - make_interval(days => $3::int), ${days(stateExpires, '$4')}
     from generate_series(1, $2::int) i, (select $4::int) a`,
    [runId, states, age, stateExpires ?? 0, isGolden, isInline],
  )
  await query(
    databaseUrl,
    `insert into statelens_objects (storage_uri, snapshot_id, state, content_digest, size_bytes)
     select storage_uri, id, 'live', content_digest, 1 from state_snapshots where run_id = $1 and storage_uri is not null`,
    [runId],
  )
}
