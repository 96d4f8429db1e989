import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/db/embedded/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { RUNS_PER_WORKFLOW, STEPS_PER_RUN } from './queries.ts'
import type { Session } from './session.ts'

/**
 * A PostgreSQL of the bench's own with this version's tables. Every commit is safe, as it is shipped; only more connections
 * are allowed than usual, as all servers keep theirs open at once.
 */
export async function startDatabase(session: Session): Promise<string> {
  session.throwIfOver()
  const dataDir = join(await session.folder(), 'data')
  const server = await startEmbeddedPostgres({ dataDir, settings: { max_connections: '200' } })
  await session.defer(() => server.stop())
  await migrate(server.url)
  return server.url
}

export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** Fills the tables with runs of 20 steps, and one snapshot of about 1.9 KB a step, as a capture leaves them. */
export async function seed(url: string, runs: number): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(
      `insert into statelens_runs (run_id, workflow_name, status, tags, started_at, ended_at, created_at, updated_at)
      select 'run-' || lpad(run::text, 6, '0'), 'workflow-' || run / ${RUNS_PER_WORKFLOW}, 'SUCCEEDED',
        '[{"key": "team", "value": "search"}]', at, at + interval '40 seconds', at, at + interval '41 seconds'
      from generate_series(0, $1 - 1) as run,
        lateral (select timestamptz '2026-01-01T00:00:00Z' + run * interval '61.007 seconds') as t(at)`,
      [runs],
    )
    await client.query(
      `insert into statelens_steps (run_id, step_id, step_index, name, kind, status, started_at, ended_at)
      select run_id, 'step-' || lpad(step::text, 2, '0'), step, 'Step ' || step, 'llm', 'SUCCEEDED',
        started_at + step * interval '2 seconds', started_at + step * interval '2 seconds' + interval '1.9 seconds'
      from statelens_runs cross join generate_series(0, ${STEPS_PER_RUN - 1}) as step order by run_id, step`,
    )
    await client.query(
      `insert into state_snapshots (run_id, step_id, created_at, is_success_state, content_digest, request_digest, snapshot,
        kind, size_bytes, preview)
      select run_id, step_id, ended_at, true, sha256(convert_to(state, 'UTF8')), sha256(convert_to(step_id || state, 'UTF8')),
        state::json, 'CHECKPOINT', octet_length(state), left(state, 1021) || '…'
      from statelens_steps, lateral (select format($1, run_id, step_id, ${words()})) as t(state)
      order by run_id, step_index`,
      [stateTemplate()],
    )
    await client.query('vacuum analyze')
    await client.query('checkpoint')
  })
}

/** A table with nothing but a key, for servers whose mutation stores one row and looks at no other. */
export async function createBareTable(url: string): Promise<void> {
  await withClient(url, (client) =>
    client.query(`create table bench_states (id uuid primary key default gen_random_uuid(), run_id text not null,
      step_id text not null, state json, created_at timestamptz not null default now())`),
  )
}

const WORDS = 10

/** Text that differs from row to row, so that no row compresses to nothing. */
function words(): string {
  return Array.from({ length: WORDS }, (_, i) => `md5(run_id || step_id || '${i}')`).join(', ')
}

/** The state of an agent after a step, in the form that JSON.stringify gives it, with places for `format()`. */
function stateTemplate(): string {
  const word = (i: number) => `%${i + 3}$s`
  const message = (role: string, i: number) => ({
    id: word(i),
    role,
    content: `Looked at the ticket ${word(i)}, compared it with what the customer wrote, and found "${word(i + 1)}" – naïve, but it works.`,
    usage: { input_tokens: 1200 + i, output_tokens: 87.5, cached: i % 2 === 0 },
  })
  return JSON.stringify({
    v: 1,
    thread: '%1$s',
    step: '%2$s',
    values: {
      messages: ['system', 'user', 'assistant', 'tool'].map((role, i) => message(role, i * 2)),
      scratch: { plan: [word(8), word(9), null], done: false, score: 0.8125, retries: 0 },
      documents: Array.from({ length: 7 }, (_, i) => ({
        source: `s3://corpus/part-${i}.txt`,
        rank: i,
        score: 1 / (i + 2),
      })),
    },
    next: ['summarise'],
  })
}
