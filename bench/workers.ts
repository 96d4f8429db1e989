import { parseArgs } from 'node:util'
import { childrenOf } from '../test/support/workers.ts'
import { printBars } from './lib/bars.ts'
import { generateLoad } from './lib/load.ts'
import { cpuSeconds, type ServerProcess, startServer } from './lib/processes.ts'
import { type BenchQuery, QUERIES } from './lib/queries.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'
import { takeTurns } from './lib/rounds.ts'
import { withSession } from './lib/session.ts'
import { createShared } from './lib/shared.ts'
import { questions } from './lib/small-queries.ts'
import { median, ratios } from './lib/statistics.ts'

/*
 * What two workers do beside one: `npm run bench:workers`. Load and PostgreSQL are on the same two cores, so requests a second tell how fast
 * those are. What counts is the CPU of all processes of the server for each request, while both workers are busy at once, and how evenly it
 * lies on the workers: from it follows what two cores of their own give.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '3' },
    runs: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '8' },
    only: { type: 'string', default: QUERIES.map(({ name }) => name).join(',') },
    'warm-up-seconds': { type: 'string', default: '60' },
    write: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const asked = QUERIES.filter(({ name }) => values.only.split(',').includes(name))
/** At most; a busy machine gets less far in it, and what is not compiled yet costs more. */
const warmUpSeconds = Number(values['warm-up-seconds'])
const runs = Number(values.runs)
/** For each worker. */
const connections = Number(values.connections)

interface Candidate extends ServerProcess {
  readonly workers: number
  /** Of the primary first, and of the workers. */
  readonly pids: readonly number[]
}

interface Turn {
  /** Seconds of a core for each request, of all processes. */
  readonly cpu: number
  /** The same of the process with the most. */
  readonly busiest: number
  readonly requestsPerSecond: number
}

const turns = new Map<string, Turn[]>()
const turnsOf = (query: BenchQuery, workers: number) => turns.get(`${query.name} ${workers}`) ?? []

await withSession(async (session) => {
  const shared = createShared(session, { runs })
  const { env } = await shared.seededStore()
  const candidates: Candidate[] = []
  for (const workers of [1, 2]) {
    const name = `${workers} worker(s)`
    const settings = { ...env, PORT: '0', WORKERS: String(workers), DATA_DIR: await session.folder() }
    const server = await startServer(session, [], { name, args: ['src/main.ts', 'serve'], env: settings })
    const pids = [server.pid, ...(workers > 1 ? await childrenOf(server.pid) : [])]
    candidates.push({ ...server, workers, pids })
  }
  for (const query of asked) {
    await takeTurns(candidates, { rounds, warmUps: 1 }, async (candidate, round) => {
      session.throwIfOver()
      const turn = await measure(query, candidate, round)
      if (round < 0) return
      turns.set(`${query.name} ${candidate.workers}`, [...turnsOf(query, candidate.workers), turn])
    })
    note(`${query.name} is done.`)
  }
})

async function measure(query: BenchQuery, { origin, workers, pids }: Candidate, round: number): Promise<Turn> {
  const nextRequest = questions(query, { dialect: 'statelens' }, { seed: 1000 + round, runs })
  const load = { origin, nextRequest, connections: connections * workers, leastBytes: 100 }
  // Each worker gets as fast as it can.
  if (round < 0) await generateLoad({ ...load, seconds: warmUpSeconds, most: query.warmUp * workers })
  await generateLoad({ ...load, seconds: seconds / 4 })
  const before = await Promise.all(pids.map(cpuSeconds))
  const { requests, seconds: took } = await generateLoad({ ...load, seconds })
  const after = await Promise.all(pids.map(cpuSeconds))
  const each = after.map((cpu, place) => (cpu - (before[place] ?? 0)) / requests)
  return {
    cpu: each.reduce((sum, cpu) => sum + cpu, 0),
    busiest: Math.max(...each),
    requestsPerSecond: requests / took,
  }
}

/** Requests a second that two cores give, over those of one: both cores full, or the worker with the most, whichever ends first. */
function scaling(query: BenchQuery): number[] {
  const [one, two] = [turnsOf(query, 1), turnsOf(query, 2)]
  return ratios(
    one.map(({ cpu }) => cpu),
    two.map(({ cpu, busiest }) => Math.max(cpu / 2, busiest)),
  )
}

const shown = (turn: readonly Turn[], read: (turn: Turn) => number) => formatNumber(median(turn.map(read)))
print(await describeMachine(['servers, load and PostgreSQL on the same cores', `${rounds} rounds`]))
print()
print(`${runs} runs × 20 steps, ${connections} connections for each worker, turns of ${seconds} s.`)
print()
printTable(
  ['query', 'CPU a request, one', 'two', 'of that the busier worker', 'requests a second, one', 'two'],
  asked.map((query) => {
    const [one, two] = [turnsOf(query, 1), turnsOf(query, 2)]
    const millis = ({ cpu }: Turn) => cpu * 1000
    return [
      query.name,
      `${shown(one, millis)} ms`,
      `${shown(two, millis)} ms`,
      `${formatNumber(100 * median(two.map(({ busiest, cpu }) => busiest / cpu)))} %`,
      shown(one, (turn) => turn.requestsPerSecond),
      shown(two, (turn) => turn.requestsPerSecond),
    ]
  }),
)
printBars(asked.map((query) => ({ bar: `${query.name}.workers`, values: scaling(query) })))
await endPart('workers', values)
