import { access, constants, mkdir, readdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Host } from './host.ts'

const UNPACK = fileURLToPath(new URL('unpack-debian.sh', import.meta.url))

/** The absolute path of a command on the PATH; null when there is none. */
export async function findBinary(name: string): Promise<string | null> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name)
    if (await isExecutable(path)) return path
  }
  return null
}

export interface DebianPackages {
  /** Of the folder in the cache. */
  readonly name: string
  readonly packages: readonly string[]
}

/**
 * Packages of this machine's Debian release with what they need beside what is installed, unpacked into the user's cache
 * folder; nothing is installed. Found there the next time. Null on another system, or when the download failed.
 */
export async function unpackDebian(host: Host, { name, packages }: DebianPackages): Promise<string | null> {
  const release = await debianRelease()
  if (release === null) return null
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'statelens-test')
  const root = join(cache, `${name}-${release}-${process.arch}`)
  if (
    await mkdir(cache, { recursive: true }).then(
      () => false,
      () => true,
    )
  )
    return null
  // The lock belongs to the open file, so that it ends with whoever holds it.
  const unpack = await host.launch('flock', {
    args: [`${root}.lock`, 'sh', UNPACK, root, release, ...packages],
    env: process.env,
  })
  await unpack.ended
  if (await isExecutable(root)) return root
  process.stderr.write(`Cannot unpack ${packages.join(' ')}:\n${(await unpack.log()).slice(-2000)}\n`)
  return null
}

/** What the programs in an unpacked folder need to find their libraries. */
export async function unpackedEnvironment(root: string): Promise<NodeJS.ProcessEnv> {
  const libraries = await unpackedLibraries(root)
  return {
    ...process.env,
    PATH: `${root}/usr/bin${delimiter}${process.env['PATH']}`,
    LD_LIBRARY_PATH: `${libraries}:${libraries}/ceph:${libraries.replace('/usr/lib/', '/lib/')}`,
    PYTHONPATH: `${root}/usr/lib/python3/dist-packages`,
  }
}

/** `usr/lib/x86_64-linux-gnu`, or what this architecture calls it. */
export async function unpackedLibraries(root: string): Promise<string> {
  const names = await readdir(join(root, 'usr', 'lib'))
  return join(root, 'usr', 'lib', names.find((name) => name.endsWith('-linux-gnu')) ?? '')
}

export function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** The code name of the release, such as `bookworm`; null on anything but Debian. */
async function debianRelease(): Promise<string | null> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  if (!/^ID=debian$/m.test(text)) return null
  return /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] ?? null
}
