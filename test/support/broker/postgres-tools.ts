import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { PostgresTools, Unavailable } from '../services.ts'
import { isExecutable, unpackDebian, unpackedLibraries } from './binaries.ts'
import type { Host } from './host.ts'

const NEEDED = ['initdb', 'postgres', 'pg_dump', 'pg_restore']
const INSTALLED = '/usr/lib/postgresql'

/** One installation that has server and tools: those of npm come without tools, and older tools do not dump a newer server. */
export async function findPostgresTools(host: Host): Promise<PostgresTools | Unavailable> {
  const given = process.env['TEST_POSTGRES_BIN']
  const installed = given ?? (await newestBelow(INSTALLED))
  if (installed) return { folder: installed, libraries: '' }
  const root = await unpackDebian(host, { name: 'postgresql', packages: ['postgresql', 'postgresql-client'] })
  const folder = root === null ? null : await newestBelow(join(root, INSTALLED))
  if (root !== null && folder !== null) return { folder, libraries: await unpackedLibraries(root) }
  return {
    unavailable:
      'pg_dump is missing: set TEST_POSTGRES_BIN to the folder of a PostgreSQL that has initdb, postgres and pg_dump',
  }
}

async function newestBelow(parent: string): Promise<string | null> {
  const versions = (await readdir(parent).catch(() => [])).toSorted((a, b) => Number(b) - Number(a))
  for (const version of versions) {
    const folder = join(parent, version, 'bin')
    const found = await Promise.all(NEEDED.map((name) => isExecutable(join(folder, name))))
    if (found.every(Boolean)) return folder
  }
  return null
}
