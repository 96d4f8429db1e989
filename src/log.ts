import pino, { type DestinationStream, type Logger } from 'pino'
import { AppError } from './errors.ts'

export type { Logger }

export interface LoggerOptions {
  readonly level?: string
  /** Which of the workers that write to the same output, or null for their primary; undefined: nobody else does. */
  readonly worker?: number | null | undefined
  /** Standard output when left out. */
  readonly output?: { write(line: string): void }
}

/** One JSON object a line on standard output. Of an error only what cannot hold a payload or a secret is written. */
export function createLogger({ level = 'info', worker, output = standardOutput() }: LoggerOptions = {}): Logger {
  if (worker !== undefined) gatherLength = SHARED_LENGTH
  const base = worker == null ? null : { worker }
  const log = pino({ level, base, serializers: { err: describeError } }, output)
  outputs.set(log, { output, base })
  return log
}

/** Of the loggers that were made here. */
const outputs = new WeakMap<Logger, { readonly output: { write(line: string): void }; readonly base: object | null }>()

/**
 * Writes a line that comes with every request, as the logger would, without what that looks at for lines of any kind: it costs half.
 * @param line with its `msg`: neither an error nor anything else that needs to be described; what is undefined is left out.
 */
export function writePlainLine(log: Logger, level: 'debug' | 'info', line: object): void {
  const known = outputs.get(log)
  if (!known) {
    log[level](line)
    return
  }
  const { output, base } = known
  const text = JSON.stringify(base ? { ...base, ...line } : line)
  output.write(`{"level":${LEVELS[level]},"time":${Date.now()},${text.slice(1)}\n`)
}

const LEVELS = { debug: 20, info: 30 }

/** One for all loggers of the process. */
let gathered: DestinationStream | undefined

function standardOutput(): DestinationStream {
  gathered ??= gatherLines()
  return gathered
}

/** How the lines of `info` begin, and no others. */
const INFO = '{"level":30,'
const GATHER_MILLIS = 10
let gatherLength = 16_384
/** Of several processes: what a pipe takes in one piece, so that nobody's lines get into another's. */
const SHARED_LENGTH = 4000

/**
 * Lines of `info` are gathered for a moment: to write one costs as much as a good part of a small request. All others are written at
 * once, behind those that were gathered, and none is left when the process ends by itself.
 */
function gatherLines(): DestinationStream {
  const output = pino.destination({ fd: 1, sync: true })
  // Its reader has gone, or its terminal was closed: the work goes on.
  output.on('error', () => {})
  let lines = ''
  let timer: NodeJS.Timeout | undefined
  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    const written = lines
    lines = ''
    if (written !== '') output.write(written)
  }
  process.on('exit', flush)
  return {
    write(line) {
      if (lines.length + line.length > gatherLength) flush()
      lines += line
      if (lines.length > gatherLength || !line.startsWith(INFO)) flush()
      else timer ??= setTimeout(flush, GATHER_MILLIS).unref()
    },
  }
}

/** An error may be its own cause. */
const MAX_CAUSES = 5

/**
 * pg puts payload text into `detail` and `where`, and into some messages; the SDK puts signed requests into its own. So an
 * error that is not ours shows its class, its codes and its place in the code, and no words.
 */
export function describeError(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const known = error instanceof AppError
  return {
    type: error.constructor.name,
    ...(known ? { message: error.message } : {}),
    ...pick(error, [
      'name',
      'code',
      'status',
      'severity',
      'constraint',
      'table',
      'syscall',
      'hostname',
      'address',
      'port',
    ]),
    ...(error.cause === undefined || depth === MAX_CAUSES ? {} : { cause: describeError(error.cause, depth + 1) }),
    at: placesOf(error),
  }
}

function pick(error: Error, names: readonly string[]): Record<string, unknown> {
  const isShort = (value: unknown) => typeof value === 'string' || Number.isInteger(value)
  const values = Object.entries(error).filter(([name, value]) => names.includes(name) && isShort(value))
  return Object.fromEntries(values)
}

/** The absolute path in a frame, up to where the project begins. */
const HOST_PATH = /(?<=[ (])(?:file:\/\/)?\/[^()]*?(?=(?:src|dist|node_modules)\/|[^/()]*\)?$)/

/** The frames of the stack, without paths of the host. The message before them may look like a frame. */
function placesOf({ stack = '', message }: Error): readonly string[] {
  return stack
    .slice(stack.indexOf(message) + message.length)
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 8)
    .map((line) => line.trim().replace(HOST_PATH, ''))
}
