import { type ChildProcess, spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { childEnv, type Runtime } from './cluster.ts'

const START_DEADLINE_MS = 300_000
const FAST_SHUTDOWN_MS = 20_000
const POLL_MS = 25

/** A server process. */
export interface Postmaster {
  hasEnded(): boolean
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

export interface SpawnOptions {
  readonly runtime: Runtime
  readonly args: readonly string[]
  readonly stalePid: number | null
  readonly logPath: string
  /** Keeps what its log says of the one before. */
  readonly keepsLog?: boolean
}

export async function spawnPostmaster({
  runtime,
  args,
  stalePid,
  logPath,
  keepsLog,
}: SpawnOptions): Promise<Postmaster> {
  const log = await open(logPath, keepsLog ? 'a' : 'w', 0o600)
  const env = childEnv()
  // Tells the server that the pid in its old lock file is no rival, as pg_ctl does; its other safety checks still run.
  if (stalePid !== null) env['PG_GRANDPARENT_PID'] = String(stalePid)
  const [command, ...rest] = [...runtime.account.prefix, runtime.postgres, ...args]
  const { uid, gid } = runtime.account
  try {
    // Detached: a session of its own, so that Ctrl-C in the terminal leaves it to `stop`, after requests have drained.
    return watch(spawn(command ?? '', rest, { detached: true, stdio: ['ignore', log.fd, log.fd], env, uid, gid }))
  } finally {
    await log.close()
  }
}

function watch(child: ChildProcess): Postmaster {
  let running = true
  const stopOnExit = () => child.kill('SIGINT')
  process.once('exit', stopOnExit)
  const ended = new Promise<void>((resolve) => {
    const settle = () => {
      running = false
      process.removeListener('exit', stopOnExit)
      resolve()
    }
    child.once('exit', settle)
    child.on('error', () => child.pid === undefined && settle())
  })
  return {
    ended,
    hasEnded: () => !running,
    async stop() {
      if (running) child.kill('SIGINT')
      const timer = setTimeout(() => child.kill('SIGQUIT'), FAST_SHUTDOWN_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

/** Waits until a client is let in; false when the server ended instead. */
export async function accepts(server: Postmaster, url: string): Promise<boolean> {
  const deadline = Date.now() + START_DEADLINE_MS
  while (!server.hasEnded()) {
    const failure = await tryConnect(url)
    if (failure === null) return true
    // 28P01: wrong password. Everything else, such as 57P03 during crash recovery, passes by itself.
    if (failure === '28P01' || Date.now() > deadline) {
      await server.stop()
      throw new Error(`The embedded PostgreSQL started but let nobody in (${failure})`)
    }
    await delay(POLL_MS)
  }
  return false
}

async function tryConnect(url: string): Promise<string | null> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return null
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'timeout'
  } finally {
    await client.end().catch(() => {})
  }
}
