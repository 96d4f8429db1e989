import { readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { CRASH_FILE_VARIABLE, CRASHED_SUFFIX, type CrashPoint } from '../crashes/crash-points.ts'
import { type RunningProcess, startProcess } from '../support/process.ts'

const HOOKS = fileURLToPath(new URL('../crashes/crash-hooks.ts', import.meta.url))

/** One server process, started again each time that it was killed. */
export interface Replica extends AsyncDisposable {
  /** Undefined while it does not run. */
  readonly url: string | undefined
  /** Undefined while it does not run. */
  readonly pid: number | undefined
  /** Starts it, where it does not run; resolves once it listens. */
  start(): Promise<void>
  /** Ends it as the kernel does, at once. */
  kill(): Promise<void>
  /** Ends it well. @returns its exit code. */
  stop(): Promise<number | null>
  /** From now on it is killed where it comes to this point. */
  arm(point: CrashPoint): Promise<void>
  /** @returns whether it was killed there. */
  disarm(): Promise<boolean>
  /** Resolves when it has ended without being told to. */
  readonly ended: Promise<void>
}

export interface ReplicaOptions {
  readonly env: Readonly<Record<string, string>>
  /** Loaded before it, besides what kills it. */
  readonly imports?: readonly string[]
  /** Names the file by which it is told where to end; of its own. */
  readonly crashFile: string
  /** Told what a process printed that ended although nobody killed it. */
  readonly onDeath: (output: string) => void
}

export function createReplica({ env, crashFile, imports = [], onDeath }: ReplicaOptions): Replica {
  let running: RunningProcess | undefined
  let url: string | undefined
  let ended = Promise.withResolvers<void>()
  let starting: Promise<void> | undefined
  let isKilled = false
  /** Whether it ended where it was armed to, and may have been started again since. */
  let hasCrashed = false

  async function wasHit(): Promise<boolean> {
    return await readFile(crashFile + CRASHED_SUFFIX).then(
      () => true,
      () => false,
    )
  }

  async function begin(): Promise<void> {
    isKilled = false
    ended = Promise.withResolvers()
    const { resolve } = ended
    const child = startProcess({
      args: ['serve'],
      nodeArgs: [HOOKS, ...imports].flatMap((file) => ['--import', file]),
      env: { PORT: '0', LOG_REQUESTS: 'false', ...env, [CRASH_FILE_VARIABLE]: crashFile },
    })
    running = child
    void child.exited.then(async () => {
      const isHit = await wasHit()
      // From here on it may be started again.
      hasCrashed ||= isHit
      url = undefined
      running = undefined
      if (!isKilled && !isHit) onDeath(`${child.stdout()}\n${child.stderr()}`)
      resolve()
    })
    // A machine that is busy may take longer than a line is waited for.
    let found: string | undefined
    while (running === child && found === undefined) found = await child.waitForUrl().catch(() => undefined)
    // It may have printed that and be gone.
    if (running === child) url = found
    else await ended.promise
  }

  async function start(): Promise<void> {
    if (url !== undefined) return
    starting ??= begin().finally(() => {
      starting = undefined
    })
    await starting
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    isKilled = true
    const exit = await running?.stop(signal)
    await ended.promise
    return exit?.code ?? null
  }

  return {
    get url() {
      return url
    },
    get pid() {
      return running?.pid
    },
    get ended() {
      return ended.promise
    },
    start,
    async kill() {
      if (running) await end('SIGKILL')
    },
    stop: () => end('SIGTERM'),
    arm: (point) => writeFile(crashFile, point),
    async disarm() {
      await rm(crashFile, { force: true })
      const isHit = await wasHit()
      // Whether it was meant to end is asked when it ends.
      if (isHit && !hasCrashed) await ended.promise
      hasCrashed = false
      await rm(crashFile + CRASHED_SUFFIX, { force: true })
      return isHit
    },
    async [Symbol.asyncDispose]() {
      isKilled = true
      await running?.[Symbol.asyncDispose]()
    },
  }
}
