import type { Program, Unavailable } from '../services.ts'
import { findBinary, unpackDebian } from './binaries.ts'
import type { Host } from './host.ts'

/** The server; `promtool` lies beside it. Nothing is started here. */
export async function findPrometheus(host: Host): Promise<Program | Unavailable> {
  const installed = process.env['TEST_PROMETHEUS'] ?? (await findBinary('prometheus'))
  if (installed) return { path: installed, libraries: '' }
  const root = await unpackDebian(host, { name: 'prometheus', packages: ['prometheus'] })
  // It needs no libraries.
  if (root !== null) return { path: `${root}/usr/bin/prometheus`, libraries: '' }
  return {
    unavailable: 'Prometheus is missing: put prometheus and promtool on the PATH, or set TEST_PROMETHEUS to its path',
  }
}
