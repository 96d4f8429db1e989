import { readFile } from 'node:fs/promises'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { explainDatabase } from './commands/database-trouble.ts'
import type { PassCommand } from './commands/pass.ts'
import { StartError } from './commands/start-error.ts'
import { ConfigError, readConfig, unknownSettings } from './config.ts'
import { isAppError } from './errors.ts'
import { createLogger, type Logger } from './log.ts'

const HELP = `statelens <command>

  serve     answer GraphQL; with no settings at all on an embedded database in .statelens
  migrate   bring the database of DATABASE_URL to this version's tables, adopting those of the old system
  verify    read every payload back, and tell which are missing or corrupt
  index     make the indexes of older states, by which parts of them are read
  diff      tell what leads from one state to another
  doctor    look at database, storage, links and cache, and say what is wrong and what to do
  tail      print the events of a run while they happen, until it ends
  token     make, list and end the tokens of AUTH_MODE=token
  demo      serve a throw-away store filled with a believable run

Each has --help; --version tells this one. Settings are environment variables, or stand in a file .env in the current folder: see
the README, or .env.example.`

interface Command {
  /** Shown by --help. */
  readonly about: string
  readonly options?: NonNullable<ParseArgsConfig['options']>
  /** Whether it takes words beside its options; default false. */
  readonly takesWords?: boolean
  /** Exit code of a failure; default 1. */
  readonly failureCode?: number
  /** @returns the exit code. */
  run(env: NodeJS.ProcessEnv, values: OptionValues, words: readonly string[]): Promise<number>
}

/** Of the options that a command names. */
type OptionValues = Readonly<Record<string, string | boolean | undefined>>

/** Of commands that visit every snapshot. */
const PASS_OPTIONS = {
  run: { type: 'string' },
  after: { type: 'string' },
  'max-mb-per-second': { type: 'string' },
} satisfies Command['options']

/** What a command is made of is loaded when it runs: help and a wrong setting are told at once. */
const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    about: 'Answers GraphQL at /graphql until SIGTERM or SIGINT. A database of DATABASE_URL must have been migrated.',
    run: serve,
  },
  migrate: {
    about: `Applies what the database still lacks. A table state_snapshots of the old system is adopted where it is, while its writers go
on. Several at once are safe, a second run changes nothing, and one that was broken off goes on where it ended.

  --dry-run   only look, and tell what would be done`,
    options: { 'dry-run': { type: 'boolean' } },
    run: applyMigrations,
  },
  verify: {
    about: `Reads every payload back from where it is stored, compares it with its digest, and records what that shows. States that the old
system left both in a row and as an object are settled anew.

  --run RUN_ID               of this run alone
  --after SEQ                go on behind this snapshot
  --max-mb-per-second N      leave the rest of the line to others

Ends with 0 when all that can be checked is intact, 2 when something is missing or corrupt, and 1 when it was stopped or could
not read some: it then prints the --after that goes on from there.`,
    options: PASS_OPTIONS,
    run: (env, args) => pass(env, args, async () => (await import('./commands/verify.ts')).runVerify),
  },
  index: {
    about: `Makes the indexes of states above 1 MiB that have none: those that an earlier version captured, and those of other writers. Without
it each is made when somebody first looks into the state. What is there already is not read again.

  --run RUN_ID               of this run alone
  --after SEQ                go on behind this snapshot
  --max-mb-per-second N      leave the rest of the line to others

Ends with 0 when every state that can have one has it, 2 when something is missing or corrupt, and 1 when it was stopped or could
not read some: it then prints the --after that goes on from there.`,
    options: PASS_OPTIONS,
    run: (env, args) => pass(env, args, async () => (await import('./commands/index-states.ts')).runIndex),
  },
  diff: {
    about: `statelens diff [options] [<old snapshot>] <snapshot>

Tells what leads from one state to another, or to a state from the one before it in its run: what became of each member, then every
change with its values, shortened. Equal are objects in any order, numbers by their value, and strings unescaped.

  --pointer POINTER   below this place of both
  --patch             as a patch of RFC 6902, which makes the new state of the old one
  --no-color          without colours; so is what does not go to a terminal

Ends with 0 when they are the same, 1 when they are not, and 2 when they could not be compared.`,
    options: { pointer: { type: 'string' }, patch: { type: 'boolean' }, 'no-color': { type: 'boolean' } },
    takesWords: true,
    failureCode: 2,
    run: diff,
  },
  doctor: {
    about: `Looks at the settings, and at the database, the storages, the links and the cache that they name, and reads one payload of
each kind. Says what is wrong and what to do, and changes nothing. Ends within 20 seconds, with 0 when nothing is wrong and
1 when something is; warnings do not count.`,
    run: doctor,
  },
  tail: {
    about: `statelens tail RUN_ID prints what happened in a run, and what happens, a line an event, until it ends. It asks a server, at
STATELENS_URL or at this machine's PORT, with the token in STATELENS_TOKEN. A connection that breaks is opened anew, where it broke.

  --url URL        the server's address
  --after CURSOR   go on behind this event
  --json           print each event as JSON, with its cursor

Ends with 0 when the run succeeded, 2 when it failed, was canceled, timed out or was deleted, and 1 when it was stopped: it then
prints the --after that goes on from there.`,
    options: { url: { type: 'string' }, after: { type: 'string' }, json: { type: 'boolean' } },
    takesWords: true,
    run: tail,
  },
  token: {
    about: `Changes the file of tokens that AUTH_TOKENS_FILE names; a server that runs hears of it within a second.

  add NAME [--scopes read,write]   make a token, and print it: it is stored nowhere, and cannot be shown again
  list                             the names of those that there are, with their scopes
  end NAME                         nobody is let in by it any more
  --file PATH                      of this file instead

Scopes are read (the default), write, delete, storage:read, pii:read, and admin for all of them.`,
    options: { scopes: { type: 'string' }, file: { type: 'string' } },
    takesWords: true,
    run: token,
  },
  demo: {
    about:
      'Serves a throw-away embedded store, filled with a run whose states reach 20 MB and more. Ctrl-C removes it.',
    run: demo,
  },
}

