import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface LaunchOptions {
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Text for the standard input; it is empty without one. */
  readonly input?: string
}

export interface Launched {
  hasEnded(): boolean
  readonly ended: Promise<void>
  /** What the process printed so far. */
  log(): Promise<string>
}

/** Where the services of one run live: a folder, and all the processes started for it. */
export interface Host {
  /** Removed when the run ends. */
  readonly folder: string
  /** Aborts when the run ends. */
  readonly signal: AbortSignal
  /** Starts a server. It is killed when the run ends: its data are thrown away then, too. */
  launch(command: string, options: LaunchOptions): Promise<Launched>
  /** Runs a command to its end, and resolves to what it printed. */
  run(command: string, options: LaunchOptions): Promise<string>
  /** Adds something to do when the run ends, before the processes are killed. */
  onStop(action: () => Promise<void>): void
  stop(): Promise<void>
}

export async function createHost(): Promise<Host> {
  const folder = await mkdtemp(join(tmpdir(), 'statelens-test-'))
  const end = new AbortController()
  const actions: (() => Promise<void>)[] = []
  const running = new Map<ChildProcess, Promise<void>>()
  const start = async (command: string, options: LaunchOptions): Promise<Launched> => {
    end.signal.throwIfAborted()
    const logPath = join(folder, `log-${crypto.randomUUID()}`)
    const { child, ended } = await spawnLogged(command, options, logPath)
    running.set(child, ended)
    void ended.then(() => running.delete(child))
    return {
      hasEnded: () => !running.has(child),
      ended,
      log: () => readFile(logPath, 'utf8'),
    }
  }
  return {
    folder,
    signal: end.signal,
    launch: start,
    async run(command, options) {
      const { stdout } = await execute(command, options.args, { env: options.env, signal: end.signal })
      return stdout
    },
    onStop: (action) => void actions.push(action),
    async stop() {
      end.abort(new Error('The test run has ended'))
      await Promise.allSettled(actions.map((action) => action()))
      for (const child of running.keys()) killGroup(child)
      await Promise.all(running.values())
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function spawnLogged(command: string, { args, env, input = '' }: LaunchOptions, logPath: string) {
  const log = await open(logPath, 'w')
  // A group of its own, so that what it starts can be killed with it.
  const child = spawn(command, args, { env, detached: true, stdio: ['pipe', log.fd, log.fd] })
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.on('error', () => resolve())
  })
  await log.close()
  child.stdin?.on('error', () => {}).end(input)
  return { child, ended }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It ended by itself in between.
  }
}

/** A port that is free on loopback now: whoever takes it has to be ready to try another one. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
