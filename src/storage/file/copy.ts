import { constants } from 'node:fs'
import { chmod, type FileHandle, lstat, open } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import { fileError, hasErrno, writeError } from './errors.ts'
import { type FileSystem, NO_LINK } from './file-system.ts'
import { checkOpened, notAnObject, openedPath } from './paths.ts'
import { makeOnce } from './write.ts'

/** A link is not followed, and a pipe does not block the thread that opens it. */
export const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export interface FileCopy {
  readonly root: string
  readonly from: string
  readonly to: string
  /** Of the source, as the ledger has it. */
  readonly sizeBytes: number
  /** Makes the folders that the copy needs, once the source is there. */
  prepare(): Promise<void>
  readonly signal?: AbortSignal
}

/**
 * A second name for the file: deleting one leaves the other, and files are never written again. Where there can be none, its bytes.
 * @throws as `StorageBackend.copy` does.
 */
export async function copyOnce(fs: FileSystem, copy: FileCopy): Promise<void> {
  const { from, to, prepare, signal } = copy
  await using source = await open(from, OPEN_FLAGS).catch(rethrow(fileError))
  await checkSource(source, copy).catch(rethrow(fileError))
  const fill = async (partial: string) => {
    signal?.throwIfAborted()
    const names = { source, from, partial }
    const links = (await linked(fs, names)) ?? (await copied(fs, names))
    signal?.throwIfAborted()
    return { links }
  }
  await prepare()
    .then(() => makeOnce(fs, { path: to }, fill))
    .catch(rethrow(writeError))
}

async function checkSource(source: FileHandle, { root, from, sizeBytes }: FileCopy): Promise<void> {
  await checkOpened(root, source, from)
  const stat = await source.stat()
  if (!stat.isFile()) throw notAnObject()
  if (stat.size !== sizeBytes) {
    throw new AppError('OBJECT_CORRUPT', `The object to copy has ${stat.size} bytes, not ${sizeBytes}`)
  }
}

function rethrow(toError: (error: unknown) => AppError): (error: unknown) => never {
  return (error) => {
    throw toError(error)
  }
}

interface Names {
  readonly source: FileHandle
  readonly from: string
  readonly partial: string
}

/** @returns how many names there are then; null where there can be no other. */
async function linked(fs: FileSystem, { source, from, partial }: Names): Promise<number | null> {
  try {
    await fs.link(from, partial)
  } catch (error) {
    if (hasErrno(error, ...NO_LINK)) return null
    throw error
  }
  // By its name: what lies there may be another file than the one that was looked at.
  const [there, ours] = await Promise.all([lstat(partial, { bigint: true }), source.stat({ bigint: true })])
  if (there.ino !== ours.ino || there.dev !== ours.dev) throw notAnObject()
  return Number(there.nlink)
}

async function copied(fs: FileSystem, { source, from, partial }: Names): Promise<number> {
  const { COPYFILE_EXCL, COPYFILE_FICLONE } = constants
  await fs.copyFile(openedPath(source, from), partial, COPYFILE_EXCL | COPYFILE_FICLONE)
  await chmod(partial, 0o600)
  await using handle = await fs.open(partial, 'r+')
  await handle.sync()
  return 1
}