async function serve(env: NodeJS.ProcessEnv): Promise<number> {
  const config = readConfig(env)
  const log = createLogger({ level: config.logLevel })
  for (const name of unknownSettings(env)) log.warn({ name }, 'that is no setting: misspelt?')
  const stopping = listenForStop(log)
  const { runServe } = await import('./commands/serve.ts')
  await runServe({ config, log, stopping })
  return 0
}

async function applyMigrations(env: NodeJS.ProcessEnv, values: OptionValues): Promise<number> {
  const config = readConfig(env)
  if (config.databaseUrl === undefined) {
    throw new StartError('DATABASE_URL is not set: the embedded database migrates itself')
  }
  const { runMigrate } = await import('./commands/migrate.ts')
  const signal = stopSignal(createLogger({ level: config.logLevel }))
  await runMigrate({
    databaseUrl: config.databaseUrl,
    isDryRun: values['dry-run'] === true,
    output: process.stdout,
    signal,
  })
  return 0
}

type RunPass = (command: PassCommand) => Promise<number>

async function pass(env: NodeJS.ProcessEnv, args: OptionValues, load: () => Promise<RunPass>): Promise<number> {
  const config = readConfig(env)
  const signal = stopSignal(createLogger({ level: config.logLevel }))
  const run = await load()
  const { openDatabase, requireMigrated } = await import('./commands/open-database.ts')
  const database = await openDatabase(config)
  try {
    await requireMigrated(database.url)
    return await run({ config: { ...config, databaseUrl: database.url }, args, output: process.stdout, signal })
  } finally {
    await database.stop()
  }
}

async function diff(env: NodeJS.ProcessEnv, values: OptionValues, snapshotIds: readonly string[]): Promise<number> {
  const config = readConfig(env)
  const signal = stopSignal(createLogger({ level: config.logLevel }))
  const { runDiff } = await import('./commands/diff.ts')
  const { openDatabase, requireMigrated } = await import('./commands/open-database.ts')
  const database = await openDatabase(config)
  try {
    await requireMigrated(database.url)
    return await runDiff({
      config: { ...config, databaseUrl: database.url },
      snapshotIds,
      pointer: String(values['pointer'] ?? ''),
      asPatch: values['patch'] === true,
      isColoured: process.stdout.isTTY === true && values['no-color'] !== true && !env['NO_COLOR'],
      output: process.stdout,
      signal,
    })
  } finally {
    await database.stop()
  }
}

async function doctor(env: NodeJS.ProcessEnv): Promise<number> {
  const { runDoctor } = await import('./commands/doctor/doctor.ts')
  return await runDoctor({ env, print })
}

async function tail(env: NodeJS.ProcessEnv, values: OptionValues, words: readonly string[]): Promise<number> {
  const [runId, unexpected] = words
  if (unexpected !== undefined) throw new StartError(`Unexpected argument '${unexpected}'\nSee: statelens tail --help`)
  const { runTail } = await import('./commands/tail.ts')
  const signal = stopSignal(createLogger({ level: 'error' }))
  return await runTail({ env, args: { ...values, runId }, output: process.stdout, notes: process.stderr, signal })
}

