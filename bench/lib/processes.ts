import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import type { Asked } from './probe.ts'
import type { Session } from './session.ts'

/** A server under test, a process of its own on the servers' core. */
export interface ServerProcess {
  readonly name: string
  readonly pid: number
  /** Without a trailing slash. */
  readonly origin: string
}

/** How long an event loop was held, in milliseconds. */
export interface HeldLoop {
  readonly max: number
  readonly p99: number
}

/** A server that `probe.ts` looks at from within. */
export interface ProbedServer extends ServerProcess {
  /** Since it was asked last. */
  heldLoop(): Promise<HeldLoop>
  collectGarbage(): Promise<void>
  /** The same, and what is free goes back to the system, as it does after a while by itself. */
  giveBackMemory(): Promise<void>
}

export interface ServerOptions {
  readonly name: string
  /** What Node runs, with its arguments. */
  readonly args: readonly string[]
  /** The whole environment, beside PATH and NODE_ENV. */
  readonly env: Readonly<Record<string, string>>
  /** Folder that it is started in; that of this checkout when left out. */
  readonly folder?: string | undefined
}

const CHECKOUT = join(import.meta.dirname, '..', '..')
const START_MS = 240_000

/**
 * Gives the servers a core of their own, and this process, with all that it starts from now on, the others.
 * @returns the command that puts a program on the servers' core; empty where that cannot be done.
 */
export async function divideCores(): Promise<readonly string[]> {
  const cores = availableParallelism()
  if (cores < 2) return []
  const others = cores === 2 ? '1' : `1-${cores - 1}`
  const taskset = spawn('taskset', ['-acp', others, String(process.pid)], { stdio: 'ignore' })
  const [code] = await once(taskset, 'exit').catch(() => [1])
  return code === 0 ? ['taskset', '-c', '0'] : []
}

/** Starts a server that prints its URL, on a port that it chooses. It is stopped with the session. */
export async function startServer(
  session: Session,
  pin: readonly string[],
  options: ServerOptions & { readonly isProbed: true },
): Promise<ProbedServer>
export async function startServer(
  session: Session,
  pin: readonly string[],
  options: ServerOptions,
): Promise<ServerProcess>
export async function startServer(
  session: Session,
  pin: readonly string[],
  { name, args, env, folder = CHECKOUT, isProbed = false }: ServerOptions & { readonly isProbed?: boolean },
): Promise<ServerProcess> {
  session.throwIfOver()
  const probe = isProbed ? ['--import', join(import.meta.dirname, 'probe.ts')] : []
  const [command = '', ...rest] = [...pin, process.execPath, ...probe, ...args]
  // Detached: Ctrl-C reaches the bench alone, which then stops what it started.
  const child = spawn(command, rest, {
    cwd: folder,
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'pipe', 'pipe', ...(isProbed ? (['ipc'] as const) : [])],
    detached: true,
  }) as ChildProcessByStdio<null, Readable, Readable>
  const exited = once(child, 'exit')
  const logPath = join(await session.folder(), 'server.log')
  const log = createWriteStream(logPath)
  child.stderr.pipe(log, { end: false })
  child.stdout.pipe(log, { end: false })
  await session.defer(async () => {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exited.catch(() => {})
    clearTimeout(late)
    await promisify(log.end.bind(log))()
  })
  const failed = exited.then(async () => {
    throw new Error(`${name} ended: ${(await readFile(logPath, 'utf8')).slice(-2000)}`)
  })
  const origin = await Promise.race([findUrl(child.stdout, name), failed])
  const server = { name, pid: child.pid ?? 0, origin }
  if (!isProbed) return server
  const ask = async (what: Asked): Promise<HeldLoop> => {
    child.send(what)
    return (await once(child, 'message'))[0]
  }
  const probed: ProbedServer = {
    ...server,
    heldLoop: () => ask('held loop'),
    async collectGarbage() {
      await ask('collect')
    },
    async giveBackMemory() {
      await ask('give back')
    },
  }
  return probed
}

async function findUrl(output: NodeJS.ReadableStream, name: string): Promise<string> {
  const late = AbortSignal.timeout(START_MS)
  let printed = ''
  const found = Promise.withResolvers<string>()
  const read = (chunk: Buffer) => {
    printed += chunk
    const url = /https?:\/\/[^\s/"]+/.exec(printed)?.[0]
    if (url && printed.includes('\n')) found.resolve(url)
  }
  late.addEventListener('abort', () => found.reject(new Error(`${name} printed no URL`)))
  output.on('data', read)
  try {
    return await found.promise
  } finally {
    output.off('data', read)
  }
}

/** Seconds of processor time, in user code and in the kernel, that a process has used with all its threads; to the nanosecond. */
export async function cpuSeconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`)
  // A thread may end in between.
  const read = (thread: string) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0')
  const nanoseconds = (await Promise.all(threads.map(read))).map((text) => Number(text.split(' ')[0]))
  return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e9
}

export interface Memory {
  /** Megabytes of 10^6 bytes. */
  readonly resident: number
  readonly peak: number
}

export async function memoryOf(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6
  return { resident: field('VmRSS'), peak: field('VmHWM') }
}

/** From now on `peak` counts anew. */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}
