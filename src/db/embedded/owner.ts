import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const POLL_MS = 25

/** Stops a server whose process died without it. Returns the pid of an old lock file, when it has one. */
export async function endOrphan(cluster: string): Promise<number | null> {
  const lock = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')
  const pid = Number.parseInt(lock, 10)
  if (!(pid > 0)) return null
  // After a crash of the machine the pid may belong to anything.
  const isOurs = async () => (await inspect(pid))?.command.includes(cluster) ?? false
  for (const [signal, graceMs] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5_000],
  ] as const) {
    if (await isOurs()) signalIfAlive(pid, signal)
    for (const end = Date.now() + graceMs; Date.now() < end && (await isOurs()); ) await delay(POLL_MS)
  }
  if (await isOurs()) throw new Error(`A PostgreSQL left behind in the data folder (pid ${pid}) does not stop`)
  return pid
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Takes the folder for this process, through a file that names it. Resolves to what gives it back. */
export async function claim(path: string): Promise<() => Promise<void>> {
  const mine = JSON.stringify({ pid: process.pid, started: (await inspect(process.pid))?.started })
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, mine, { mode: 0o600 })
  try {
    // link() fails where the file exists, and shows it whole or not at all.
    while (!(await link(draft, path).then(() => true, rejectUnless('EEXIST')))) await removeStaleClaim(path)
  } finally {
    await rm(draft, { force: true })
  }
  return () => rm(path, { force: true })
}

async function removeStaleClaim(path: string): Promise<void> {
  const found = await readFile(path, 'utf8').catch(() => null)
  if (found === null) return
  const owner = parseOwner(found)
  const living = await inspect(owner.pid)
  if (living && living.started === owner.started) {
    throw new Error(
      `Another process (pid ${owner.pid}) uses this data folder: stop it, or set DATA_DIR to another folder`,
    )
  }
  const aside = `${path}.${randomUUID()}`
  if (!(await rename(path, aside).then(() => true, rejectUnless('ENOENT')))) return
  // Somebody else may have removed the stale file and put a good one in its place in between.
  const taken = await readFile(aside, 'utf8')
  if (taken !== found) await link(aside, path)
  await rm(aside)
}

/** A crash of the machine may leave the file empty: it then names nobody. */
function parseOwner(text: string): { readonly pid: number; readonly started?: string } {
  try {
    return JSON.parse(text)
  } catch {
    return { pid: 0 }
  }
}

function rejectUnless(code: string): (error: NodeJS.ErrnoException) => false {
  return (error) => {
    if (error.code !== code) throw error
    return false
  }
}

/** When a living process was started, told apart across reboots, and its command line; null when it is gone or a zombie. */
async function inspect(pid: number): Promise<{ readonly started: string; readonly command: string } | null> {
  if (process.platform === 'linux') {
    try {
      const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').at(-1)?.split(' ') ?? []
      if (fields[0] === 'Z') return null
      const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
      return { started: `${boot} ${fields[19]}`, command: await readFile(`/proc/${pid}/cmdline`, 'utf8') }
    } catch {
      return null
    }
  }
  const { stdout } = await execute('ps', ['-o', 'lstart=,command=', '-p', String(pid)]).catch(() => ({ stdout: '' }))
  return stdout === '' ? null : { started: stdout.slice(0, 24), command: stdout.slice(24) }
}
