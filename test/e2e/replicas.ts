import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { type Balancer, startBalancer } from '../support/balancer.ts'
import { freePort } from '../support/broker/host.ts'
import { freshDatabase } from '../support/database.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'
import { eventually, put, storedOf } from '../support/put.ts'
import { query } from '../support/rows.ts'
import { type SteadyLoad, startLoad } from '../support/steady-load.ts'
import { temporaryFolder } from '../support/tmp.ts'

export interface ReplicasOptions {
  /** How often one of them is killed, and then all are restarted. */
  readonly rounds: number
  readonly connections: number
  /** Between an answer and the next question on its connection. */
  readonly pauseMillis: number
  readonly settings?: Readonly<Record<string, string>>
}

export interface ReplicasReport {
  readonly reads: number
  /** Under way when a replica was killed, and lost with it. */
  readonly readsLost: number
  readonly keys: number
}

interface Replica {
  readonly port: number
  process: RunningProcess
}

const READ = '{ runs(first: 20) { nodes { runId latestSnapshot { seq payload } } } }'
/** The death of a process reaches whoever has a connection to it by then, on a busy machine too. */
const NOTICED_MILLIS = 500

/**
 * Three replicas behind a balancer, asked again and again by clients that try nothing twice: each round one is killed and started again,
 * then all are restarted one by one. Meanwhile captures come to all three at once, each time with one key.
 */
export async function runReplicas({
  rounds,
  connections,
  pauseMillis,
  settings = {},
}: ReplicasOptions): Promise<ReplicasReport> {
  await using cleanup = new AsyncDisposableStack()
  const database = cleanup.use(await freshDatabase())
  const folder = cleanup.use(await temporaryFolder())
  const env = {
    DATABASE_URL: database.url,
    DATA_DIR: folder.path,
    SIGNED_URL_SECRET: 's'.repeat(32),
    SNAPSHOT_INLINE_MAX_BYTES: '1000',
    LOG_LEVEL: 'warn',
    ...settings,
  }
  const start = (port: number) => startProcess({ args: ['serve'], env: { ...env, PORT: String(port) } })
  const replicas: Replica[] = []
  for (let i = 0; i < 3; i++) {
    const port = await freePort()
    replicas.push({ port, process: start(port) })
  }
  cleanup.defer(async () => {
    await Promise.all(replicas.map((replica) => replica.process.stop('SIGKILL')))
  })
  const ports = replicas.map(({ port }) => port)
  const balancer = cleanup.use(await startBalancer(ports))
  await balancer.sendsTo(ports)

  const captures = cleanup.use(startCaptures(ports, balancer.url))
  await eventually(async () => assert.ok(captures.keys() > 2))
  const load = cleanup.use(startLoad({ origin: balancer.url, query: READ, connections, pauseMillis }))
  const round = { replicas, ports, balancer, load, start }
  let readsLost = 0
  for (let i = 0; i < rounds; i++) {
    readsLost += await killOne(round, replicas[i % 3] as Replica)
    await restartAll(round)
  }
  await load.stop()
  await captures.stop()
  const [row] = await query<{ rows: string; keys: string }>(
    database.url,
    `select count(*) as rows, count(distinct idempotency_key) as keys from state_snapshots where run_id like 'keyed-%'`,
  )
  assert.deepEqual([Number(row?.rows), Number(row?.keys)], [captures.keys(), captures.keys()])
  return { reads: load.answers, readsLost, keys: captures.keys() }
}

interface Round {
  readonly replicas: readonly Replica[]
  readonly ports: readonly number[]
  readonly balancer: Balancer
  readonly load: SteadyLoad
  readonly start: (port: number) => RunningProcess
}

/** @returns how many reads were lost: only those that were under way. */
async function killOne({ ports, balancer, load, start }: Round, victim: Replica): Promise<number> {
  const before = load.failures.length
  const answers = load.answers
  await eventually(async () => assert.ok(load.answers > answers + 20))
  const killedAt = performance.now()
  await victim.process.stop('SIGKILL')
  await balancer.sendsTo(ports.filter((port) => port !== victim.port))
  const answersSince = load.answers
  await eventually(async () => assert.ok(load.answers > answersSince + 20))
  victim.process = start(victim.port)
  await balancer.sendsTo(ports)
  const lost = load.failures.slice(before)
  assert.deepEqual(
    lost.filter(({ askedAt }) => askedAt > killedAt + NOTICED_MILLIS),
    [],
  )
  return lost.length
}

async function restartAll({ replicas, ports, balancer, load, start }: Round): Promise<void> {
  const before = load.failures.length
  for (const replica of replicas) {
    assert.deepEqual(await replica.process.stop('SIGTERM'), { code: 0, signal: null })
    replica.process = start(replica.port)
    await balancer.sendsTo(ports)
  }
  assert.deepEqual(load.failures.slice(before), [], 'no read fails while all are restarted')
}

interface Captures extends AsyncDisposable {
  keys(): number
  stop(): Promise<void>
}

/** Each key comes to all replicas at once; where one cannot answer, its client tries again with whoever can. */
function startCaptures(ports: readonly number[], balancerUrl: string): Captures {
  let isOver = false
  let keys = 0

  async function captureBy(port: number, number: number): Promise<string> {
    // Every other one is stored as an object.
    const body = JSON.stringify({ number, text: 'x'.repeat(number % 2 === 0 ? 10 : 5000) })
    const options = { runId: `keyed-${number % 20}`, headers: { 'idempotency-key': `key ${number}` } }
    for (let origin = `http://127.0.0.1:${port}`; ; origin = balancerUrl) {
      const answer = await put(origin, body, options).catch(() => null)
      if (answer && answer.status < 300) return storedOf(answer).snapshotId
      assert.ok(!answer || answer.status === 503, `${answer?.status} ${answer?.body}`)
      await delay(50)
    }
  }

  async function run(): Promise<void> {
    while (!isOver) {
      const number = keys
      const ids = await Promise.all(ports.map((port) => captureBy(port, number)))
      assert.equal(new Set(ids).size, 1, 'one key, one snapshot')
      keys++
      await delay(20)
    }
  }

  const running = run()
  // Whoever stops it hears of it.
  running.catch(() => {})
  const stop = () => {
    isOver = true
    return running
  }
  return { keys: () => keys, stop, [Symbol.asyncDispose]: () => stop().catch(() => {}) }
}
