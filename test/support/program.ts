import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type OutputAsset, type OutputChunk, type Plugin, rolldown } from 'rolldown'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TARGET = join(ROOT, 'node_modules/.cache/program')
/** What tests reach into, from a module that is loaded before the program. */
const SHARED_WITH_TESTS = ['pg', /^@opentelemetry\//]

/**
 * Puts `src/main.ts` and its packages into few files: a process starts with them in half the time that two thousand modules take.
 * @returns the script.
 */
export async function buildProgram(): Promise<string> {
  await using bundle = await rolldown({
    input: join(ROOT, 'src/main.ts'),
    cwd: ROOT,
    platform: 'node',
    external: SHARED_WITH_TESTS,
    plugins: [urlsOfSources],
    logLevel: 'silent',
  })
  const { output } = await bundle.generate({ format: 'esm' })
  await mkdir(TARGET, { recursive: true })
  // Another run of the tests may have begun to use what is the same.
  await Promise.all(output.map(put))
  const names = new Set(output.map(({ fileName }) => fileName))
  for (const name of await readdir(TARGET)) if (!names.has(name)) await rm(join(TARGET, name), { force: true })
  return join(TARGET, 'main.js')
}

/** Modules find what lies beside them where it is. */
const urlsOfSources: Plugin = {
  name: 'urls of sources',
  transform: (code, id) => code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)),
}

async function put(file: OutputChunk | OutputAsset): Promise<void> {
  const bytes = Buffer.from(file.type === 'chunk' ? file.code : file.source)
  const path = join(TARGET, file.fileName)
  const old = await readFile(path).catch(() => undefined)
  if (old?.equals(bytes)) return
  const temporary = `${path}.${process.pid}`
  await writeFile(temporary, bytes)
  await rename(temporary, path)
}
