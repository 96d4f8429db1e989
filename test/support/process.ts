import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { PROGRAM_VARIABLE } from './program-variable.ts'
import { FORBIDDEN_WARNINGS } from './strict-warnings.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WAIT_MS = 120_000

export interface ProcessOptions {
  /** What follows the script, such as `['serve']`. */
  readonly args: readonly string[]
  /** The whole environment of the child, beside PATH and what lets it start sooner: nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>
  /** Defaults to the checkout. */
  readonly cwd?: string
  /** Defaults to `src/main.ts`, in one piece where the tests have made it. */
  readonly script?: string
  /** What Node is started by, such as `unshare` with its arguments; itself when left out. */
  readonly command?: readonly string[]
  /** Flags for Node itself, such as `--expose-gc`. */
  readonly nodeArgs?: readonly string[]
  /** Most files, sockets included, that it may have open at once. */
  readonly openFiles?: number
}

export interface Exit {
  /** Null when a signal ended the process. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A running child. Disposing kills it, if it still runs, and fails where Node warned it of what it must not do. */
export interface RunningProcess extends AsyncDisposable {
  readonly pid: number
  readonly exited: Promise<Exit>
  stdout(): string
  stderr(): string
  /**
   * The first match of `pattern` in a line of stdout or stderr, printed already or still to come.
   * @throws Error with what the process printed, when it ends before, or after two minutes.
   */
  waitForLine(pattern: RegExp): Promise<RegExpMatchArray>
  /** The origin of the first `http://` URL printed, without a trailing slash. */
  waitForUrl(): Promise<string>
  /** Sends the signal, SIGINT unless told, as Ctrl-C does, and resolves once the process has ended. */
  stop(signal?: NodeJS.Signals): Promise<Exit>
}

/** Starts `node src/main.ts <args>` as a child process. */
export function startProcess(options: ProcessOptions): RunningProcess {
  const args = [...(options.nodeArgs ?? []), options.script ?? process.env[PROGRAM_VARIABLE] ?? MAIN, ...options.args]
  const { openFiles, command = [] } = options
  // The shell lowers its own limit, and becomes the child.
  const limit = openFiles === undefined ? [] : ['sh', '-c', 'ulimit -n "$0" && exec "$@"', String(openFiles)]
  const [file = '', ...words] = [...command, ...limit, process.execPath, ...args]
  const child = spawn(file, words, {
    cwd: options.cwd ?? ROOT,
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  // Whoever waits for the exit sees the error; nobody has to.
  exited.catch(() => {})
  const output = collect(child)
  const waitForLine = (pattern: RegExp) => waitFor({ pattern, output, child, exited })
  const stop = (signal: NodeJS.Signals = 'SIGINT') => {
    child.kill(signal)
    return exited
  }
  return {
    pid: child.pid ?? 0,
    exited,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    waitForLine,
    waitForUrl: async () => (await waitForLine(/https?:\/\/[^\s/"]+/))[0],
    stop,
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL').catch(() => {})
      const [warning] = FORBIDDEN_WARNINGS.exec(output.stderr) ?? []
      if (warning !== undefined) throw new Error(`Node warned the process: ${warning}\n${output.stderr}`)
    },
  }
}

type Child = ChildProcessByStdio<null, Readable, Readable>

interface Output {
  stdout: string
  stderr: string
}

function collect(child: Child): Output {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  return output
}

interface Wait {
  readonly pattern: RegExp
  readonly output: Output
  readonly child: Child
  readonly exited: Promise<Exit>
}

async function waitFor({ pattern, output, child, exited }: Wait): Promise<RegExpMatchArray> {
  const deadline = AbortSignal.timeout(WAIT_MS)
  let ended = false
  const end = exited.then(() => {
    ended = true
  })
  for (;;) {
    const match = firstMatch(output.stdout, pattern) ?? firstMatch(output.stderr, pattern)
    if (match) return match
    if (ended || deadline.aborted) {
      const why = ended ? 'The process ended' : `${WAIT_MS} ms went by`
      throw new Error(`${why} without a line like ${pattern}\n${output.stdout}\n${output.stderr}`)
    }
    const turn = new AbortController()
    const signal = AbortSignal.any([deadline, turn.signal])
    const more = [child.stdout, child.stderr].map((stream) => once(stream, 'data', { signal }).catch(() => {}))
    await Promise.race([...more, end])
    // The stream that said nothing loses its listener before the next turn.
    turn.abort()
  }
}

/** Whole lines only: the last one may still be growing. */
function firstMatch(text: string, pattern: RegExp): RegExpMatchArray | null {
  for (const line of text.split('\n').slice(0, -1)) {
    const match = line.match(pattern)
    if (match) return match
  }
  return null
}
