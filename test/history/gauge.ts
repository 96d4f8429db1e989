import { readdir, readFile, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { query } from '../support/rows.ts'
import type { World } from './world.ts'

/** What one server holds, and all of them together in the database. */
export interface Gauged {
  /** Minutes since the beginning. */
  readonly minutes: number
  /** After a collection of garbage, in MiB: heap, and buffers outside of it. */
  readonly heapMib: number
  readonly residentMib: number
  readonly descriptors: number
  /** Of all servers to PostgreSQL, and of this one to the cache and the store. */
  readonly databaseConnections: number
  readonly otherConnections: number
}

const PATIENCE_MS = 10_000
const MIB = 2 ** 20

/** Looks at the first server of a world, which was started with `gauge-hooks.ts`. */
export async function gauge(world: World, file: string, beganAt: number): Promise<Gauged> {
  const [member] = world.members
  const pid = member?.replica.pid
  if (!member || pid === undefined) throw new Error('The server that is measured does not run')
  await rm(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  const { heapUsed, external, rss } = await readWritten(file)
  const descriptors = (await readdir(`/proc/${pid}/fd`)).length
  const [row] = await query<{ count: string }>(
    world.databaseUrl,
    "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'statelens%'",
  )
  return {
    minutes: (performance.now() - beganAt) / 60_000,
    heapMib: (heapUsed + external) / MIB,
    residentMib: rss / MIB,
    descriptors,
    databaseConnections: Number(row?.count),
    otherConnections: (member.proxies.valkey?.openSockets ?? 0) + (member.proxies.s3?.openSockets ?? 0),
  }
}

async function readWritten(file: string): Promise<NodeJS.MemoryUsage> {
  for (const end = performance.now() + PATIENCE_MS; ; await delay(20)) {
    try {
      return JSON.parse(await readFile(file, 'utf8'))
    } catch (error) {
      if (performance.now() > end) throw error
    }
  }
}

/** Of a straight line through them by least squares: units of `of` a minute. */
export function slopeOf(points: readonly Gauged[], of: Exclude<keyof Gauged, 'minutes'>): number {
  const count = points.length
  const meanX = points.reduce((sum, { minutes }) => sum + minutes, 0) / count
  const meanY = points.reduce((sum, point) => sum + point[of], 0) / count
  const above = points.reduce((sum, point) => sum + (point.minutes - meanX) * (point[of] - meanY), 0)
  const below = points.reduce((sum, { minutes }) => sum + (minutes - meanX) ** 2, 0)
  return below === 0 ? 0 : above / below
}
