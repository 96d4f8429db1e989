import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './broker/host.ts'
import type { Program } from './services.ts'
import { temporaryFolder } from './tmp.ts'

export interface PgbouncerOptions {
  readonly mode: 'transaction' | 'session'
  /** More lines of its settings. */
  readonly settings?: readonly string[]
}

export interface Pgbouncer extends AsyncDisposable {
  /** The same database and user, through the pooler. */
  readonly url: string
}

/** What is commonly set so that drivers get through: it then drops these without a word. */
export const IGNORING =
  'ignore_startup_parameters = extra_float_digits,statement_timeout,lock_timeout,idle_in_transaction_session_timeout'

/** A pooler with few connections of its own in front of the database. */
export async function startPgbouncer(
  { path, libraries }: Program,
  databaseUrl: string,
  { mode, settings = [] }: PgbouncerOptions,
): Promise<Pgbouncer> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder())
  const { hostname, port, username, password, pathname } = new URL(databaseUrl)
  const listenPort = await freePort()
  const users = join(folder.path, 'users')
  await writeFile(users, `"${username}" "${password}"\n`)
  const lines = [
    '[databases]',
    `* = host=${hostname} port=${port}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${listenPort}`,
    'auth_type = plain',
    `auth_file = ${users}`,
    `pool_mode = ${mode}`,
    'unix_socket_dir =',
    'default_pool_size = 5',
    ...settings,
  ]
  const ini = join(folder.path, 'ini')
  await writeFile(ini, `${lines.join('\n')}\n`)
  // It refuses to run as root.
  const prefix = process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=1000', '--map-group=1000'] : []
  const [command = path, ...args] = [...prefix, path, ini]
  const child = spawn(command, args, {
    env: { PATH: process.env['PATH'], LD_LIBRARY_PATH: libraries },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  cleanup.defer(() => kill(child))
  while (!(await accepts(listenPort))) {
    if (child.exitCode !== null) throw new Error(`PgBouncer ended: ${log}`)
    await delay(20)
  }
  const owned = cleanup.move()
  return {
    url: `postgres://${username}:${password}@127.0.0.1:${listenPort}${pathname}`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket
      .once('error', () => resolve(false))
      .once('connect', () => {
        socket.destroy()
        resolve(true)
      })
  })
}
