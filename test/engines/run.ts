import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createHost, type Host } from '../support/broker/host.ts'
import { POSTGRES_VERSIONS, startVersion } from './postgres-versions.ts'
import { versionOf } from './program-versions.ts'

/** Runs what is tested on each engine on the real thing: `npm run test:engines -- --only postgres-14,swift --write`. */
const ROOT = new URL('../../', import.meta.url)
const PAGE = new URL('docs/engines.md', ROOT)
const BEGIN = '<!-- engines: what was run -->'
const END = '<!-- end of what was run -->'

interface Engine {
  readonly id: string
  readonly name: string
  /** What the row says was done there. */
  readonly what: string
  readonly files: readonly string[]
  /** Of the tests in those files, the ones whose name it is in. */
  readonly only?: string
  /** @returns the version that ran, and what the tests are told of it. */
  prepare(host: Host): Promise<{ readonly version: string; readonly env?: Readonly<Record<string, string>> }>
}

const program = (name: Parameters<typeof versionOf>[1]) => async (host: Host) => ({
  version: await versionOf(host, name),
})

const DATABASE = 'migrate, adopt, capture, read, list, watch, verify, delete, sweep; migrations; lists'
const ENGINES: readonly Engine[] = [
  ...POSTGRES_VERSIONS.map(
    (version): Engine => ({
      id: `postgres-${version.split('.')[0]}`,
      name: 'PostgreSQL',
      what: DATABASE,
      files: ['test/engines/database-checks.ts', 'test/db/migrate.test.ts', 'test/db/lists.test.ts'],
      async prepare(host) {
        const { url, name } = await startVersion(host, version)
        return { version: name, env: { TEST_DATABASE_URL: url } }
      },
    }),
  ),
  {
    id: 'failover',
    name: 'PostgreSQL, a primary and a hot standby',
    what: 'the primary ends, the standby is promoted: nothing acknowledged is lost; reads from a standby that lags',
    files: ['test/e2e/failover.test.ts', 'test/e2e/standby-reads.test.ts'],
    prepare: async () => ({ version: '18.4' }),
  },
  {
    id: 'pgbouncer',
    name: 'PgBouncer',
    what: 'session and transaction mode, migration and adoption through it',
    files: ['test/db/pgbouncer.test.ts'],
    prepare: program('pgbouncer'),
  },
  {
    id: 'valkey',
    name: 'Valkey',
    what: 'the contract of a cache; faults of every kind',
    files: ['test/cache/valkey.test.ts', 'test/cache/valkey-faults.test.ts'],
    prepare: program('valkey'),
  },
  {
    id: 'valkey-cluster',
    name: 'Valkey Cluster, three primaries and copies',
    what: 'the contract of a cache; a slot moves, a primary is killed',
    files: ['test/cache/valkey-cluster.test.ts', 'test/cache/valkey-cluster-changes.test.ts'],
    prepare: program('valkey'),
  },
  ...(['Ceph', 'Swift'] as const).map(
    (name): Engine => ({
      id: name.toLowerCase(),
      name: name === 'Ceph' ? 'Ceph RADOS Gateway' : 'OpenStack Swift, by its S3 interface',
      what: '12 MB by PUT and by direct upload, ranges, signed URLs, verify, delete, sweep',
      files: ['test/engines/store-checks.ts'],
      only: name,
      prepare: program(name === 'Ceph' ? 'radosgw' : 'swift'),
    }),
  ),
]

interface Outcome {
  readonly engine: Engine
  readonly version: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly report: string
}

const { values } = parseArgs({ options: { only: { type: 'string' }, write: { type: 'boolean' } } })
const wanted = values.only?.split(',')
const unknown = (wanted ?? []).filter((id) => !ENGINES.some((engine) => engine.id === id))
if (unknown.length > 0)
  throw new Error(`There is no engine ${unknown.join(', ')}: ${ENGINES.map(({ id }) => id).join(', ')}`)
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => interrupted.abort())
let isWell = true
for (const engine of ENGINES) {
  if (interrupted.signal.aborted || (wanted && !wanted.includes(engine.id))) continue
  const outcome = await runOn(engine)
  const { passed, failed, skipped, version } = outcome
  process.stdout.write(`${engine.name} ${version}: ${passed} passed, ${failed} failed, ${skipped} skipped\n`)
  if (failed > 0 || passed === 0) {
    isWell = false
    process.stdout.write(outcome.report)
  }
  if (values.write) await writeRow(outcome)
}
process.exitCode = isWell ? 0 : 1

async function runOn(engine: Engine): Promise<Outcome> {
  const host = await createHost()
  try {
    const { version, env } = await engine.prepare(host)
    const args = ['--test', '--test-concurrency=1', '--test-timeout=600000', '--test-reporter=tap']
    if (engine.only) args.push(`--test-name-pattern=${engine.only}`)
    args.push('--test-global-setup=test/support/global-setup.ts', ...engine.files)
    const child = spawn(process.execPath, args, {
      cwd: fileURLToPath(ROOT),
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    interrupted.signal.addEventListener('abort', () => child.kill('SIGINT'))
    const report = await text(child.stdout)
    const count = (word: string) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(report)?.[1] ?? 0)
    return { engine, version, passed: count('pass'), failed: count('fail'), skipped: count('skipped'), report }
  } finally {
    await host.stop()
  }
}

/** Puts the row of one engine into the page, in the place of its last one. */
async function writeRow({ engine, version, passed, failed, skipped }: Outcome): Promise<void> {
  const page = await readFile(PAGE, 'utf8')
  const [from, to] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)]
  const old = page.slice(from, to).split('\n')
  const result = failed > 0 ? `${failed} of ${passed + failed} failed` : `${passed} passed`
  const row = `| ${engine.name} | ${version} | ${engine.what} | ${result}${skipped > 0 ? `, ${skipped} skipped` : ''} |`
  const rows = ENGINES.flatMap((one) => {
    const start = one.id.startsWith('postgres-')
      ? `| ${one.name} | ${one.id.slice('postgres-'.length)}.`
      : `| ${one.name} |`
    const found = one === engine ? row : old.find((line) => line.startsWith(start))
    return found ?? []
  })
  const table = ['', '| engine | version | what is done | tests |', '| --- | --- | --- | --- |', ...rows, '']
  await writeFile(PAGE, page.slice(0, from) + table.join('\n') + page.slice(to))
}
