import { constants } from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { hasErrno } from './errors.ts'
import type { FileSystem } from './file-system.ts'
import { checkBelow } from './paths.ts'

/** Beside the objects of a folder, what is on its way to become one: it holds few files, however many objects there are. */
const PARTIALS = '.partials'
/** The folder of one snapshot alone, as keys had it once. */
const SNAPSHOT_FOLDER = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function partialsFolder(path: string): string {
  return join(dirname(path), PARTIALS)
}

/** Makes the folder and those between it and the root, none of them where a link leads out of the root. */
export async function ensureFolder(
  fs: FileSystem,
  { root, folder }: { readonly root: string; readonly folder: string },
) {
  try {
    return await checkBelow(root, folder)
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error
  }
  if (folder === root) return await makeFolder(fs, root)
  await ensureFolder(fs, { root, folder: dirname(folder) })
  await makeFolder(fs, folder)
}

/**
 * Makes a folder and those above it, each for the owner alone and durable. Not by `mkdir({ recursive: true })`, which never
 * returns where the parent is there and refuses with ENOENT, as `/proc` does.
 */
export async function makeFolder(fs: FileSystem, path: string): Promise<void> {
  try {
    await mkdir(path, 0o700)
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return
    if (!hasErrno(error, 'ENOENT')) throw error
    await makeFolder(fs, dirname(path))
    await mkdir(path, 0o700).catch(ignoreExisting)
  }
  await syncFolder(fs, dirname(path))
}

/** An empty folder that is left is no reason for a delete to fail. */
export async function removeSnapshotFolder(folder: string): Promise<void> {
  if (!SNAPSHOT_FOLDER.test(basename(folder))) return
  for (const path of [join(folder, PARTIALS), folder]) await rmdir(path).catch(() => {})
}

/** What was made or removed in a folder is durable once the folder is; some file systems know no such thing. */
export async function syncFolder({ open }: FileSystem, path: string): Promise<void> {
  await using handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  await handle.sync().catch((error: unknown) => {
    if (!hasErrno(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EPERM')) throw error
  })
}

function ignoreExisting(error: unknown): void {
  if (!hasErrno(error, 'EEXIST')) throw error
}
