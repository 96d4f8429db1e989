import { parseArgs } from 'node:util'
import { type Config, ConfigError, readConfig } from './config.ts'
import { createLogger, type Logger } from './log.ts'

const HELP = `statelens <command>

  serve     answer GraphQL; with no settings at all on an embedded database in .statelens
  migrate   bring the database of DATABASE_URL to this version's tables
  demo      serve a throw-away store filled with a believable run

Settings are environment variables: see the README, or .env.example.`

/** What a command is made of is loaded when it runs: help and a wrong setting are told at once. */
const COMMANDS: Readonly<Record<string, { readonly about: string; run(env: NodeJS.ProcessEnv): Promise<void> }>> = {
  serve: {
    about: 'Answers GraphQL at /graphql until SIGTERM or SIGINT. A database of DATABASE_URL must have been migrated.',
    run: serve,
  },
  migrate: {
    about:
      'Applies the migrations that the database still lacks. Several at once are safe; a second run changes nothing.',
    run: applyMigrations,
  },
  demo: {
    about:
      'Serves a throw-away embedded store, filled with a run whose states reach 20 MB and more. Ctrl-C removes it.',
    run: demo,
  },
}

async function serve(env: NodeJS.ProcessEnv): Promise<void> {
  const config = readConfig(env)
  const log = createLogger({ level: config.logLevel })
  const stopping = listenForStop(log)
  const { startApp } = await import('./app.ts')
  const { databaseUrl, stop } = await openDatabase(config)
  try {
    const app = await startApp({ config: { ...config, databaseUrl }, log })
    log.info({ url: `${app.publicUrl}/graphql` }, 'listening')
    await stopping
    await app.close()
  } finally {
    await stop()
  }
}

/** The configured database must be ready for this version; an embedded one is made ready. */
async function openDatabase(config: Config): Promise<{ databaseUrl: string; stop(): Promise<void> }> {
  const { migrate, pendingMigrations } = await import('./db/migrate.ts')
  if (config.databaseUrl !== undefined) {
    const pending = await pendingMigrations(config.databaseUrl)
    if (pending.length > 0) {
      throw new StartError(
        `The database lacks ${pending.join(', ')}. Run "statelens migrate" with the same DATABASE_URL.`,
      )
    }
    return { databaseUrl: config.databaseUrl, stop: async () => {} }
  }
  const { startEmbeddedPostgres } = await import('./db/embedded.ts')
  const embedded = await startEmbeddedPostgres({ dataDir: config.dataDir })
  await migrate(embedded.url).catch(async (error: unknown) => {
    await embedded.stop()
    throw error
  })
  return { databaseUrl: embedded.url, stop: () => embedded.stop() }
}

async function applyMigrations(env: NodeJS.ProcessEnv): Promise<void> {
  const { databaseUrl } = readConfig(env)
  if (databaseUrl === undefined) throw new StartError('DATABASE_URL is not set: the embedded database migrates itself')
  const { migrate } = await import('./db/migrate.ts')
  const { applied } = await migrate(databaseUrl)
  print(applied.length === 0 ? 'Nothing to do: the database is up to date.' : `Applied ${applied.join(', ')}.`)
}

async function demo(env: NodeJS.ProcessEnv): Promise<void> {
  const log = createLogger({ level: readConfig({ LOG_LEVEL: env['LOG_LEVEL'] ?? 'error' }).logLevel })
  const stopping = listenForStop(log)
  const { runDemo } = await import('./demo.ts')
  await runDemo({ env, log, print, stopping })
}

/** A reason not to start, in words for whoever starts it. */
class StartError extends Error {
  override readonly name = 'StartError'
}

/** Resolves when the process is told to stop, or is in a state that nobody foresaw; a second signal ends it at once. */
async function listenForStop(log: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    let told = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (told) process.exit(1)
        told = true
        resolve()
      })
    }
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.once(event, (error: unknown) => {
        log.fatal({ err: error }, event)
        process.exitCode = 1
        setTimeout(() => process.exit(1), 5000).unref()
        resolve()
      })
    }
  })
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  })
  const [name = ''] = positionals
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (positionals.length > 1 || (name !== '' && !command)) throw new StartError(`No such command.\n\n${HELP}`)
  if (!command) return print(HELP)
  if (values.help) return print(`statelens ${name}\n\n${command.about}`)
  await command.run(env)
}

try {
  await main(process.argv.slice(2), process.env)
} catch (error) {
  process.stderr.write(`${describeFailure(error)}\n`)
  process.exitCode = 1
}

/** Words for the terminal. A failure that nobody foresaw shows its message: there is no client here to hide it from. */
function describeFailure(error: unknown): string {
  if (error instanceof ConfigError || error instanceof StartError) return error.message
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')
    return 'PORT is taken by another process.'
  return error instanceof Error ? error.message : String(error)
}
