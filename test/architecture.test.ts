import assert from 'node:assert/strict'
import { glob, readFile } from 'node:fs/promises'
import { dirname, join, normalize, sep } from 'node:path'
import { it } from 'node:test'

/** Room -> rooms that it may import. Every room may import itself, `errors.ts` and `abort.ts`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  json: [],
  telemetry: [],
  metrics: ['telemetry'],
  tracing: ['telemetry'],
  auth: ['model'],
  cache: ['breaker.ts', 'model', 'telemetry'],
  client: [],
  // It records with the client, as anybody does.
  langgraph: ['client'],
  // A client of the API in a browser: it knows nothing but what is generated of the schema.
  explorer: [],
  commands: [
    'access.ts',
    'app.ts',
    'stores.ts',
    'config.ts',
    'log.ts',
    'client',
    'model',
    'auth',
    'db',
    'storage',
    'cache',
    'snapshots',
    'server',
    'metrics',
    'transfer',
  ],
  library: ['app.ts', 'config.ts', 'log.ts', 'model', 'auth', 'db', 'snapshots', 'server', 'client', 'commands'],
  db: ['turns.ts', 'model', 'telemetry'],
  storage: ['breaker.ts', 'turns.ts', 'model', 'telemetry'],
  snapshots: ['model', 'json', 'telemetry', 'db', 'storage', 'cache', 'auth'],
  events: ['model', 'db'],
  // Ways in for what people already run: they know the writer alone.
  otlp: ['model', 'json', 'snapshots'],
  graphql: ['model', 'json', 'telemetry', 'auth', 'snapshots', 'events'],
  server: ['failure-log.ts', 'log.ts', 'model', 'telemetry', 'auth', 'snapshots', 'graphql', 'otlp'],
  // Runs on their way out and in again, and what comes from elsewhere.
  transfer: ['model', 'json', 'auth', 'db', 'snapshots', 'langgraph'],
}

/** Files that stand above all rooms; only `main.ts` and its commands may import the wiring. */
const TOP: Readonly<Record<string, readonly string[]>> = {
  'abort.ts': [],
  'access-settings.ts': ['setting-reader.ts'],
  'access.ts': ['access-settings.ts', 'changing-file.ts', 'config.ts', 'log.ts'],
  'app.ts': [
    'access.ts',
    'app-routes.ts',
    'app-services.ts',
    'app-telemetry.ts',
    'config.ts',
    'failure-log.ts',
    'log.ts',
  ],
  'app-routes.ts': ['app.ts', 'app-services.ts'],
  'app-services.ts': ['access.ts', 'app.ts', 'app-telemetry.ts', 'config.ts', 'failure-log.ts', 'log.ts', 'stores.ts'],
  'app-telemetry.ts': ['app.ts', 'app-services.ts', 'stores.ts'],
  'breaker.ts': [],
  'changing-file.ts': [],
  'config.ts': ['access-settings.ts', 'scale-settings.ts', 'setting-reader.ts'],
  'database-url.ts': [],
  'errors.ts': [],
  'failure-log.ts': ['log.ts'],
  'log.ts': [],
  'scale-settings.ts': ['database-url.ts', 'setting-reader.ts'],
  'setting-reader.ts': [],
  'stores.ts': ['config.ts', 'log.ts'],
  'turns.ts': [],
  'main.ts': ['config.ts'],
}

/** Relative imports of any form: from, bare, type-only and dynamic. */
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\1/g

export function wrongImports(file: string, source: string): string[] {
  const path = normalize(file).split(sep)
  const from = path[1] ?? ''
  return [...source.matchAll(IMPORT)]
    .map(([, , specifier = '']) => normalize(join(dirname(file), specifier)).split(sep))
    .filter(([root, target = '', ...rest]) => {
      if (root !== 'src') return true
      if (target === 'errors.ts' || target === 'abort.ts' || (target === from && path.length > 2)) return false
      if (path.length > 2) return !MAY_IMPORT[from]?.includes(target)
      return rest.length > 0
        ? from === 'config.ts' || from === 'errors.ts' || from === 'abort.ts'
        : !TOP[from]?.includes(target)
    })
    .map((target) => `${file} -> ${target.join('/')}`)
}

it('imports point one way only', async () => {
  const wrong: string[] = []
  let files = 0
  for await (const file of glob('src/**/*.{ts,tsx}')) {
    files++
    wrong.push(...wrongImports(file, await readFile(file, 'utf8')))
  }
  assert.deepEqual(wrong, [])
  assert.ok(files > 30, 'the sources were found')
})

it('sees a wrong arrow in every form of import', () => {
  for (const line of [
    "import { a } from '../snapshots/reader.ts'",
    "import type { A } from '../snapshots/reader.ts'",
    "import '../snapshots/reader.ts'",
    "const a = await import('../snapshots/reader.ts')",
    "export { a } from '../snapshots/reader.ts'",
    "import {\n  a,\n} from '../snapshots/reader.ts'",
    "import { config } from '../config.ts'",
  ]) {
    assert.equal(wrongImports('src/db/runs.ts', line).length, 1, line)
  }
  assert.deepEqual(wrongImports('src/db/runs.ts', "import { a } from '../model/run.ts'"), [])
  assert.equal(wrongImports('src/config.ts', "import { a } from './db/connect.ts'").length, 1)
})

it('one room alone knows who collects metrics, and one who collects traces', async () => {
  const users = { metrics: new Set<string>(), tracing: new Set<string>() }
  for await (const file of glob('src/**/*.ts')) {
    const source = await readFile(file, 'utf8')
    if (/['"]prom-client/.test(source)) users.metrics.add(dirname(file))
    if (/['"]@opentelemetry\//.test(source)) users.tracing.add(dirname(file))
  }
  assert.deepEqual([[...users.metrics], [...users.tracing]], [[join('src', 'metrics')], [join('src', 'tracing')]])
})

it('only the process edge reads the environment', async () => {
  const readers: string[] = []
  for await (const file of glob('src/**/*.ts')) {
    const source = await readFile(file, 'utf8')
    if (/\bprocess\.env\b/.test(source)) readers.push(normalize(file))
  }
  // The embedded PostgreSQL is a child process, and needs a PATH.
  assert.deepEqual(readers.sort(), ['src/db/embedded/cluster.ts', 'src/main.ts'])
})
