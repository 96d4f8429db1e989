import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { proveEqual } from './lib/answers.ts'
import { printBars } from './lib/bars.ts'
import { measureCounting } from './lib/counting.ts'
import { generateLoad } from './lib/load.ts'
import { cpuSeconds, divideCores, type ServerProcess, startServer } from './lib/processes.ts'
import { QUERIES } from './lib/queries.ts'
import { describeMachine, endPart, formatNumber, note, print, printTable } from './lib/report.ts'
import { takeTurns } from './lib/rounds.ts'
import { type Session, withSession } from './lib/session.ts'
import { createShared } from './lib/shared.ts'
import { questions } from './lib/small-queries.ts'
import { median, ratios, spread } from './lib/statistics.ts'

/*
 * What it costs a small query to be counted, and to be traced: `npm run bench:seen -- --before ../old --traced`, where another checkout, with its
 * `node_modules`, counts nothing. That one runs twice: how far those two lie apart is what the machine does not tell. Turns are short and many,
 * so that what else the machine does touches all of them.
 */
const { values } = parseArgs({
  options: {
    before: { type: 'string' },
    rounds: { type: 'string', default: '400' },
    requests: { type: 'string', default: '100' },
    runs: { type: 'string', default: '500' },
    'warm-up': { type: 'string', default: '10000' },
    traced: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const runs = Number(values.runs)
const CONNECTIONS = 4
const LATE_SECONDS = 600
const TRACING = join(import.meta.dirname, '..', 'examples', 'observability', 'tracing.mjs')
const SERVE = ['src/main.ts', 'serve']

interface Candidate extends ServerProcess {
  readonly dialect: 'statelens'
  readonly keepsBytes: true
}

/** Takes spans, and keeps none. */
async function startSink(session: Session): Promise<string> {
  const sink = createServer((request, response) => {
    request.resume().once('end', () => response.end('{}'))
  })
  await new Promise<void>((resolve) => sink.listen(0, '127.0.0.1', resolve))
  await session.defer(async () => {
    sink.closeAllConnections()
    sink.close()
  })
  return `http://127.0.0.1:${(sink.address() as AddressInfo).port}`
}

async function startAll(session: Session, pin: readonly string[], env: Record<string, string>): Promise<Candidate[]> {
  const start = async (name: string, args: readonly string[], more: object = {}, folder?: string) => {
    const settings = { ...env, PORT: '0', DATA_DIR: await session.folder(), ...more }
    const server = await startServer(session, pin, { name, args, env: settings, folder })
    return { ...server, dialect: 'statelens', keepsBytes: true } as const
  }
  const { before } = values
  const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: await startSink(session) }
  return [
    ...(before === undefined
      ? []
      : [await start('before', SERVE, {}, before), await start('before again', SERVE, {}, before)]),
    await start('counted', SERVE),
    ...(values.traced ? [await start('counted and traced', ['--import', TRACING, ...SERVE], traced)] : []),
  ]
}

/** Microseconds of CPU for each request of so many. */
async function measure(
  server: Candidate,
  query: (typeof QUERIES)[number],
  seed: number,
  most: number,
): Promise<number> {
  const before = await cpuSeconds(server.pid)
  const nextRequest = questions(query, server, { seed, runs })
  const { origin } = server
  const load = { origin, nextRequest, connections: CONNECTIONS, seconds: LATE_SECONDS, most, leastBytes: 1 }
  const { requests } = await generateLoad(load)
  return (1e6 * ((await cpuSeconds(server.pid)) - before)) / requests
}

/** How well the median of so many is known: one standard error of it, where they lie as they mostly do. */
function errorOf(list: readonly number[]): number {
  return (1.25 * spread(list)) / 1.35 / Math.sqrt(list.length)
}

const pin = await divideCores()
await withSession(async (session) => {
  const { url, env } = await createShared(session, { runs }).seededStore()
  const servers = await startAll(session, pin, env)
  const query = QUERIES.find(({ name }) => name === 'Q1') ?? QUERIES[0]
  if (!query) throw new Error('There is no query')
  await proveEqual(servers, [query], { url, runs })
  for (const server of servers) {
    note(`${server.name} gets going`)
    await measure(server, query, 1, Number(values['warm-up']))
  }
  const taken = new Map<string, number[]>(servers.map(({ name }) => [name, []]))
  await takeTurns(servers, { rounds: Number(values.rounds), warmUps: 1 }, async (server, round) => {
    session.throwIfOver()
    const micros = await measure(server, query, 1000 + round, Number(values.requests))
    if (round >= 0) taken.get(server.name)?.push(micros)
  })
  const of = (name: string) => taken.get(name) ?? []
  const base = values.before === undefined ? 'counted' : 'before'
  print(await describeMachine(['servers on one core', `${values.rounds} rounds of ${values.requests} requests`]))
  print('\n**CPU of the server for each Q1**\n')
  printTable(
    ['server', 'µs', `${base} = 1.00`, 'known to'],
    servers.map(({ name }) => {
      const own = ratios(of(name), of(base))
      return [name, formatNumber(median(of(name))), median(own).toFixed(3), `± ${errorOf(own).toFixed(3)}`]
    }),
  )
  const alone = measureCounting()
  print(`All that is counted of one, by itself: ${formatNumber(median(alone))} µs.\n`)
  if (values.before !== undefined) {
    printBars([
      { bar: 'seen.counted', values: ratios(of('counted'), of('before')) },
      { bar: 'seen.alone', values: alone.map((micros) => micros / median(of('before'))) },
    ])
  }
  await endPart('seen', values)
})
