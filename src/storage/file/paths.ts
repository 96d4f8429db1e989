import { type FileHandle, readlink, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { AppError } from '../../errors.ts'
import type { StorageUri } from '../backend.ts'

/** Where the file of a URI lies. @throws AppError `STORAGE_URI_REJECTED` for a key that was never parsed. */
export function pathOf(root: string, uri: StorageUri): string {
  const path = join(root, uri.key)
  if (!isBelow(root, path)) throw notAnObject()
  return path
}

/** What stands for an open file: on Linux a name that nobody can swap. */
export function openedPath(handle: FileHandle, path: string): string {
  return process.platform === 'linux' ? `/proc/self/fd/${handle.fd}` : path
}

/** On Linux asks for the path of what is open, not of what lies there now: a link swapped in meanwhile changes nothing. */
export async function checkOpened(root: string, handle: FileHandle, path: string): Promise<void> {
  const opened = process.platform === 'linux' ? readlink(openedPath(handle, path)) : realpath(path)
  const [realRoot, realFile] = await Promise.all([realpath(root), opened])
  if (!isBelow(realRoot, realFile)) throw notAnObject()
}

/** @throws AppError `STORAGE_URI_REJECTED` when a link leads the folder out of the root, and what `realpath` throws. */
export async function checkBelow(root: string, folder: string): Promise<void> {
  const [realRoot, realFolder] = await Promise.all([realpath(root), realpath(folder)])
  if (realFolder !== realRoot && !isBelow(realRoot, realFolder)) throw notAnObject()
}

export function notAnObject(): AppError {
  return new AppError('STORAGE_URI_REJECTED', 'The storage URI does not lead to a plain file below the root')
}

function isBelow(root: string, path: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : root + sep)
}
