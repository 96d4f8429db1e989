import { type ChildProcess, spawn } from 'node:child_process'
import { access, mkdir, open, readFile, realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { CLUSTER_USER, childEnv, prepareCluster, type Runtime } from './cluster.ts'
import { claim, endOrphan } from './owner.ts'

/** Names the process that uses the folder. */
const OWNER = 'postgres.owner'
const START_ATTEMPTS = 5
const START_DEADLINE_MS = 300_000
const FAST_SHUTDOWN_MS = 20_000
const POLL_MS = 25

const DEFAULT_SETTINGS = {
  shared_buffers: '128MB',
  max_connections: '50',
  log_checkpoints: 'off',
  // A terse log has no DETAIL and no statement: both may quote payloads.
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
}

export interface EmbeddedPostgresOptions {
  /** Made when it is absent. The cluster lies in its `postgres` folder; no other process may use it meanwhile. */
  readonly dataDir: string
  /** Server settings by name, over small defaults that keep every commit safe. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface EmbeddedPostgres {
  /** `postgres://user:password@127.0.0.1:port/postgres`: holds a secret. The port is another one at each start. */
  readonly url: string
  /** Fast shutdown: open transactions are rolled back. Resolves when the server has ended; calling it again is no error. */
  stop(): Promise<void>
}

/**
 * Starts a PostgreSQL of this process's own, on loopback and a free port, and creates its cluster the first time.
 * What a killed process left running in the same folder is stopped first.
 * @throws Error when another living process holds the folder, or when the server does not start. The message names no path.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
    const home = await realpath(options.dataDir)
    const release = await claim(join(home, OWNER))
    try {
      return await startClaimed(home, options.settings ?? {}, release)
    } catch (error) {
      await release()
      throw error
    }
  } catch (error) {
    // The message of a system error quotes the path it failed on.
    if (!(error instanceof Error && 'syscall' in error && 'code' in error)) throw error
    throw new Error(`The embedded PostgreSQL cannot use its data folder: ${error.code}`, { cause: error })
  }
}

/**
 * Ends what a process that is gone left running in a data folder.
 * @returns whether the folder was one, and nobody uses it now. Never rejects.
 */
export async function releaseAbandoned(dataDir: string): Promise<boolean> {
  try {
    const home = await realpath(dataDir)
    // One that is only being made has none yet.
    await access(join(home, OWNER))
    const release = await claim(join(home, OWNER))
    await endOrphan(join(home, 'postgres'))
    await release()
    return true
  } catch {
    return false
  }
}

async function startClaimed(home: string, settings: Record<string, string>, release: () => Promise<void>) {
  const cluster = join(home, 'postgres')
  const stalePid = await endOrphan(cluster)
  const runtime = await prepareCluster(home, settings)
  const password = (await readFile(join(home, 'postgres.password'), 'utf8')).trim()
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const url = `postgres://${CLUSTER_USER}:${password}@127.0.0.1:${port}/postgres`
    const args = ['-D', cluster, '-p', String(port), ...toArguments(settings)]
    const server = await spawnPostmaster({ runtime, args, stalePid, logPath: join(home, 'postgres.log') })
    if (await accepts(server, url)) return { url, stop: once(() => server.stop().then(release)) }
    const log = await readFile(join(home, 'postgres.log'), 'utf8')
    if (attempt === START_ATTEMPTS || !log.includes('could not bind')) {
      throw new Error('The embedded PostgreSQL did not start; postgres.log in the data folder says why', { cause: log })
    }
  }
}

function toArguments(settings: Record<string, string>): string[] {
  const fixed = { listen_addresses: '127.0.0.1', unix_socket_directories: '', logging_collector: 'off' }
  return Object.entries({ ...DEFAULT_SETTINGS, ...settings, ...fixed }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])
}

interface Postmaster {
  hasEnded(): boolean
  stop(): Promise<void>
}

interface SpawnOptions {
  readonly runtime: Runtime
  readonly args: readonly string[]
  readonly stalePid: number | null
  readonly logPath: string
}

async function spawnPostmaster({ runtime, args, stalePid, logPath }: SpawnOptions): Promise<Postmaster> {
  const log = await open(logPath, 'w', 0o600)
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
async function accepts(server: Postmaster, url: string): Promise<boolean> {
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

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

function once(action: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined
  return () => {
    result ??= action()
    return result
  }
}
