import { type Measured as Measurement, printBarsOf } from './bars.ts'
import { formatNumber, print, printTable } from './report.ts'
import { BASELINE, LIMITS, OURS, PEERS } from './small-servers.ts'
import { median, ratios } from './statistics.ts'

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

const cpuOf = ({ cpuMillis }: Measured) => cpuMillis
const throughputOf = ({ requestsPerSecond }: Measured) => requestsPerSecond

/** How often the CPU of `below` the one of `above` is, round by round. */
export function cpuRatios(
  results: Results,
  query: string,
  { above, below }: { readonly above: string; readonly below: string },
): number[] {
  return ratios(results.of(query, above).map(cpuOf), results.of(query, below).map(cpuOf))
}

/** Of several servers the one that a query costs least. */
export function cheapest(results: Results, query: string, servers: readonly string[]): string {
  const cost = (server: string) => median(results.of(query, server).map(cpuOf))
  return servers.reduce((one, other) => (cost(other) < cost(one) ? other : one))
}

export interface Shown {
  readonly servers: readonly string[]
  readonly queries: readonly string[]
  readonly baseline: string
}

/** Both figures of every server: beside the baseline, and as they are. */
export function printResults(results: Results, { servers, queries, baseline }: Shown): void {
  print(`**By server CPU for each request (in brackets: requests a second), ${baseline} = 1.00; more is better**`)
  print()
  const gains = (server: string) =>
    queries.map((query) => {
      const cpu = median(cpuRatios(results, query, { above: baseline, below: server }))
      const throughput = ratios(
        results.of(query, server).map(throughputOf),
        results.of(query, baseline).map(throughputOf),
      )
      return `${formatNumber(cpu)} (${formatNumber(median(throughput))})`
    })
  printTable(
    ['server', ...queries],
    servers.map((server) => [server, ...gains(server)]),
  )
  print('**Medians: milliseconds of server CPU for each (requests a second), of this machine alone**')
  print()
  const medians = (server: string) =>
    queries.map((query) => {
      const list = results.of(query, server)
      return `${formatNumber(median(list.map(cpuOf)))} (${formatNumber(median(list.map(throughputOf)))})`
    })
  printTable(
    ['server', ...queries],
    servers.map((server) => [server, ...medians(server)]),
  )
}

export function printQueryResults(results: Results, queries: readonly string[]): void {
  printResults(results, { servers: [...PEERS, OURS, ...LIMITS], queries, baseline: BASELINE })
  printBarsOf(
    'Bars, by server CPU for each request',
    queries.flatMap((query) => barsOf(results, query)),
  )
}

function barsOf(results: Results, query: string): Measurement[] {
  const peer = cheapest(results, query, PEERS)
  const limit = cheapest(results, query, LIMITS)
  return [
    { bar: `${query}.peer`, values: cpuRatios(results, query, { above: peer, below: OURS }) },
    { bar: `${query}.limit`, values: cpuRatios(results, query, { above: OURS, below: limit }) },
  ]
}
