import { unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { AppError } from '../../errors.ts'
import { fileError, hasErrno } from './errors.ts'
import type { FileSystem } from './file-system.ts'
import { removeSnapshotFolder, syncFolder } from './folders.ts'
import { findLeftovers } from './partials.ts'
import { checkBelow } from './paths.ts'

export interface DoomedFile {
  readonly path: string
  /** Whether writing it may have been cut off. */
  readonly isUnfinished: boolean
}

export interface RemoveOptions {
  readonly root: string
  readonly signal?: AbortSignal
}

/**
 * Removes files and what is left of writing them; absent ones are no error. A folder is made durable once for all of its files.
 * @returns for each, in order: null, or why it is still there.
 * @throws the signal's reason between two files.
 */
export async function removeFiles(
  fs: FileSystem,
  files: readonly DoomedFile[],
  options: RemoveOptions,
): Promise<readonly (AppError | null)[]> {
  const results = new Map<DoomedFile, AppError | null>()
  const byFolder = Map.groupBy(files, ({ path }) => dirname(path))
  for (const [folder, inFolder] of byFolder) {
    const failures = await removeFrom(fs, { ...options, folder, files: inFolder }).catch((error: unknown) => {
      options.signal?.throwIfAborted()
      return inFolder.map(() => failureOf(error))
    })
    for (const [index, file] of inFolder.entries()) results.set(file, failures[index] ?? null)
  }
  return files.map((file) => results.get(file) ?? null)
}

interface InFolder extends RemoveOptions {
  readonly folder: string
  readonly files: readonly DoomedFile[]
}

async function removeFrom(fs: FileSystem, { root, folder, files, signal }: InFolder): Promise<(AppError | null)[]> {
  signal?.throwIfAborted()
  await checkBelow(root, folder)
  const isOld = files.some(({ isUnfinished }) => isUnfinished)
  const leftovers = await findLeftovers(folder, { isOld })
  const failures: (AppError | null)[] = []
  for (const { path } of files) {
    signal?.throwIfAborted()
    const removal = leftovers.remove(path).then(() => unlink(path))
    failures.push(await removal.then(() => null, failureOf))
  }
  await syncFolder(fs, folder)
  await removeSnapshotFolder(folder)
  return failures
}

/** What is not there is removed. */
function failureOf(error: unknown): AppError | null {
  return hasErrno(error, 'ENOENT', 'ENOTDIR') ? null : fileError(error)
}
