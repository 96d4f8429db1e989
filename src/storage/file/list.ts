import type { Dirent } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { ListedObject, StorageBackend } from '../backend.ts'
import { folderError, hasErrno } from './errors.ts'

const PAGE = 200

/** Plain files below the folder of the prefix, in the order in which they lie there. What is on its way to become one is none. */
export function createFileList(root: string): NonNullable<StorageBackend['list']> {
  return async function* list(prefix, { signal } = {}) {
    let page: ListedObject[] = []
    for await (const path of filesBelow(join(root, folderOf(prefix.key)), signal)) {
      const key = relative(root, path).split(sep).join('/')
      const stat = key.startsWith(prefix.key) ? await statOf(path) : null
      if (!stat) continue
      page.push({ uri: { ...prefix, key }, sizeBytes: stat.size, modifiedAt: stat.mtime, isHidden: false })
      if (page.length < PAGE) continue
      yield page
      page = []
    }
    if (page.length > 0) yield page
  }
}

/** Up to its last slash. */
function folderOf(prefix: string): string {
  return prefix.slice(0, prefix.lastIndexOf('/') + 1)
}

async function* filesBelow(folder: string, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const folders: string[] = []
  for await (const entry of entriesOf(folder)) {
    signal?.throwIfAborted()
    const path = join(folder, entry.name)
    // Of this backend's own: marks, probes, and what is being written.
    if (entry.name.startsWith('.partials') || entry.name.startsWith('.statelens-')) continue
    if (entry.isDirectory()) folders.push(path)
    else if (entry.isFile()) yield path
  }
  for (const path of folders) yield* filesBelow(path, signal)
}

async function* entriesOf(folder: string): AsyncGenerator<Dirent> {
  try {
    for await (const entry of await opendir(folder)) yield entry
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) throw folderError(error)
  }
}

/** Null for what is gone by now. */
async function statOf(path: string) {
  try {
    const stat = await lstat(path)
    return stat.isFile() ? stat : null
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return null
    throw folderError(error)
  }
}
