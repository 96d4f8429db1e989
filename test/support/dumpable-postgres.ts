import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './broker/host.ts'
import { query } from './rows.ts'
import type { PostgresTools } from './services.ts'
import { temporaryFolder } from './tmp.ts'

const execute = promisify(execFile)
const USER = 'owner'
const START_MS = 30_000
const FAST = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']

/** A server of the version whose tools are there. */
export interface DumpablePostgres extends AsyncDisposable {
  urlOf(database: string): string
  /** Makes it, empty. */
  create(database: string): Promise<string>
  /** `pg_dump` of a database into a file, while it is used. */
  dump(database: string, file: string): Promise<void>
  /** `pg_restore` of that file into a database that is empty. */
  restore(database: string, file: string): Promise<void>
}

export async function startDumpablePostgres({ folder: bin, libraries }: PostgresTools): Promise<DumpablePostgres> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const [data, passwordFile] = [join(path, 'data'), join(path, 'password')]
  const password = randomBytes(16).toString('hex')
  await writeFile(passwordFile, password)
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC', LD_LIBRARY_PATH: libraries }
  // The server refuses to run as root.
  const prefix = process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=1000', '--map-group=1000'] : []
  const own = (name: string, args: readonly string[]) => {
    const [command = '', ...rest] = [...prefix, join(bin, name), ...args]
    return [command, rest] as const
  }
  const make = [
    '-D',
    data,
    '-U',
    USER,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--no-sync',
  ]
  await execute(...own('initdb', make), { env })
  const port = await freePort()
  const settings = [...FAST, 'listen_addresses=127.0.0.1', 'unix_socket_directories=']
  const server = spawn(
    ...own('postgres', ['-D', data, '-p', String(port), ...settings.flatMap((one) => ['-c', one])]),
    {
      env,
      stdio: 'ignore',
    },
  )
  const exited = once(server, 'exit')
  cleanup.defer(async () => {
    server.kill('SIGINT')
    await exited
  })
  const urlOf = (database: string) => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`
  await untilItAnswers(urlOf('postgres'))
  const owned = cleanup.move()
  return {
    urlOf,
    async create(database) {
      await query(urlOf('postgres'), `create database ${database} template template0 encoding 'UTF8'`)
      return urlOf(database)
    },
    async dump(database, file) {
      await execute(join(bin, 'pg_dump'), ['--format=custom', `--file=${file}`, urlOf(database)], { env })
    },
    async restore(database, file) {
      const args = ['--exit-on-error', '--no-owner', `--dbname=${urlOf(database)}`, file]
      await execute(join(bin, 'pg_restore'), args, { env })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function untilItAnswers(url: string): Promise<void> {
  for (const end = performance.now() + START_MS; ; await delay(50)) {
    try {
      await query(url, 'select 1')
      return
    } catch (error) {
      if (performance.now() > end) throw error
    }
  }
}
