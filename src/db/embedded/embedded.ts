import { access, mkdir, readFile, realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { CLUSTER_USER, prepareCluster } from './cluster.ts'
import { claim, endOrphan } from './owner.ts'
import { accepts, spawnPostmaster } from './postmaster.ts'
import { keepRunning, type Revival } from './revival.ts'

/** Names the process that uses the folder. */
const OWNER = 'postgres.owner'
const START_ATTEMPTS = 5

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
  /** Has the server started again when it dies, at the same URL; left out, it stays dead. */
  readonly revival?: Revival
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
      return await startClaimed(home, options, release)
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

async function startClaimed(home: string, options: EmbeddedPostgresOptions, release: () => Promise<void>) {
  const { settings = {}, revival } = options
  const cluster = join(home, 'postgres')
  const stalePid = await endOrphan(cluster)
  const runtime = await prepareCluster(home, settings)
  const password = (await readFile(join(home, 'postgres.password'), 'utf8')).trim()
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const url = `postgres://${CLUSTER_USER}:${password}@127.0.0.1:${port}/postgres`
    const args = ['-D', cluster, '-p', String(port), ...toArguments(settings)]
    const start = { runtime, args, stalePid, logPath: join(home, 'postgres.log') }
    const server = await spawnPostmaster(start)
    if (await accepts(server, url)) {
      const stop = revival ? keepRunning(server, { start, url, revival }) : server.stop
      return { url, stop: once(() => stop().then(release)) }
    }
    const log = await readFile(join(home, 'postgres.log'), 'utf8')
    if (attempt === START_ATTEMPTS || !log.includes('could not bind')) {
      throw new Error('The embedded PostgreSQL did not start; postgres.log in the data folder says why', { cause: log })
    }
  }
}

function toArguments(settings: Readonly<Record<string, string>>): string[] {
  const fixed = { listen_addresses: '127.0.0.1', unix_socket_directories: '', logging_collector: 'off' }
  return Object.entries({ ...DEFAULT_SETTINGS, ...settings, ...fixed }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])
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
