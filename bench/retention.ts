import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type pg from 'pg'
import { printBars } from './lib/bars.ts'
import { startDatabase, withClient } from './lib/database.ts'
import { graphqlRequest, pacedLoad } from './lib/load.ts'
import { startServer } from './lib/processes.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'
import { withSession } from './lib/session.ts'
import { median, quantile } from './lib/statistics.ts'

/*
 * What a server's own retention takes, and what its readers notice: `npm run bench:retention`. States with objects that are past their
 * end, half of them with their runs, lie among others that are held, golden or young. `serve` deletes them by itself, as it is shipped,
 * while somebody reads at a steady pace.
 */
const { values } = parseArgs({
  options: {
    states: { type: 'string', default: '100000' },
    'requests-per-second': { type: 'string', default: '40' },
    write: { type: 'boolean', default: false },
  },
})
const states = Number(values.states)
/** Each kind that must stay, and its share of what goes. */
const STAY = Math.max(500, states / 50)
const YOUNG_RUNS = 1000
const PER_RUN = 500
/** Objects of a day lie in one folder, as captures leave them. */
const DAYS = 9
const WINDOW_SECONDS = 5
const WINDOWS = 9
const GONE_WITHIN_SECONDS = 600

type Kind = 'ended' | 'run-ended' | 'held' | 'golden' | 'young'

/** Rows as captures leave them, with the times that they would have, and their objects. */
async function fill(client: pg.Client, root: string): Promise<void> {
  const runs = Math.max(1, Math.round(states / 2 / PER_RUN))
  await client.query('set synchronous_commit = off')
  const insert = async (kind: Kind, count: number, of: number, { run, state }: { run: string; state: string }) => {
    await client.query(
      `insert into statelens_runs (run_id, created_at, updated_at, expires_at, legal_hold)
       select $1 || i, now() - interval '9 days', now() - interval '9 days', ${run}, $1 = 'held' from generate_series(1, $2::int) i`,
      [kind, of],
    )
    await client.query(
      `insert into state_snapshots (run_id, step_id, request_digest, storage_uri, storage_state, size_bytes, content_digest, preview, expires_at, is_golden)
       select $1 || (i % $3::int + 1), 'step', '\\x00', 'file:///snapshots/' || $1 || '/' || (i - 1) * ${DAYS} / $2::int || '/' || i || '.json', 'AVAILABLE', 23,
         sha256($4), '{"state":"of a bench"}', ${state}, $1 = 'golden' from generate_series(1, $2::int) i`,
      [kind, count, of, Buffer.from(STATE)],
    )
    await writeObjects(join(root, 'snapshots', kind), count)
  }
  const past = "now() - interval '1 day'"
  await insert('ended', states / 2, runs, { run: 'null', state: past })
  await insert('run-ended', states / 2, runs, { run: past, state: 'null' })
  await insert('held', STAY, 10, { run: past, state: past })
  await insert('golden', STAY, 10, { run: past, state: past })
  await insert('young', STAY, 10, { run: 'null', state: "now() + interval '1 day'" })
  await client.query(`insert into statelens_runs (run_id) select 'read ' || i from generate_series(1, ${YOUNG_RUNS}) i`)
  // So that what goes is a sixth of all.
  await client.query(
    `insert into state_snapshots (run_id, step_id, request_digest, payload, storage_state, size_bytes, content_digest, preview)
     select 'read ' || (i % ${YOUNG_RUNS} + 1), 'step ' || i % 20, '\\x00', $2, 'AVAILABLE', 23, sha256($3), '{"state":"of a bench"}'
     from generate_series(1, $1::int) i`,
    [states * 5, STATE, Buffer.from(STATE)],
  )
  await client.query(
    `insert into statelens_objects (storage_uri, snapshot_id, state, content_digest, size_bytes)
     select storage_uri, id, 'live', content_digest, 23 from state_snapshots where storage_uri is not null`,
  )
  await client.query(
    'insert into statelens_steps (run_id, step_id) select distinct run_id, step_id from state_snapshots',
  )
  await client.query('vacuum analyze')
  await client.query('checkpoint')
}

const STATE = '{"state":"of a bench!"}'

async function writeObjects(folder: string, count: number): Promise<void> {
  for (let day = 0; day < DAYS; day++) await mkdir(join(folder, String(day)), { recursive: true, mode: 0o700 })
  for (let at = 1; at <= count; at += 500) {
    const some = Array.from({ length: Math.min(500, count - at + 1) }, (_, i) => at + i)
    await Promise.all(
      some.map((i) => writeFile(join(folder, String(Math.floor(((i - 1) * DAYS) / count)), `${i}.json`), STATE)),
    )
  }
}

