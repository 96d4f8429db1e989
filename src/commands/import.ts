import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Config } from '../config.ts'
import { isAppError } from '../errors.ts'
import { DamagedFileError } from '../transfer/damaged.ts'
import { importFolder } from '../transfer/import-folder.ts'
import { importLines } from '../transfer/import-lines.ts'
import { importRun } from '../transfer/import-run.ts'
import { importLanggraph } from '../transfer/langgraph/import-langgraph.ts'
import { openTransfer } from './open-transfer.ts'
import { StartError } from './start-error.ts'
import { createTransferReport, type Output } from './transfer-report.ts'

export interface ImportCommand {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  /** A file, a folder, or `-` for standard input; none with a database of LangGraph. */
  readonly words: readonly string[]
  /** `run`, `step`, `langgraph`, `schema` and `dry-run`, as they were typed. */
  readonly args: Readonly<Record<string, string | boolean | undefined>>
  readonly input: Readable
  readonly output: Output
  readonly signal: AbortSignal
}

const AGAIN = 'Run it again, and it goes on from here.'
const BRING_ANOTHER = 'Bring one that is whole: what was taken of this one is passed over then.'

/**
 * The command `import`: brings runs and states here from elsewhere.
 * @returns the exit code. 0: all of it is here. 2: some could not be taken. 1: it was stopped; running it again goes on from there.
 * @throws StartError when an argument is wrong.
 */
export async function runImport(command: ImportCommand): Promise<number> {
  const { config, output, signal, args } = command
  const isDryRun = args['dry-run'] === true
  const names = namesOf(args)
  const take = await sourceOf(command)
  const transfer = openTransfer(config)
  const report = createTransferReport(output)
  const { db, reader, writer } = transfer
  try {
    await take({ db, reader, writer, isDryRun, signal, onTaken: report.add, ...names })
    report.end(isDryRun ? 'would be taken' : 'taken')
    return report.has('refused') || report.has('not in the file') ? 2 : 0
  } catch (error) {
    report.end(isDryRun ? 'would be taken' : 'taken')
    const why = signal.aborted ? 'Stopped.' : `Stopped: ${describe(error)}.`
    const isDamaged = error instanceof DamagedFileError
    output.write(`${why} ${isDamaged && !signal.aborted ? BRING_ANOTHER : AGAIN}\n`)
    return 1
  } finally {
    await transfer.close()
  }
}

type Options = Parameters<typeof importRun>[1] & { readonly stepId?: string | undefined }
type Take = (options: Options) => Promise<void>

async function sourceOf({ words, args, input }: ImportCommand): Promise<Take> {
  const [path, ...others] = words
  const { langgraph, schema = 'public' } = args
  if (others.length > 0 || (langgraph !== undefined) === (path !== undefined)) {
    throw new StartError('Name one file, one folder, or a database by --langgraph\nSee: statelens import --help')
  }
  if (typeof langgraph === 'string') {
    return (options) => importLanggraph({ ...options, url: langgraph, schema: String(schema) })
  }
  if (path === undefined || path === '-') return (options) => importRun(input, options)
  const found = await stat(path).catch(() => null)
  if (!found) throw new StartError('There is no such file')
  if (found.isDirectory()) return (options) => importFolder({ ...options, path })
  const head = await headOf(path)
  if (head.subarray(0, 2).equals(GZIP)) {
    throw new StartError('The file is packed: gunzip -c FILE | statelens import -')
  }
  if (head.toString('latin1', 257, 262) === 'ustar') {
    return (options) => importRun(createReadStream(path), options)
  }
  // A file that has lost its head is no JSON either, and says so.
  return (options) => importLines({ ...options, path })
}

const GZIP = Buffer.from([0x1f, 0x8b])

async function headOf(path: string): Promise<Buffer> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0)
  return buffer.subarray(0, bytesRead)
}

function namesOf({ run, step }: ImportCommand['args']) {
  if (run === '' || step === '') throw new StartError('--run and --step take an id')
  return { runId: run === undefined ? undefined : String(run), stepId: step === undefined ? undefined : String(step) }
}

function describe(error: unknown): string {
  if (isAppError(error)) return `${error.message} (${error.code})`
  return error instanceof Error ? error.message : String(error)
}
