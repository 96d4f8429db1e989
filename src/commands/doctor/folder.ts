import { randomUUID } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { access, open, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Database } from '../../db/connect.ts'
import { hasObjectsIn, loadStore } from '../../db/queries/stores.ts'
import { readMark } from '../../storage/file/mark.ts'
import { type Finding, fine, warning, wordOf, wrong } from './finding.ts'

const GIB = 1_073_741_824
const WORLD_WRITABLE = 0o002
const LOW_SPACE_BYTES = GIB
const LOW_SHARE = 0.05

export interface FolderLook {
  /** Absolute. Never shown. */
  readonly root: string
  /** The setting that names it. */
  readonly setting: string
  /** Whether somebody said that it is there. */
  readonly isSet: boolean
  /** Whether new objects go there. */
  readonly isDefault: boolean
}

/** Looks at the root of `file://`. Makes and removes one empty file, if new objects go there. Never rejects. */
export async function lookAtFolder(look: FolderLook): Promise<readonly Finding[]> {
  const { root, setting, isDefault } = look
  const found = await stat(root).catch((error: unknown) => wordOf(error))
  if (found === 'ENOENT') return await judgeAbsent(look)
  if (typeof found === 'string') return [wrong(`${setting}: ${describeFolderFailure(found)}`)]
  if (!found.isDirectory()) return [wrong(`${setting}: it is not a folder; name one`)]
  const failure = isDefault ? await writeFailure(root) : await failureOf(access(root, constants.R_OK | constants.X_OK))
  if (failure !== null) return [wrong(`${setting}: ${describeFolderFailure(failure)}`)]
  const state = isDefault
    ? 'new objects go here): the folder is writable'
    : 'for older objects): the folder is readable'
  return [
    fine(`file:// (${state}`),
    ...judgeMode(setting, found),
    ...(isDefault ? await judgeSpace(setting, root) : []),
  ]
}

/** Whether the folder is the one that the database knows. @throws AppError when the database fails. */
export async function lookAtMark(
  db: Database,
  { root, setting, isDefault }: Omit<FolderLook, 'isSet'>,
): Promise<readonly Finding[]> {
  const known = await loadStore(db, 'file')
  const found = await readMark(root).catch(() => null)
  // One that nothing has come to lie in gives way to this one.
  if (!known || found === known.id || !(known.isUsed || (await hasObjectsIn(db, 'file')))) return []
  const text = `${setting}: the folder has not the mark that this database knows; mount the one that its states lie in`
  return [isDefault ? wrong(`${text}: nothing is stored meanwhile`) : warning(text)]
}

async function judgeAbsent({ root, setting, isSet, isDefault }: FolderLook): Promise<readonly Finding[]> {
  if (!isDefault) {
    return isSet ? [warning(`${setting}: the folder is not there; where objects should lie in it, mount it`)] : []
  }
  const failure = await failureOf(access(await nearestFolder(root), constants.W_OK | constants.X_OK))
  if (failure !== null) return [wrong(`${setting}: the folder is not there, and cannot be made; make it`)]
  const text = `${setting}: the folder is not there yet; the server makes it`
  return [isSet ? warning(`${text}, so if it should hold objects already, mount it`) : fine(text)]
}

async function nearestFolder(path: string): Promise<string> {
  const above = dirname(path)
  if (above === path) return path
  const isThere = await stat(above).then(
    () => true,
    () => false,
  )
  return isThere ? above : await nearestFolder(above)
}

async function writeFailure(root: string): Promise<string | null> {
  const path = join(root, `.${randomUUID()}.doctor`)
  const failure = await failureOf(open(path, 'wx', 0o600).then((handle) => handle.close()))
  if (failure === null) await rm(path, { force: true })
  return failure
}

function describeFolderFailure(code: string): string {
  if (code === 'ENOTDIR') return 'a file is in the way; name a folder'
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'the disk is full; make room'
  if (code === 'EROFS') return 'the file system is read-only; mount it for writing'
  return `the folder cannot be used (${code}); give its user rights to it, or name another`
}

function judgeMode(setting: string, { mode }: Stats): readonly Finding[] {
  if (process.platform === 'win32' || (mode & WORLD_WRITABLE) === 0) return []
  return [warning(`${setting}: every user of this machine can write into the folder; chmod o-w it`)]
}

async function judgeSpace(setting: string, root: string): Promise<readonly Finding[]> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(root)
  const freeBytes = bavail * bsize
  const text = `${setting}: ${(freeBytes / GIB).toFixed(1)} GiB are free on its disk; make room`
  if (freeBytes === 0 && blocks > 0) return [wrong(`${setting}: the disk is full; make room`)]
  if (files > 0 && ffree / files < 0.01) return [warning(`${setting}: its disk has hardly any files left; remove some`)]
  return freeBytes < LOW_SPACE_BYTES || bavail < blocks * LOW_SHARE ? [warning(text)] : []
}

async function failureOf(work: Promise<unknown>): Promise<string | null> {
  return await work.then(
    () => null,
    (error: unknown) => wordOf(error),
  )
}
