import { parseArgs } from 'node:util'
import { seed, startDatabase, withClient } from './lib/database.ts'
import { installPeers } from './lib/install.ts'
import { generateLoad } from './lib/load.ts'
import { divideCores, type ServerProcess, startServer } from './lib/processes.ts'
import { describeMachine, note, print } from './lib/report.ts'
import { type Session, withSession } from './lib/session.ts'
import { pairedRatio } from './lib/statistics.ts'

/*
 * Whether the first page of runs costs more the more there is: `npm run bench:scale`. A store of 10,000 snapshots beside one of
 * as many as asked for, without payloads, which no list reads.
 */
const { values } = parseArgs({
  options: { snapshots: { type: 'string', default: '10000000' }, rounds: { type: 'string', default: '7' } },
})
const SNAPSHOTS_PER_RUN = 20
const SMALL_RUNS = 500
const largeRuns = Math.ceil(Number(values.snapshots) / SNAPSHOTS_PER_RUN)

const BODY = JSON.stringify({
  query: `query Page { runs(first: 50) { pageInfo { hasNextPage endCursor } edges { cursor node {
    runId workflowName status createdAt latestSnapshot { seq sizeBytes } } } } }`,
})

/** Runs with snapshots that have everything but a payload. */
async function seedMany(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('set synchronous_commit = off')
    await client.query(
      `insert into statelens_runs (run_id, workflow_name, status, created_at)
      select 'run-' || run, 'workflow', 'SUCCEEDED', timestamptz '2026-01-01' + run * interval '1 second'
      from generate_series(1, $1) as run`,
      [largeRuns],
    )
    for (let step = 0; step < SNAPSHOTS_PER_RUN; step++) {
      await client.query(
        `insert into state_snapshots (run_id, step_id, kind, size_bytes)
        select 'run-' || run, 'step-' || $2, 'OUTPUT', 10 from generate_series(1, $1) as run`,
        [largeRuns, step],
      )
      note(`${((step + 1) * largeRuns).toLocaleString('en')} snapshots`)
    }
    await client.query('vacuum analyze')
  })
}

async function serve(
  session: Session,
  pin: readonly string[],
  fill: (url: string) => Promise<void>,
): Promise<ServerProcess> {
  const url = await startDatabase(session)
  await fill(url)
  const env = { DATABASE_URL: url, PORT: '0', DATA_DIR: await session.folder() }
  return await startServer(session, pin, { name: 'statelens', args: ['src/main.ts', 'serve'], env })
}

async function millisecondsPerAnswer({ origin }: ServerProcess): Promise<number> {
  const load = { origin, nextBody: () => BODY, connections: 1, seconds: 2, leastBytes: 5000 }
  const { requests, seconds } = await generateLoad(load)
  return (seconds / requests) * 1000
}

await installPeers()
await withSession(async (session) => {
  const pin = await divideCores()
  const small = await serve(session, pin, (url) => seed(url, SMALL_RUNS))
  const large = await serve(session, pin, seedMany)
  const times: { readonly small: number[]; readonly large: number[] } = { small: [], large: [] }
  for (let round = 0; round <= Number(values.rounds); round++) {
    const pair = [await millisecondsPerAnswer(small), await millisecondsPerAnswer(large)] as const
    // The first round only warms up.
    if (round === 0) continue
    times.small.push(pair[0])
    times.large.push(pair[1])
  }
  print(await describeMachine(['servers on one core, load and PostgreSQL on the rest']))
  const ratio = pairedRatio(times.large, times.small)
  print(
    `\`runs(first: 50)\` with ${(largeRuns * SNAPSHOTS_PER_RUN).toLocaleString('en')} snapshots against 10,000: ${ratio.toFixed(2)} (bar ≤ 1.2)`,
  )
})
