import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, isAppError } from '../../errors.ts'
import type { RawBackend } from '../backend.ts'
import { folderError, hasErrno } from './errors.ts'
import { type FileSystem, NODE_FILE_SYSTEM } from './file-system.ts'
import { makeFolder, partialsFolder } from './folders.ts'
import { writeOnce } from './write.ts'

/** In the root of the folder; holds its id. */
export const MARK = '.statelens-store'

/** How the names of marks begin that are not whole yet. */
const PARTIAL = `${MARK}-`

/** What lies in the place of a mark, and is none. */
const NO_MARK = ''

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What is known elsewhere of the folder that the objects lie in. Each method rejects where that cannot be asked. */
export interface StoreIdentity {
  /** The id that its mark must have, and whether that is for good; null while no folder was claimed. */
  known(): Promise<{ readonly id: string; readonly isUsed: boolean } | null>
  /** Absent where no folder is to be claimed. */
  readonly claim?: {
    /** Whether there are objects already: then an empty folder is not theirs, but a place where it is not mounted. */
    hasObjects(): Promise<boolean>
    /** @returns the id that the mark must have from now on: another one where another folder was claimed meanwhile. */
    take(id: string): Promise<string>
    /** The same where another folder was claimed before, and nothing has come to lie in it. */
    replace(id: string): Promise<string>
  }
}

export interface MarkOptions {
  /** Absolute. */
  readonly root: string
  readonly identity: StoreIdentity
  readonly fs?: FileSystem
}

/**
 * The same backend, which knows its folder by a mark. A folder without the right one, such as an empty mount point or that of another
 * machine, has nothing, takes nothing and loses nothing: what would be `OBJECT_MISSING` there is `STORAGE_UNAVAILABLE`.
 */
export function marked(backend: RawBackend, { root, identity, fs = NODE_FILE_SYSTEM }: MarkOptions): RawBackend {
  /** Of a folder in which states lie: it is asked for no more. */
  let lasting: string | null = null
  let isTidy = false

  async function expected(): Promise<string | null> {
    if (lasting !== null) return lasting
    const known = await identity.known()
    if (known?.isUsed) lasting = known.id
    return known?.id ?? null
  }

  /** @param mayReplace where nothing is on its way, a folder may also take the place of one that was never used. */
  async function require({ mayReplace = false } = {}): Promise<void> {
    const found = await readMark(root)
    const id = await expected()
    if (id !== null) {
      if (found === id) return await tidy()
      if (!mayReplace || lasting !== null || !identity.claim) throw wrongFolder()
      return await claim(identity.claim.replace, found)
    }
    if (!identity.claim) return
    if (found === null && (await isEmptyFolder(root)) && (await identity.claim.hasObjects())) throw wrongFolder()
    await claim(identity.claim.take, found)
  }

  async function claim(take: (id: string) => Promise<string>, found: string | null): Promise<void> {
    const id = found ?? (await writeMark(fs, root, randomUUID()))
    if (id === NO_MARK) throw wrongFolder()
    const taken = await take(id)
    // One that two servers made lies in two folders: the other one was faster.
    if (taken !== id && found === null) await rm(join(root, MARK), { force: true })
    requireSame(id, taken)
    await tidy()
  }

  /** With the mark there, what a process that was killed left of making it is nobody's. */
  async function tidy(): Promise<void> {
    if (isTidy) return
    isTidy = true
    for (const name of await readdir(root)) {
      if (name.startsWith(PARTIAL)) await rm(join(root, name), { force: true })
    }
  }

  /** An object that is not there may lie in the right folder. */
  async function orElsewhere<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading
    } catch (error) {
      if (isAppError(error, 'OBJECT_MISSING')) {
        const id = await expected()
        if (id !== null) requireSame(await readMark(root), id)
      }
      throw error
    }
  }

  const { deleteMany, copy, list } = backend
  return {
    ...backend,
    get: (uri, options) => orElsewhere(backend.get(uri, options)),
    stat: (uri, options) => orElsewhere(backend.stat(uri, options)),
    async put(uri, body, options) {
      await require()
      return await backend.put(uri, body, options)
    },
    async delete(uri, options) {
      await require()
      await backend.delete(uri, options)
    },
    ...(copy && {
      async copy(from, to, options) {
        await require()
        return await copy(from, to, options)
      },
    }),
    ...(deleteMany && {
      async deleteMany(objects, options) {
        await require()
        return await deleteMany(objects, options)
      },
    }),
    ...(list && {
      async *list(prefix, options) {
        // Of another folder nothing can be told.
        const id = await expected()
        if (id !== null) requireSame(await readMark(root), id)
        yield* list(prefix, options)
      },
    }),
    async check(options) {
      // A database that is down says nothing of the folder.
      await require({ mayReplace: true }).catch((error: unknown) => {
        if (!isAppError(error) || !error.code.startsWith('DATABASE_')) throw error
      })
      await backend.check(options)
    },
  }
}

function requireSame(found: string | null, expected: string): void {
  if (found !== expected) throw wrongFolder()
}

function wrongFolder(): AppError {
  return new AppError('STORAGE_UNAVAILABLE', 'The storage folder is not the one that these states lie in', {
    isLasting: true,
  })
}

/** The id in a folder's mark; null where there is none, and empty for what is no mark. */
export async function readMark(root: string): Promise<string | null> {
  try {
    const text = (await readFile(join(root, MARK), 'utf8')).trim()
    return UUID.test(text) ? text : NO_MARK
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return null
    throw folderError(error)
  }
}

/** @returns the id of the mark that is there then, which another server may have made. */
async function writeMark(fs: FileSystem, root: string, id: string): Promise<string> {
  const path = join(root, MARK)
  try {
    await makeFolder(fs, root)
    await makeFolder(fs, partialsFolder(path))
    // Whole or not there at all: whoever reads it meanwhile would take a part of it for no mark.
    await writeOnce(fs, { path, partial: join(root, `${PARTIAL}${id}`) }, [Buffer.from(`${id}\n`)])
    return id
  } catch (error) {
    // Another one made it meanwhile, and has tidied up.
    if (!hasErrno(error, 'EEXIST', 'ENOENT') && !isAppError(error, 'CONFLICT')) throw folderError(error)
    return (await readMark(root)) ?? NO_MARK
  }
}

async function isEmptyFolder(root: string): Promise<boolean> {
  try {
    return (await readdir(root)).length === 0
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return true
    throw folderError(error)
  }
}
