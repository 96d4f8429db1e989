import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type Command, type OptionValues, print } from './commands/command.ts'
import { COMMANDS, HELP } from './commands/commands.ts'
import { describeFailure } from './commands/describe-failure.ts'
import { StartError } from './commands/start-error.ts'

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
