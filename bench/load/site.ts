import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { bytesOf } from '../../test/history/contents.ts'
import { GAUGE_FILE_VARIABLE } from '../../test/history/gauge-hooks.ts'
import { type Member, openWorld, type StoreKind, type World } from '../../test/history/world.ts'
import { put, storedOf } from '../../test/support/put.ts'
import { temporaryFolder } from '../../test/support/tmp.ts'
import type { Plan, Question, Told } from './generator.ts'

const HOOKS = fileURLToPath(new URL('../../test/history/gauge-hooks.ts', import.meta.url))
const GENERATOR = fileURLToPath(new URL('generator.ts', import.meta.url))
const MIB = 2 ** 20
const SETTLE_MS = 1000

/** One server. */
export interface Site extends AsyncDisposable {
  readonly world: World
  readonly member: Member
  readonly origin: string
  readonly pid: number
  /** Follows a plan in a process of its own. */
  load(plan: Omit<Plan, 'origin'>): Promise<Told[]>
  /** MiB that it grew above what it needed before, at the worst moment of the work. */
  growth<T>(work: () => Promise<T>): Promise<{ readonly mib: number; readonly result: T }>
  /** Since it was asked last, in milliseconds. */
  heldLoop(): Promise<{ readonly p99: number; readonly max: number }>
  descriptors(): Promise<number>
  /** Stores a state of about that size. */
  store(number: number, sizeBytes: number): Promise<{ readonly path: string; readonly sha256: string }>
}

export interface SiteOptions {
  readonly kind?: StoreKind
  readonly env?: Readonly<Record<string, string>>
  /** Whether there are proxies in front of all that it needs; default false, as all bytes go through them. */
  readonly isProxied?: boolean
}

export async function openSite({ kind = 's3', env = {}, isProxied = false }: SiteOptions = {}): Promise<Site> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder())
  const file = join(folder.path, 'gauge')
  const world = cleanup.use(
    await openWorld({
      kind,
      replicas: 1,
      isProxied,
      imports: [HOOKS],
      env: { SNAPSHOT_INLINE_MAX_BYTES: '65536', [GAUGE_FILE_VARIABLE]: file, ...env },
    }),
  )
  await world.startAll()
  const [member] = world.members
  const { url: origin, pid } = member?.replica ?? {}
  if (!member || origin === undefined || pid === undefined) throw new Error('The server did not start')
  const owned = cleanup.move()

  async function gauge() {
    await rm(file, { force: true })
    process.kill(Number(pid), 'SIGUSR2')
    for (;;) {
      const written = await readFile(file, 'utf8').catch(() => '')
      if (written.endsWith('}')) return JSON.parse(written) as { readonly loop: { p99: number; max: number } }
      await delay(20)
    }
  }

  return {
    world,
    member,
    origin,
    pid,
    load: (plan) => generate({ ...plan, origin }),
    async growth(work) {
      await gauge()
      await delay(SETTLE_MS)
      const before = await statusOf(Number(pid), 'VmRSS')
      await writeFile(`/proc/${pid}/clear_refs`, '5')
      const result = await work()
      return { mib: Math.max(0, (await statusOf(Number(pid), 'VmHWM')) - before), result }
    },
    heldLoop: async () => (await gauge()).loop,
    descriptors: async () => (await readdir(`/proc/${pid}/fd`)).length,
    async store(number, sizeBytes) {
      const bytes = bytesOf({ number, sizeBytes })
      const { snapshotId, digest } = storedOf(await put(origin, bytes, { runId: 'load', stepId: `state ${number}` }))
      return { path: `/snapshots/${snapshotId}/payload`, sha256: digest.slice('sha256:'.length) }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function statusOf(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / MIB
}

export async function generate(plan: Plan): Promise<Told[]> {
  const child = spawn(process.execPath, [GENERATOR], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(plan))
  const [told] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return JSON.parse(told)
}

/** A page of the steps of a run, with what is known of their states. */
export function smallQuestion(): Question {
  const query =
    '{ run(runId: "load") { status steps(first: 20) { nodes { stepId snapshot { snapshotId sizeBytes digest } } } } }'
  return { ...graphqlQuestion(query), kind: 'page' }
}

export function graphqlQuestion(query: string): Question {
  const headers = { 'content-type': 'application/json' }
  return { kind: 'graphql', method: 'POST', path: '/graphql', headers, body: JSON.stringify({ query }) }
}
