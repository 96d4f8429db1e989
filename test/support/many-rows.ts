import pg from 'pg'

/** How much there is of everything; a run in ten thousand is one of the rare ones. */
export interface Scale {
  readonly runs: number
  readonly snapshotsPerRun: number
  /** Of the one long run, and a tenth of them steps. */
  readonly snapshotsOfGiant: number
}

export const GIANT = 'giant'
/** The run that has started half of the others. */
export const PARENT = 'run-0'
/** When the run of this number, and the snapshot of this number of the long run, were made. */
export const madeAt = (number: number) => new Date(Date.UTC(2026, 0, 1) + number * 1000).toISOString()

/** What is common is spread over all runs, or lies at the far end of the list: a third of the runs, the oldest, have a workflow and a tag of their own. */
const RUNS = `
  insert into statelens_runs (run_id, workflow_name, status, created_at, parent_run_id, error, tags)
  select 'run-' || i, case when i < $1 / 3 then 'early' else 'workflow-' || i % 50 end,
    case when i % 10000 = 7 then 'FAILED' when i % 10000 = 8 then 'TIMED_OUT' when i % 2 = 0 then 'SUCCEEDED' else 'RUNNING' end,
    timestamptz '2026-01-01Z' + i * interval '1 second',
    case when i % 2 = 1 then 'run-0' end,
    case when i % 10000 = 9 then '{"message":"lost"}'::json end,
    (case when i < $1 / 3 then '[{"key":"age","value":"early"},{"key":"team","value":"search"}]'
      when i % 5000 = 11 then '[{"key":"rare","value":"yes"},{"key":"team","value":"search"}]'
      when i % 3 = 0 then '[{"key":"env","value":"prod"},{"key":"team","value":"search"}]'
      else '[{"key":"env","value":"prod"}]' end)::jsonb
  from generate_series(0, $1 - 1) i`

const GIANT_RUN = `
  insert into statelens_runs (run_id, workflow_name, created_at) values ('giant', 'giant', timestamptz '2025-12-31Z')`

const STEPS = `
  insert into statelens_steps (run_id, step_id, step_index)
  select 'giant', 'step-' || i, case when i % 2 = 0 then i end from generate_series(0, $1 / 10 - 1) i`

/** Everything of a snapshot but its payload, which no list reads. */
const SNAPSHOTS = `
  insert into state_snapshots (run_id, step_id, kind, size_bytes, request_digest, created_at)
  select 'run-' || i, 'step-' || n, 'OUTPUT', 10, '\\x00', timestamptz '2026-01-01Z' + i * interval '1 second'
  from generate_series(0, $1 - 1) i, generate_series(1, $2) n`

/** What is rare lies in the middle, far from both ends of the list. */
const GIANT_SNAPSHOTS = `
  insert into state_snapshots (run_id, step_id, kind, is_golden, is_success_state, storage_uri, size_bytes, request_digest, created_at)
  select 'giant', 'step-' || i % ($1 / 10),
    case when i = $1 / 2 then 'ERROR' when i = $1 / 2 + 1 then 'INPUT' when i % 5 = 0 then 'OUTPUT' else 'CHECKPOINT' end,
    i between $1 / 2 and $1 / 2 + 2, i % 2 = 0, case when i between $1 / 2 and $1 / 2 + 3 then 'file:///x' end,
    10, '\\x00', timestamptz '2026-01-01Z' + i * interval '1 second'
  from generate_series(0, $1 - 1) i`

/** Fills tables of this version that hold nothing yet. */
export async function fillMany(
  url: string,
  scale: Scale,
  onProgress: (what: string) => void = () => {},
): Promise<void> {
  const { runs, snapshotsPerRun, snapshotsOfGiant } = scale
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('set synchronous_commit = off')
    for (const [what, statement, values] of [
      ['runs', RUNS, [runs]],
      ['a long run', GIANT_RUN, []],
      ['its steps', STEPS, [snapshotsOfGiant]],
      ['its snapshots', GIANT_SNAPSHOTS, [snapshotsOfGiant]],
      ['all other snapshots', SNAPSHOTS, [runs, snapshotsPerRun]],
    ] as const) {
      onProgress(what)
      await client.query(statement, [...values])
    }
    onProgress('vacuum and analyze')
    await client.query('vacuum analyze statelens_runs, statelens_run_tags, statelens_steps, state_snapshots')
  } finally {
    await client.end()
  }
}
