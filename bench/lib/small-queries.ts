import { bodyOf, proveEqual } from './answers.ts'
import { generateLoad, graphqlRequest, type LoadOptions } from './load.ts'
import type { Form, PartContext } from './parts.ts'
import { cpuSeconds, type ServerProcess } from './processes.ts'
import { type BenchQuery, QUERIES } from './queries.ts'
import { note, print, printTable } from './report.ts'
import { takeTurns } from './rounds.ts'
import { createResults, type Measured, printQueryResults } from './small-results.ts'
import { type SmallServer, startSmallServers } from './small-servers.ts'
import { createRandom } from './statistics.ts'

/** Questions of every size, side by side with the servers in peers/. */
export async function smallQueries(context: PartContext): Promise<void> {
  const { session, shared, form } = context
  const { runs, rounds } = form
  const { url, env } = await shared.seededStore()
  const servers = await startSmallServers(context, env)
  note('Comparing the answers of all servers …')
  const shortest = await proveEqual(servers, QUERIES, { url, runs })
  const results = createResults()
  for (const query of QUERIES) {
    const leastBytes = (shortest.get(query.name) ?? 0) * 0.9
    await takeTurns(servers, { rounds, warmUps: 1 }, async (server, round) => {
      session.throwIfOver()
      const load = { nextRequest: questions(query, server, { seed: 1000 + round, runs }), leastBytes }
      if (round < 0) await warmUp(server, form, { ...load, most: query.warmUp })
      else results.add(query.name, server.name, await measureLoad(server, form, load))
    })
    note(`${query.name} is done.`)
  }
  print(
    `${runs} runs × 20 steps, ${form.connections} connections, turns of ${form.seconds} s; every answer was proved equal first.`,
  )
  print()
  printTable(
    ['query', 'what it asks for'],
    QUERIES.map(({ name, about }) => [name, about]),
  )
  printQueryResults(
    results,
    QUERIES.map(({ name }) => name),
  )
}

/** The same questions in the same order for the same seed. */
export function questions(
  query: BenchQuery,
  { dialect }: Pick<SmallServer, 'dialect'>,
  { seed, runs }: { readonly seed: number; readonly runs: number },
): LoadOptions['nextRequest'] {
  const random = createRandom(seed)
  return () => graphqlRequest(bodyOf(query, dialect, query.variables(random, runs)))
}

/** A server's first turn. */
export async function warmUp(
  { origin }: ServerProcess,
  { connections, warmUpSeconds }: Form,
  load: Pick<LoadOptions, 'nextRequest' | 'leastBytes' | 'most'>,
): Promise<void> {
  await generateLoad({ ...load, origin, connections, seconds: warmUpSeconds })
}

/** One turn of a server: a quarter of its time to get going, and then what counts. */
export async function measureLoad(
  { origin, pid }: ServerProcess,
  { connections, seconds }: Form,
  load: Pick<LoadOptions, 'nextRequest' | 'leastBytes'>,
): Promise<Measured> {
  const options = { ...load, origin, connections }
  await generateLoad({ ...options, seconds: seconds / 4 })
  const before = await cpuSeconds(pid)
  const { requests, seconds: took } = await generateLoad({ ...options, seconds })
  return { requestsPerSecond: requests / took, cpuMillis: (1000 * ((await cpuSeconds(pid)) - before)) / requests }
}
