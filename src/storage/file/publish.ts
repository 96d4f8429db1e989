import { lstat, rename, rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { hasErrno } from './errors.ts'
import { type FileSystem, NO_LINK } from './file-system.ts'
import { reservationOf } from './partials.ts'

const RESERVED_MILLIS = 1000
const LOOK_AGAIN_MILLIS = 10

export interface ToPublish {
  /** A file that is whole and durable. */
  readonly partial: string
  /** The name that it is to have alone, unless there is a file already. */
  readonly path: string
  /** How many names it has now. */
  readonly links: number
}

/**
 * Gives a file its name, at once and never over another one; the name that it had may stay.
 * @throws as `link` does, `EEXIST` when there is a file already; AppError `CONFLICT`, which says the same, `STORAGE_UNAVAILABLE`.
 */
export async function publish(fs: FileSystem, toPublish: ToPublish): Promise<void> {
  const { partial, path } = toPublish
  try {
    await fs.link(partial, path)
  } catch (error) {
    if (hasErrno(error, ...NO_LINK)) return await moveOnce(fs, toPublish)
    if (!hasErrno(error, 'EEXIST') || !(await isOurs(toPublish))) throw error
  }
}

/** A network file system may lose the reply to a `link` that was done, and say EEXIST when it is sent again. */
async function isOurs({ partial, path, links }: ToPublish): Promise<boolean> {
  const [ours, there] = await Promise.all([lstat(partial), lstat(path)])
  return ours.dev === there.dev && ours.ino === there.ino && ours.nlink === links + 1
}

/**
 * Where a file has one name only: `rename` replaces what is there, so whoever would make the name first holds its reservation. One
 * that a killed process leaves is deleted with the object.
 */
async function moveOnce(fs: FileSystem, { partial, path }: ToPublish): Promise<void> {
  const reservation = reservationOf(path)
  await reserve(fs, { reservation, path })
  try {
    if (await isThere(path)) throw taken()
    await rename(partial, path)
  } finally {
    await rm(reservation, { force: true }).catch(() => undefined)
  }
}

async function reserve(
  { open }: FileSystem,
  { reservation, path }: { readonly reservation: string; readonly path: string },
) {
  for (const end = performance.now() + RESERVED_MILLIS; ; await delay(LOOK_AGAIN_MILLIS)) {
    try {
      const handle = await open(reservation, 'wx', 0o600)
      return await handle.close()
    } catch (error) {
      if (!hasErrno(error, 'EEXIST')) throw error
    }
    if (await isThere(path)) throw taken()
    if (performance.now() > end)
      throw new AppError('STORAGE_UNAVAILABLE', 'The object is being stored by another writer')
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false
    throw error
  }
}

function taken(): AppError {
  return new AppError('CONFLICT', 'An object is already there')
}
