import type { Measured } from './bars.ts'
import { type MemoryWatch, watchMemory } from './payload-setup.ts'
import { cpuSeconds, type ProbedServer } from './processes.ts'
import { formatNumber, print, printTable } from './report.ts'
import { takeTurns } from './rounds.ts'
import type { Session } from './session.ts'
import { median, pairedRatio, ratios } from './statistics.ts'

const MB = 1e6

/** One way of bytes in or out, through a process whose memory and processor time are looked at. */
export interface Way {
  readonly name: string
  /** What its bars are called by. */
  readonly key: string
  /** Null for what is no server of ours, as the store itself. */
  readonly server: ProbedServer | null
  /** One client's transfer. */
  transfer(): Promise<unknown>
  /** After each round, unmeasured. */
  cleanUp?(): Promise<unknown>
}

export interface WatchedWay extends Way {
  readonly watch: MemoryWatch | null
}

/** One of each a round. */
export interface Figures {
  readonly megabytesPerSecond: number[]
  readonly cpuSecondsPerGigabyte: number[]
  /** Megabytes. */
  readonly growth: number[]
}

/** To be called when their processes have done a little of their work, and nothing large yet. */
export async function watchWays(ways: readonly Way[]): Promise<WatchedWay[]> {
  const watches = new Map<number, MemoryWatch>()
  const watched: WatchedWay[] = []
  for (const way of ways) {
    const watch = way.server && (watches.get(way.server.pid) ?? (await watchMemory(way.server)))
    if (way.server && watch) watches.set(way.server.pid, watch)
    watched.push({ ...way, watch })
  }
  return watched
}

export interface Comparison {
  readonly session: Session
  readonly clients: number
  readonly sizeBytes: number
  readonly rounds: number
}

/** Rounds in which each way has its turn, by so many clients at once. */
export async function compareWays(ways: readonly WatchedWay[], comparison: Comparison): Promise<Map<Way, Figures>> {
  const { session, rounds } = comparison
  const empty = (): Figures => ({ megabytesPerSecond: [], cpuSecondsPerGigabyte: [], growth: [] })
  const figures = new Map(ways.map((way) => [way, empty()]))
  await takeTurns(ways, { rounds, warmUps: 0 }, async (way) => {
    session.throwIfOver()
    await transferOnce(way, figures.get(way) ?? empty(), comparison)
    await way.cleanUp?.()
  })
  return figures
}

async function transferOnce(way: WatchedWay, figures: Figures, { clients, sizeBytes }: Comparison): Promise<void> {
  const bytes = clients * sizeBytes
  const work = async () => {
    const begin = performance.now()
    await Promise.all(Array.from({ length: clients }, () => way.transfer()))
    figures.megabytesPerSecond.push(bytes / 1000 / (performance.now() - begin))
  }
  if (!way.server || !way.watch) return await work()
  const before = await cpuSeconds(way.server.pid)
  const { growth } = await way.watch.during(work)
  figures.cpuSecondsPerGigabyte.push((((await cpuSeconds(way.server.pid)) - before) * 1e9) / bytes)
  figures.growth.push(growth)
}

/** CPU of one way divided by that of another, round by round. */
export function cpuRatio(figures: ReadonlyMap<Way, Figures>, above: string, below: string): number[] {
  const of = (key: string) => [...figures].find(([way]) => way.key === key)?.[1].cpuSecondsPerGigabyte ?? []
  return ratios(of(above), of(below))
}

export function growthBars(figures: ReadonlyMap<Way, Figures>, size: string, clients: number): Measured[] {
  return [...figures]
    .filter(([{ key }]) => OURS.has(key))
    .map(([{ key }, { growth }]) => ({ bar: `${size}.${key}.growth.${clients}`, values: growth }))
}

const OURS = new Set(['graphql', 'get', 'put.s3', 'put.folder'])

/** @param yardstick key of the way that the others are told against */
export function printWays(figures: ReadonlyMap<Way, Figures>, yardstick: string): void {
  const base = [...figures].find(([way]) => way.key === yardstick)?.[1]
  printTable(
    ['way', 'CPU s a GB', 'CPU, ratio', 'MB/s', 'MB/s, ratio', 'memory growth, MB', 'at worst'],
    [...figures].map(([{ name, server }, { cpuSecondsPerGigabyte, megabytesPerSecond, growth }]) => [
      name,
      server ? formatNumber(median(cpuSecondsPerGigabyte)) : '',
      server ? formatNumber(pairedRatio(cpuSecondsPerGigabyte, base?.cpuSecondsPerGigabyte ?? [])) : '',
      formatNumber(median(megabytesPerSecond)),
      formatNumber(pairedRatio(megabytesPerSecond, base?.megabytesPerSecond ?? [])),
      server ? formatNumber(median(growth)) : '',
      server ? formatNumber(Math.max(...growth)) : '',
    ]),
  )
}

export function headWays(what: string, { clients, sizeBytes }: Pick<Comparison, 'clients' | 'sizeBytes'>): void {
  print(`**${what}, ${nameSize(sizeBytes)}, ${nameClients(clients)}**`)
  print()
}

export function nameClients(clients: number): string {
  return clients === 1 ? 'one client' : `${clients} clients`
}

export function nameSize(sizeBytes: number): string {
  return sizeBytes % 2 ** 20 === 0 ? `${sizeBytes / 2 ** 20} MiB` : `${sizeBytes / MB} MB`
}
