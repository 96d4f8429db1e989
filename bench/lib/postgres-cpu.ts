import { readdir, readFile } from 'node:fs/promises'
import { withClient } from './database.ts'

const MILLIS_PER_TICK = 10

/** Milliseconds of CPU that all processes of a PostgreSQL on this machine used while something went on. */
export async function cpuOfPostgres(url: string, work: () => Promise<unknown>): Promise<number> {
  const postmaster = await withClient(url, async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    return await parentOf(rows[0]?.pid ?? 0)
  })
  const before = await ticksOf(postmaster)
  await work()
  return ((await ticksOf(postmaster)) - before) * MILLIS_PER_TICK
}

/** CPU of one process, to the nanosecond. */
export async function cpuMillisOf(pid: number): Promise<number> {
  const [nanos = '0'] = (await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')
  return Number(nanos) / 1e6
}

async function statOf(pid: number): Promise<readonly string[]> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name may hold anything but a closing bracket at its end.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

async function parentOf(pid: number): Promise<number> {
  return Number((await statOf(pid))[1])
}

/** Of a process and its children, those that have ended as well. */
async function ticksOf(parent: number): Promise<number> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
  let ticks = 0
  for (const pid of pids) {
    const [, ppid, ...rest] = await statOf(pid)
    if (pid !== parent && Number(ppid) !== parent) continue
    // utime, stime, and of the parent those of children that have ended.
    ticks += Number(rest[9]) + Number(rest[10]) + (pid === parent ? Number(rest[11]) + Number(rest[12]) : 0)
  }
  return ticks
}
