import { type Bar, formatNumber, print, printBars, printTable } from './report.ts'
import { BASELINE, LIMITS, OURS, PEERS } from './small-servers.ts'
import { median, pairedRatio } from './statistics.ts'

export interface Measured {
  readonly requestsPerSecond: number
  /** Of the server, for one request. */
  readonly cpuMillis: number
}

export interface Results {
  add(query: string, server: string, measured: Measured): void
  /** In the order of the rounds. */
  of(query: string, server: string): readonly Measured[]
}

export function createResults(): Results {
  const lists = new Map<string, Measured[]>()
  const name = (query: string, server: string) => `${query} ${server}`
  return {
    add(query, server, measured) {
      const list = lists.get(name(query, server)) ?? []
      lists.set(name(query, server), [...list, measured])
    },
    of: (query, server) => lists.get(name(query, server)) ?? [],
  }
}

type Figure = 'throughput' | 'cpu'

/** How much better `server` is than `other`, above 1 where it is: more requests a second, or less CPU for each. */
function gain(results: Results, figure: Figure, [query, server, other]: readonly [string, string, string]): number {
  const [ours, theirs] = [results.of(query, server), results.of(query, other)]
  if (figure === 'cpu') return pairedRatio(theirs.map(cpuOf), ours.map(cpuOf))
  return pairedRatio(ours.map(throughputOf), theirs.map(throughputOf))
}

const cpuOf = ({ cpuMillis }: Measured) => cpuMillis
const throughputOf = ({ requestsPerSecond }: Measured) => requestsPerSecond

export function printResults(results: Results, servers: readonly string[], queries: readonly string[]): void {
  print(`**Requests a second (in brackets: by server CPU for each request), ${BASELINE} = 1.00; more is better**`)
  print()
  const ratios = (server: string) =>
    queries.map((query) => {
      const key = [query, server, BASELINE] as const
      return `${formatNumber(gain(results, 'throughput', key))} (${formatNumber(gain(results, 'cpu', key))})`
    })
  printTable(
    ['server', ...queries],
    servers.map((server) => [server, ...ratios(server)]),
  )
  print('**Medians: requests a second (milliseconds of server CPU for each), of this machine alone**')
  print()
  const medians = (server: string) =>
    queries.map((query) => {
      const list = results.of(query, server)
      return `${formatNumber(median(list.map(throughputOf)))} (${formatNumber(median(list.map(cpuOf)))})`
    })
  printTable(
    ['server', ...queries],
    servers.map((server) => [server, ...medians(server)]),
  )
  print('**Bars, by server CPU for each request**')
  print()
  printBars(bars(results, queries, 'cpu'))
  print('**The same, by requests a second: here load and PostgreSQL share a core, and may be what is measured**')
  print()
  printBars(bars(results, queries, 'throughput').filter(({ atLeast }) => atLeast !== undefined))
}

/** Q1 to Q4 against PostGraphile and Mercurius, by name, and against the best of all peers. */
const LEAST: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  Q1: { PostGraphile: 1.9, Mercurius: 1.4 },
  Q2: { each: 2 },
  Q3: { PostGraphile: 1.9, Mercurius: 2.3 },
  Q4: { each: 3 },
}
const MOST_OF_LIMIT: Readonly<Record<string, number>> = { Q1: 2, Q2: 1.3, Q3: 1.3, Q4: 1.6 }

function bars(results: Results, queries: readonly string[], figure: Figure): Bar[] {
  return queries.flatMap((query) => {
    const gainOver = (other: string) => gain(results, figure, [query, OURS, other])
    const against = Object.entries(LEAST[query] ?? {}).map(([other, atLeast]) => ({
      what: `${query} against ${other === 'each' ? 'each peer' : other}`,
      value: other === 'each' ? Math.min(...PEERS.map(gainOver)) : gainOver(other),
      unit: ' ×',
      atLeast,
    }))
    const limit = {
      what: `${query}: CPU against the best hand-written server`,
      value: 1 / Math.min(...LIMITS.map((other) => gain(results, 'cpu', [query, OURS, other]))),
      unit: ' ×',
      atMost: MOST_OF_LIMIT[query],
    }
    return [...against, limit]
  })
}