async function token(env: NodeJS.ProcessEnv, values: OptionValues, words: readonly string[]): Promise<number> {
  const path = typeof values['file'] === 'string' ? values['file'] : env['AUTH_TOKENS_FILE']?.trim()
  if (!path) throw new StartError('AUTH_TOKENS_FILE is not set: it names the file of tokens, and so does --file')
  const scopes = typeof values['scopes'] === 'string' ? values['scopes'] : undefined
  const { runToken } = await import('./commands/token.ts')
  await runToken({ path, words, scopes, print })
  return 0
}

async function demo(env: NodeJS.ProcessEnv): Promise<number> {
  const log = createLogger({ level: readConfig({ LOG_LEVEL: env['LOG_LEVEL'] ?? 'error' }).logLevel })
  const stopping = listenForStop(log)
  const { runDemo } = await import('./commands/demo.ts')
  await runDemo({ env, log, print, stopping })
  return 0
}

/** Fires when the process is told to stop. */
function stopSignal(log: Logger): AbortSignal {
  const controller = new AbortController()
  listenForStop(log).then(() => controller.abort(new StartError('Stopped. Run it again, and it goes on from here.')))
  return controller.signal
}

/** Resolves when the process is told to stop, with the signal, or is in a state that nobody foresaw; a second signal ends it at once. */
async function listenForStop(log: Logger): Promise<string> {
  return await new Promise<string>((resolve) => {
    let told = false
    // The last one comes when the terminal is closed.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (told) process.exit(1)
        told = true
        resolve(signal)
      })
    }
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.once(event, (error: unknown) => {
        log.fatal({ err: error }, event)
        process.exitCode = 1
        setTimeout(() => process.exit(1), 5000).unref()
        resolve(event)
      })
    }
  })
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function main([name = '', ...args]: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (name === 'help' && args[0] !== undefined) return await main([args[0], '--help'], env)
  if (['', 'help', '--help', '-h'].includes(name)) {
    print(HELP)
    return 0
  }
  if (['version', '--version', '-v'].includes(name)) {
    print(await readVersion())
    return 0
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command) throw new StartError(`No such command.\n\n${HELP}`)
  try {
    const { values, words } = readOptions(name, args, command)
    const { help, ...options } = values
    if (help) print(`statelens ${name}\n\n${command.about}`)
    return help ? 0 : await command.run(env, options, words)
  } catch (error) {
    if (command.failureCode === undefined) throw error
    process.stderr.write(`${describeFailure(error)}\n`)
    return command.failureCode
  }
}

async function readVersion(): Promise<string> {
  // Beside `src` as beside `dist`.
  const { version }: { version: string } = JSON.parse(
    await readFile(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return version
}

/** What the environment has itself counts. @throws StartError when there is a file that cannot be read. */
function readEnvFile(): void {
  try {
    process.loadEnvFile()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ENOENT') throw new StartError(`.env cannot be read: ${code}`)
  }
}

interface Typed {
  readonly values: OptionValues
  readonly words: readonly string[]
}

function readOptions(name: string, args: readonly string[], { options = {}, takesWords = false }: Command): Typed {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: takesWords,
      options: { ...options, help: { type: 'boolean', short: 'h' } },
    })
    return { values: values as OptionValues, words: positionals }
  } catch (error) {
    throw new StartError(`${error instanceof Error ? error.message : error}\nSee: statelens ${name} --help`)
  }
}

/** What is still open when a command has ended may take so long to close. */
const EXIT_MILLIS = 500

// Whoever read the output may leave, as `head` does, or close its terminal: the command goes on to its end.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

try {
  readEnvFile()
  const code = await main(process.argv.slice(2), process.env)
  // Set already where something unforeseen ended the command.
  process.exitCode ||= code
} catch (error) {
  process.stderr.write(`${describeFailure(error)}\n`)
  process.exitCode = 1
}
// Connections that hang keep nobody waiting.
setTimeout(() => process.exit(), EXIT_MILLIS).unref()

/** Words for the terminal. A failure that nobody foresaw shows its message: there is no client here to hide it from. */
function describeFailure(error: unknown): string {
  if (error instanceof ConfigError || error instanceof StartError) return error.message
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    const port = 'port' in error ? ` ${error.port}` : ''
    return `PORT is taken by another process: set it to another one than${port}, or to 0 for any that is free.`
  }
  const why = isAppError(error) && error.code.startsWith('DATABASE_') ? explainDatabase(error) : null
  return why ?? (error instanceof Error ? error.message : String(error))
}
