import { type Config, readConfig, unknownSettings } from '../config.ts'
import { createLogger } from '../log.ts'
import { type OptionValues, print } from './command.ts'
import type { PassCommand } from './pass.ts'
import { StartError } from './start-error.ts'
import { listenForStop, stopSignal } from './stopping.ts'

export async function serve(env: NodeJS.ProcessEnv): Promise<number> {
  const config = readConfig(env)
  if (config.workers > 1) return await (await import('./workers/serve.ts')).serveByWorkers(config, unknownSettings(env))
  const log = createLogger({ level: config.logLevel })
  for (const name of unknownSettings(env)) log.warn({ name }, 'that is no setting: misspelt?')
  const stopping = listenForStop(log)
  const { runServe } = await import('./serve.ts')
  await runServe({ config, log, stopping })
  return 0
}

export async function applyMigrations(env: NodeJS.ProcessEnv, values: OptionValues): Promise<number> {
  const config = readConfig(env)
  if (config.databaseUrl === undefined) {
    throw new StartError('DATABASE_URL is not set: the embedded database migrates itself')
  }
  const { runMigrate } = await import('./migrate.ts')
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

export async function pass(env: NodeJS.ProcessEnv, args: OptionValues, load: () => Promise<RunPass>): Promise<number> {
  const config = readConfig(env)
  const signal = stopSignal(createLogger({ level: config.logLevel }))
  const run = await load()
  return await onDatabase(config, (config) => run({ config, args, output: process.stdout, signal }))
}

/** With the database that the settings name, made ready where it is embedded. */
async function onDatabase(
  config: Config,
  run: (config: Config & { readonly databaseUrl: string }) => Promise<number>,
): Promise<number> {
  const { openDatabase, requireMigrated } = await import('./open-database.ts')
  const database = await openDatabase(config)
  try {
    await requireMigrated(database.url)
    return await run({ ...config, databaseUrl: database.url })
  } finally {
    await database.stop()
  }
}

export async function audit(env: NodeJS.ProcessEnv, args: OptionValues): Promise<number> {
  return await pass(env, args, async () => (await import('./audit.ts')).runAudit)
}

export async function gc(env: NodeJS.ProcessEnv, values: OptionValues): Promise<number> {
  const config = readConfig(env)
  const output = { write: (line: string) => void process.stderr.write(line) }
  const log = createLogger({ level: config.logLevel, output })
  const signal = stopSignal(log)
  const { runGc } = await import('./gc.ts')
  return await onDatabase(config, (config) =>
    runGc({
      config,
      isDryRun: values['dry-run'] === true,
      isForced: values['force'] === true,
      output: process.stdout,
      log,
      signal,
    }),
  )
}

export async function exportRun(
  env: NodeJS.ProcessEnv,
  values: OptionValues,
  words: readonly string[],
): Promise<number> {
  const [runId, unexpected] = words
  if (!runId || unexpected !== undefined) throw new StartError('Name one run\nSee: statelens export --help')
  const settings = readConfig(env)
  const signal = stopSignal(createLogger({ level: settings.logLevel }))
  const { runExport } = await import('./export.ts')
  const path = typeof values['output'] === 'string' ? values['output'] : undefined
  return await onDatabase(settings, (config) =>
    runExport({ config, runId, path, output: process.stdout, notes: process.stderr, signal }),
  )
}

export async function importStates(
  env: NodeJS.ProcessEnv,
  args: OptionValues,
  words: readonly string[],
): Promise<number> {
  const settings = readConfig(env)
  const signal = stopSignal(createLogger({ level: settings.logLevel }))
  const { runImport } = await import('./import.ts')
  return await onDatabase(settings, (config) =>
    runImport({ config, words, args, input: process.stdin, output: process.stdout, signal }),
  )
}

export async function diff(
  env: NodeJS.ProcessEnv,
  values: OptionValues,
  snapshotIds: readonly string[],
): Promise<number> {
  const config = readConfig(env)
  const signal = stopSignal(createLogger({ level: config.logLevel }))
  const { runDiff } = await import('./diff.ts')
  return await onDatabase(config, (config) =>
    runDiff({
      config,
      snapshotIds,
      pointer: String(values['pointer'] ?? ''),
      asPatch: values['patch'] === true,
      isColoured: process.stdout.isTTY === true && values['no-color'] !== true && !env['NO_COLOR'],
      output: process.stdout,
      signal,
    }),
  )
}

export async function doctor(env: NodeJS.ProcessEnv): Promise<number> {
  const { runDoctor } = await import('./doctor/doctor.ts')
  return await runDoctor({ env, print })
}

export async function tail(env: NodeJS.ProcessEnv, values: OptionValues, words: readonly string[]): Promise<number> {
  const [runId, unexpected] = words
  if (unexpected !== undefined) throw new StartError(`Unexpected argument '${unexpected}'\nSee: statelens tail --help`)
  const { runTail } = await import('./tail.ts')
  const signal = stopSignal(createLogger({ level: 'error' }))
  return await runTail({ env, args: { ...values, runId }, output: process.stdout, notes: process.stderr, signal })
}

export async function token(env: NodeJS.ProcessEnv, values: OptionValues, words: readonly string[]): Promise<number> {
  const path = typeof values['file'] === 'string' ? values['file'] : env['AUTH_TOKENS_FILE']?.trim()
  if (!path) throw new StartError('AUTH_TOKENS_FILE is not set: it names the file of tokens, and so does --file')
  const scopes = typeof values['scopes'] === 'string' ? values['scopes'] : undefined
  const { runToken } = await import('./token.ts')
  await runToken({ path, words, scopes, print })
  return 0
}

export async function demo(env: NodeJS.ProcessEnv): Promise<number> {
  const log = createLogger({ level: readConfig({ LOG_LEVEL: env['LOG_LEVEL'] ?? 'error' }).logLevel })
  const stopping = listenForStop(log)
  const { runDemo } = await import('./demo.ts')
  await runDemo({ env, log, print, stopping })
  return 0
}
