import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Measured } from './bars.ts'
import { withClient } from './database.ts'
import { cpuSeconds, memoryOf, type ProbedServer, type ServerProcess } from './processes.ts'
import { quantile } from './statistics.ts'

/** Subscribers, each on a connection of its own. */
interface Streams {
  /** Ends them, and resolves when the server has noticed. */
  end(): Promise<void>
}

const QUERY = `subscription($runId: String!) {
  runEvents(runId: $runId) { __typename ... on SnapshotCaptured { cursor snapshot { snapshotId seq kind stepId } } ... on CaughtUp { cursor } }
}`
const SNAPSHOT = /"snapshotId":"([^"]+)"/g
const RUNS = 20
const TOGETHER = 50
const BETWEEN_MILLIS = 50

/** @param onEvent told of every snapshot, as it arrives. */
async function openStreams(
  { origin }: ServerProcess,
  count: number,
  onEvent: (snapshotId: string) => void,
): Promise<Streams> {
  const asked: ClientRequest[] = []
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
  async function open(index: number): Promise<void> {
    const one = request(`${origin}/graphql`, { method: 'POST', headers, agent: false })
    asked.push(one)
    one.end(JSON.stringify({ query: QUERY, variables: { runId: `run ${index % RUNS}` } }))
    const [response]: [IncomingMessage] = (await once(one, 'response')) as [IncomingMessage]
    if (response.statusCode !== 200) throw new Error(`A subscription was answered with ${response.statusCode}`)
    const caughtUp = Promise.withResolvers<void>()
    response.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('"CaughtUp"')) caughtUp.resolve()
      for (const [, id = ''] of text.matchAll(SNAPSHOT)) onEvent(id)
    })
    response.on('error', () => {})
    await caughtUp.promise
  }
  for (let index = 0; index < count; index += TOGETHER) {
    await Promise.all(Array.from({ length: Math.min(TOGETHER, count - index) }, (_, more) => open(index + more)))
  }
  return {
    async end() {
      for (const one of asked) one.destroy()
      await delay(1000)
    },
  }
}

export interface LiveLoad {
  readonly databaseUrl: string
  readonly subscribers: number
  readonly seconds: number
}

/** From the answer to a commit of another process to each of those who watch its run. */
export async function measureLatency(
  server: ServerProcess,
  { databaseUrl, subscribers, seconds }: LiveLoad,
): Promise<Measured[]> {
  const committedAt = new Map<string, number>()
  const arrivals: { readonly id: string; readonly at: number }[] = []
  const streams = await openStreams(server, subscribers, (id) => arrivals.push({ id, at: performance.now() }))
  await withClient(databaseUrl, async (client) => {
    const end = performance.now() + seconds * 1000
    for (let i = 0; performance.now() < end; i++) {
      const { rows } = await client.query<{ id: string }>(
        `insert into state_snapshots (run_id, step_id, snapshot) values ($1, 's', '{"state":1}') returning id`,
        [`run ${i % RUNS}`],
      )
      committedAt.set(rows[0]?.id ?? '', performance.now())
      await delay(BETWEEN_MILLIS)
    }
  })
  await delay(1000)
  await streams.end()
  const millis = arrivals.flatMap(({ id, at }) => at - (committedAt.get(id) ?? Number.NaN))
  const expected = (committedAt.size * subscribers) / RUNS
  return [
    { bar: 'live-clients.arrived', values: [Math.abs(millis.length - expected) / expected] },
    { bar: 'live-clients.median', values: [quantile(millis, 0.5)] },
    { bar: 'live-clients.p99', values: [quantile(millis, 0.99)] },
  ]
}

/** After so long each of them has said once that nothing happened. */
const ROUND_MILLIS = 16_000

/**
 * What streams take of a core, all together, on which nothing happens.
 * @param server without a probe, which looks at the event loop a thousand times a second.
 */
export async function measureIdleCpu(server: ServerProcess, { subscribers, seconds }: LiveLoad): Promise<Measured> {
  const streams = await openStreams(server, subscribers, () => {})
  // What is done for the first time costs more.
  await delay(ROUND_MILLIS)
  const percent = await percentOfCore(server, seconds)
  await streams.end()
  return { bar: 'live-clients.idle.cpu', values: [percent] }
}

/** What each of them keeps. */
export async function measureIdleMemory(server: ProbedServer, { subscribers }: LiveLoad): Promise<Measured> {
  // What the first ones make it load and compile is not theirs.
  await (await openStreams(server, 100, () => {})).end()
  await server.giveBackMemory()
  const before = (await memoryOf(server.pid)).resident
  const streams = await openStreams(server, subscribers, () => {})
  await server.giveBackMemory()
  const after = (await memoryOf(server.pid)).resident
  await streams.end()
  return { bar: 'live-clients.idle.memory', values: [(1000 * (after - before)) / subscribers] }
}

async function percentOfCore({ pid }: ServerProcess, seconds: number): Promise<number> {
  const used = await cpuSeconds(pid)
  await delay(seconds * 1000)
  return (100 * ((await cpuSeconds(pid)) - used)) / seconds
}
