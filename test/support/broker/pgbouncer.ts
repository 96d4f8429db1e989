import type { Program, Unavailable } from '../services.ts'
import { findBinary, unpackDebian, unpackedLibraries } from './binaries.ts'
import type { Host } from './host.ts'

/** The program; nothing is started here. */
export async function findPgbouncer(host: Host): Promise<Program | Unavailable> {
  const installed = process.env['TEST_PGBOUNCER'] ?? (await findBinary('pgbouncer'))
  if (installed) return { path: installed, libraries: '' }
  const root = await unpackDebian(host, { name: 'pgbouncer', packages: ['pgbouncer'] })
  if (root !== null) return { path: `${root}/usr/sbin/pgbouncer`, libraries: await unpackedLibraries(root) }
  return { unavailable: 'PgBouncer is missing: put pgbouncer on the PATH, or set TEST_PGBOUNCER to its path' }
}
