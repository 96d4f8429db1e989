import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { access, rename, rm } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Config } from '../config.ts'
import { isAppError } from '../errors.ts'
import { exportRun } from '../transfer/export-run.ts'
import { openTransfer } from './open-transfer.ts'
import { StartError } from './start-error.ts'
import { createTransferReport, type Output } from './transfer-report.ts'

export interface ExportCommand {
  /** With `databaseUrl`, whether it was configured or embedded. */
  readonly config: Config & { readonly databaseUrl: string }
  readonly runId: string
  /** Where the file goes; standard output when left out. */
  readonly path?: string | undefined
  readonly output: Writable & { readonly isTTY?: boolean }
  /** Of what is told beside it. */
  readonly notes: Output
  readonly signal: AbortSignal
}

/**
 * The command `export`: a run with all its states as one file.
 * @returns the exit code. 0: all of it. 2: the file is whole, but without states that nobody can read.
 * @throws StartError where there is no such run, or the file is there already; what reading throws: there is no file then.
 */
export async function runExport(command: ExportCommand): Promise<number> {
  const { config, runId, path, output, notes, signal } = command
  if (path === undefined && output.isTTY)
    throw new StartError('That is no text: name a file by --output, or use a pipe')
  if (path !== undefined) await requireFree(path)
  const transfer = openTransfer(config)
  const report = createTransferReport(notes)
  const chunks = exportRun({
    ...transfer,
    runId,
    signal,
    onSnapshot: ({ snapshot, sizeBytes, code }) => {
      const outcome = code === undefined ? 'taken' : 'not in the file'
      report.add({ outcome, name: snapshot.snapshotId, runId, sizeBytes, ...(code === undefined ? {} : { code }) })
    },
  })
  try {
    if (path === undefined) await writeAll(chunks, output)
    else await writeFile(chunks, path)
    report.end('written')
    return report.has('not in the file') ? 2 : 0
  } catch (error) {
    if (isAppError(error, 'NOT_FOUND')) throw new StartError(`There is no run ${JSON.stringify(runId)}`)
    throw error
  } finally {
    await transfer.close()
  }
}

async function requireFree(path: string): Promise<void> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  )
  if (isThere) throw new StartError('The file of --output is there already: name another one')
}

/** Under its name there is a whole file or none. */
async function writeFile(chunks: AsyncIterable<Buffer>, path: string): Promise<void> {
  const part = `${path}.part`
  // For its owner alone: states may hold what nobody else should read.
  const file = createWriteStream(part, { mode: 0o600, flush: true })
  try {
    await writeAll(chunks, file)
    file.end()
    await finished(file)
    await rename(part, path)
  } catch (error) {
    file.destroy()
    await rm(part, { force: true })
    throw error
  }
}

async function writeAll(chunks: AsyncIterable<Buffer>, output: Writable): Promise<void> {
  for await (const chunk of chunks) {
    if (!output.write(chunk) && !output.destroyed) await once(output, 'drain')
    if (output.destroyed) throw new StartError('Whoever reads the file has left')
  }
}