/** What a reader asks: a page of runs, one run with its newest states, a state. */
function createQuestions(): () => { kind: string; request: ReturnType<typeof graphqlRequest> } {
  let asked = 0
  const ask = (kind: string, query: string) => ({ kind, request: graphqlRequest(JSON.stringify({ query })) })
  return () => {
    const run = JSON.stringify(`read ${(++asked % YOUNG_RUNS) + 1}`)
    if (asked % 3 === 0) return ask('runs', '{ runs(first: 20) { nodes { runId status stats { stepCount } } } }')
    if (asked % 3 === 1)
      return ask(
        'run',
        `{ run(runId: ${run}) { runId snapshots(first: 20, orderBy: SEQ_DESC) { nodes { seq digest preview } } } }`,
      )
    return ask('state', `{ run(runId: ${run}) { latestSnapshot { seq payload } } }`)
  }
}

interface Left {
  readonly rows: number
  readonly objects: number
}

async function leftOf(client: pg.Client): Promise<Left> {
  const { rows } = await client.query<{ rows: number; objects: number }>(
    `select (select count(*) from state_snapshots where run_id like '%ended%')::int as rows,
      (select count(*) from statelens_objects where storage_uri like 'file:///snapshots/%ended/%')::int as objects`,
  )
  return rows[0] ?? { rows: Number.NaN, objects: Number.NaN }
}

await withSession(async (session) => {
  const url = await startDatabase(session)
  const root = join(await session.folder(), 'objects')
  await withClient(url, async (client) => {
    await fill(client, root)
    note(`${states.toLocaleString('en')} states past their end`)
    const server = await startServer(session, [], {
      name: 'statelens',
      args: ['src/main.ts', 'serve'],
      env: { DATABASE_URL: url, SNAPSHOT_STORAGE_PATH: root, PORT: '0', LOG_REQUESTS: 'false' },
    })
    const next = createQuestions()
    const read = async () =>
      (
        await pacedLoad({
          origin: server.origin,
          connections: 64,
          seconds: WINDOW_SECONDS,
          leastBytes: 10,
          requestsPerSecond: Number(values['requests-per-second']),
          next,
        })
      ).map(({ millis }) => millis)
    await read()
    const alone: number[][] = []
    for (let window = 0; window < WINDOWS; window++) alone.push(await read())
    for (let left = await leftOf(client); left.rows === states; left = await leftOf(client)) await read()
    note('it has begun')
    const began = performance.now() - WINDOW_SECONDS * 1000
    const during: number[][] = []
    let left = await leftOf(client)
    while (left.rows + left.objects > 0 && performance.now() - began < 1000 * GONE_WITHIN_SECONDS) {
      during.push(await read())
      left = await leftOf(client)
      note(`${left.rows} rows, ${left.objects} objects`)
    }
    const seconds = (performance.now() - began) / 1000
    for (let window = 0; window < WINDOWS; window++) alone.push(await read())
    const files = (await readdir(join(root, 'snapshots'), { recursive: true, withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    )
    const { rows: kept } = await client.query<{ count: number }>(
      `select count(*)::int as count from state_snapshots where run_id like 'held%' or run_id like 'golden%' or run_id like 'young%'`,
    )
    print(await describeMachine(['PostgreSQL, server and readers on the same cores']))
    print(
      `\n${states.toLocaleString('en')} states with objects, of ${(states * 6 + 3 * STAY).toLocaleString('en')}, gone in ${seconds.toFixed(0)} s by \`serve\` as it is shipped.\n`,
    )
    // Of each window its own: the machine is slow now and then for reasons of others.
    const p99 = (windows: readonly number[][]) => median(windows.map((times) => quantile(times, 0.99)))
    const row = (name: string, windows: readonly number[][]) => [
      name,
      String(windows.flat().length),
      ...[median(windows.flat()), p99(windows), Math.max(...windows.flat())].map(formatNumber),
    ]
    printTable(
      ['a read, ms', 'reads', 'median', 'p99 of 5 s', 'max'],
      [row('before and after', alone), row('meanwhile', during)],
    )
    print()
    printBars([
      { bar: 'retention.seconds', values: [(seconds * 100_000) / states] },
      { bar: 'retention.p99', values: [p99(during) / p99(alone)] },
      { bar: 'retention.left', values: [left.rows + left.objects + files.length - 3 * STAY] },
      { bar: 'retention.lost', values: [3 * STAY - (kept[0]?.count ?? 0)] },
    ])
  })
  await endPart('retention', values)
})
