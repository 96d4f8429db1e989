import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startEmbeddedPostgres } from '../src/db/embedded/embedded.ts'
import { OLD_INSERT, OLD_TABLES, oldValues } from '../test/support/old-system.ts'
import { printBars } from './lib/bars.ts'
import { withClient } from './lib/database.ts'
import { memoryOf } from './lib/processes.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'
import { withSession } from './lib/session.ts'

/*
 * What adopting a large table of the old system costs those who write to it meanwhile: `npm run bench:adopt`. Four writers insert as
 * the old one did, before, during and after `statelens migrate`.
 */
const { values } = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, write: { type: 'boolean', default: false } },
})
const rows = Number(values.rows)
const WRITERS = 4
const QUIET_MILLIS = 5000
/** Each writer rests between two inserts, so that it is waits that are measured and not the processor. */
const REST_MILLIS = 10

interface Insert {
  readonly at: number
  readonly millis: number
}

async function fill(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(OLD_TABLES.first)
    await client.query(OLD_TABLES.steps)
    await client.query('set synchronous_commit = off')
    await client.query(
      `insert into state_snapshots
        select gen_random_uuid(), 'run ' || n / 20, true, timestamptz '2025-01-01' + n * interval '1 second', '{email}', null,
          true, null, null, jsonb_build_object('n', n, 'words', (select jsonb_agg(md5(n || '-' || i)) from generate_series(1, 8) i))
        from generate_series(1, $1) n`,
      [rows],
    )
    await client.query(
      `insert into workflow_steps select 'step ' || n, 'run ' || n, 1, 'plan', now(), now(), 5, true, null
        from generate_series(0, $1) n`,
      [Math.floor(rows / 20)],
    )
    await client.query('vacuum analyze')
  })
}

async function write(url: string, writer: number, over: AbortSignal): Promise<Insert[]> {
  return await withClient(url, async (client) => {
    const inserts: Insert[] = []
    while (!over.aborted) {
      const row = { runId: `new ${writer} ${inserts.length % 100}`, snapshot: `{"n":${inserts.length}}` }
      const at = performance.now()
      await client.query(OLD_INSERT, [...oldValues(row)])
      inserts.push({ at, millis: performance.now() - at })
      await setTimeout(REST_MILLIS)
    }
    return inserts
  })
}

interface Migration {
  readonly output: string
  /** Megabytes. */
  readonly peak: number
  /** When each line came. */
  readonly lines: readonly { readonly at: number; readonly line: string }[]
}

async function migrate(url: string): Promise<Migration> {
  const child = spawn(process.execPath, ['src/main.ts', 'migrate'], {
    cwd: join(import.meta.dirname, '..'),
    env: { PATH: process.env['PATH'], DATABASE_URL: url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let peak = 0
  const sample = setInterval(async () => {
    peak = Math.max(peak, (await memoryOf(child.pid ?? 0).catch(() => ({ peak: 0 }))).peak)
  }, 100)
  const lines: { at: number; line: string }[] = []
  createInterface(child.stdout).on('line', (line) => lines.push({ at: performance.now(), line }))
  const [code] = await once(child, 'close')
  const output = lines.map(({ line }) => line).join('\n')
  clearInterval(sample)
  if (code !== 0) throw new Error(`migrate ended with ${code}: ${output}`)
  return { output, peak, lines }
}

function describe(name: string, inserts: readonly Insert[]): string[] {
  const sorted = inserts.map(({ millis }) => millis).sort((a, b) => a - b)
  const at = (share: number) =>
    formatNumber(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
  return [name, String(sorted.length), at(0.5), at(0.99), at(1)]
}

await withSession(async (session) => {
  const server = await startEmbeddedPostgres({ dataDir: join(await session.folder(), 'data') })
  await session.defer(() => server.stop())
  const { url } = server
  await fill(url)
  note(`${rows.toLocaleString('en')} rows of the old system`)
  const over = new AbortController()
  const writers = Array.from({ length: WRITERS }, (_, writer) => write(url, writer, over.signal))
  await setTimeout(QUIET_MILLIS)
  const began = performance.now()
  const { output, peak, lines } = await migrate(url)
  const ended = performance.now()
  note(output)
  await setTimeout(QUIET_MILLIS)
  over.abort()
  const inserts = (await Promise.all(writers)).flat()
  const during = inserts.filter(({ at, millis }) => at + millis >= began && at <= ended)
  const [counts] = await withClient(url, async (client) => {
    return (
      await client.query<{ rows: number; whole: number; runs: number }>(
        `select count(*)::int as rows, count(distinct seq)::int as whole, count(distinct run_id)::int as runs,
          (select count(*)::int from statelens_runs) as "ownRuns" from state_snapshots where size_bytes is not null`,
      )
    ).rows
  })
  print(await describeMachine([`PostgreSQL, ${WRITERS} writers and the migration on the same cores`]))
  print(
    `\n${rows.toLocaleString('en')} rows adopted in ${((ended - began) / 1000).toFixed(1)} s. Afterwards: ${JSON.stringify(counts)}.\n`,
  )
  printTable(
    ['an insert of the old writer, ms', 'inserts', 'median', 'p99', 'max'],
    [
      describe(
        'before',
        inserts.filter(({ at, millis }) => at + millis < began),
      ),
      describe('during', during),
      describe(
        'after',
        inserts.filter(({ at }) => at > ended),
      ),
    ],
  )
  const longest = during.reduce((one, other) => (one.millis > other.millis ? one : other))
  const step = lines.findLast(({ at }) => at < longest.at + longest.millis)?.line
  print(`The longest wait during it came at "${step}".\n`)
  printBars([
    { bar: 'adopt.longest-wait', values: [Math.max(...during.map(({ millis }) => millis))] },
    { bar: 'adopt.memory', values: [peak] },
    {
      bar: 'adopt.lost',
      values: [Math.abs(rows + inserts.length - Math.min(counts?.rows ?? 0, counts?.whole ?? 0))],
    },
  ])
  await endPart('adopt', values)
})
