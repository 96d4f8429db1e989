import { join } from 'node:path'
import { findBinary, unpackDebian, unpackedEnvironment } from '../support/broker/binaries.ts'
import type { Host } from '../support/broker/host.ts'

/** Where each is found, and what makes it tell its version. */
const PROGRAMS = {
  pgbouncer: { folder: 'pgbouncer', path: 'usr/sbin/pgbouncer', args: ['--version'] },
  valkey: { folder: 'valkey', path: 'usr/bin/valkey-server', args: ['--version'] },
  radosgw: { folder: 'ceph', path: 'usr/bin/radosgw', args: ['--version'] },
  swift: { folder: 'swift', path: '', args: ['-c', 'import swift; print(swift.__version__)'] },
} as const

/** The version of what the tests start: that on the PATH, or that of the unpacked Debian packages. */
export async function versionOf(host: Host, name: keyof typeof PROGRAMS): Promise<string> {
  const { folder, path, args } = PROGRAMS[name]
  const installed = path === '' ? null : await findBinary(path.slice(path.lastIndexOf('/') + 1))
  const packages =
    folder === 'valkey' ? ['valkey-server'] : folder === 'swift' ? SWIFT : folder === 'ceph' ? CEPH : [folder]
  const root = installed === null ? await unpackDebian(host, { name: folder, packages }) : null
  const command = installed ?? (path === '' ? '/usr/bin/python3' : join(root ?? '', path))
  const env = root === null ? process.env : await unpackedEnvironment(root)
  const told = await host.run(command, { args, env })
  return /\d+(?:\.\d+)+/.exec(told)?.[0] ?? 'unknown'
}

const CEPH = ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common']
const SWIFT = ['memcached', 'swift-proxy', 'swift-account', 'swift-container', 'swift-object']
