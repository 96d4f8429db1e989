import { parseArgs } from 'node:util'
import { bodyOf, proveEqual } from './lib/answers.ts'
import { seed, startDatabase, withClient } from './lib/database.ts'
import { installPeers } from './lib/install.ts'
import { generateLoad } from './lib/load.ts'
import { cpuSeconds, divideCores } from './lib/processes.ts'
import { type BenchQuery, QUERIES, RUNS_PER_WORKFLOW } from './lib/queries.ts'
import { describeMachine, note, print, printTable } from './lib/report.ts'
import { withSession } from './lib/session.ts'
import { createResults, printResults } from './lib/small-results.ts'
import { type SmallServer, startSmallServers } from './lib/small-servers.ts'
import { createRandom } from './lib/statistics.ts'

/*
 * Small queries, side by side with the servers in peers/: `npm run bench`, or `npm run bench -- --runs 1000 --rounds 3` for a
 * quick look. What is measured, and how, is told in README.md.
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '8' },
    queries: { type: 'string', default: QUERIES.map(({ name }) => name).join(',') },
  },
})
const runs = Math.max(RUNS_PER_WORKFLOW, Number(values.runs))
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const connections = Number(values.connections)
const queries = QUERIES.filter(({ name }) => values.queries.split(',').includes(name))

/** One turn of a server at a query: the same questions, in the same order, for every server of the round. */
async function measure(
  server: SmallServer,
  query: BenchQuery,
  turn: { readonly seed: number; readonly leastBytes: number },
) {
  const random = createRandom(turn.seed)
  const options = {
    origin: server.origin,
    nextBody: () => bodyOf(query, server.dialect, query.variables(random, runs)),
    connections,
    leastBytes: turn.leastBytes,
  }
  await generateLoad({ ...options, seconds: seconds / 3 })
  const before = await cpuSeconds(server.pid)
  const { requests, seconds: took } = await generateLoad({ ...options, seconds })
  return {
    requestsPerSecond: requests / took,
    cpuMillis: (1000 * ((await cpuSeconds(server.pid)) - before)) / requests,
  }
}

await withSession(async (session) => {
  await installPeers()
  const pin = await divideCores()
  const url = await startDatabase(session)
  note(`Seeding ${runs} runs of 20 steps …`)
  await seed(url, runs)
  const version = await withClient(
    url,
    async (client) => (await client.query('show server_version')).rows[0].server_version,
  )
  const servers = await startSmallServers(session, pin, url)
  note('Comparing the answers of all servers …')
  const shortest = await proveEqual(servers, queries, { url, runs })
  const results = createResults()
  for (let round = -1; round < rounds; round++) {
    for (const [place, query] of queries.entries()) {
      // Each round begins with another server; the one before the first only warms up.
      for (let turn = 0; turn < servers.length; turn++) {
        session.throwIfOver()
        const server = servers[(turn + Math.max(round, 0)) % servers.length] as SmallServer
        const leastBytes = (shortest.get(query.name) ?? 0) * 0.9
        const result = await measure(server, query, { seed: 1000 * (round + 2) + place, leastBytes })
        if (round >= 0) results.add(query.name, server.name, result)
      }
    }
    note(round < 0 ? 'Warmed up.' : `Round ${round + 1} of ${rounds} is done.`)
  }
  const apart =
    pin.length > 0 ? 'servers on one core, load and PostgreSQL on the rest' : 'cores not divided: no taskset'
  print(await describeMachine([`PostgreSQL ${version}`, apart]))
  print()
  print(
    `${runs} runs × 20 steps, ${connections} connections, ${rounds} rounds of ${seconds} s; every answer was proved equal first.`,
  )
  print()
  printTable(
    ['query', 'what it asks for'],
    queries.map(({ name, about }) => [name, about]),
  )
  printResults(
    results,
    servers.map(({ name }) => name),
    queries.map(({ name }) => name),
  )
})
