import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { type TakeOptions, takeState } from './take-state.ts'

export interface FolderOptions extends TakeOptions {
  readonly path: string
  /** Called as the folder when left out. */
  readonly runId?: string | undefined
  /** Of the run alone when left out. */
  readonly stepId?: string | undefined
}

/** Takes each file `*.json` of a folder as a state of one run, in the order of their names; one that was taken before is not taken again. */
export async function importFolder(options: FolderOptions): Promise<void> {
  const { path, runId = basename(resolve(path)), stepId = null } = options
  const entries = await readdir(path, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.json')).map(({ name }) => name)
  // By code units: the same everywhere.
  for (const name of names.toSorted((one, other) => (one < other ? -1 : 1))) {
    const file = join(path, name)
    const { size } = await stat(file)
    const input = { runId, stepId, idempotencyKey: `import ${name}` }
    await takeState({ input, sizeBytes: size, open: () => createReadStream(file), name }, options)
  }
}
