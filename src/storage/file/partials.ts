import { createHash, randomUUID } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { hasErrno } from './errors.ts'
import { partialsFolder } from './folders.ts'

/** Today's names, and those with a dot that lay among the objects. */
const PARTIAL = /^\.?([0-9a-f]{16})-.*\.partial$/

/** A new place for what is to become the file; on the same file system, so that it can be moved there. */
export function newPartial(path: string): string {
  return join(partialsFolder(path), `${markOf(path)}-${randomUUID()}.partial`)
}

/** The one place that says that the file is being made. */
export function reservationOf(path: string): string {
  return join(partialsFolder(path), `${markOf(path)}-reserved.partial`)
}

export interface Leftovers {
  /** Removes what a process that was killed left of writing there. */
  remove(path: string): Promise<void>
}

/** What lies in a folder besides objects; `isOld` looks where it lay once as well, among the objects themselves. */
export async function findLeftovers(folder: string, { isOld }: { readonly isOld: boolean }): Promise<Leftovers> {
  const folders = [partialsFolder(join(folder, '-')), ...(isOld ? [folder] : [])]
  const byMark = new Map<string, string[]>()
  for (const place of folders) {
    for (const name of await namesIn(place)) {
      const [, mark] = PARTIAL.exec(name) ?? []
      if (mark !== undefined) byMark.set(mark, [...(byMark.get(mark) ?? []), join(place, name)])
    }
  }
  return {
    async remove(path) {
      for (const leftover of byMark.get(markOf(path)) ?? []) await rm(leftover, { force: true })
    },
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return await readdir(folder).catch((error: unknown) => {
    if (!hasErrno(error, 'ENOENT', 'ENOTDIR')) throw error
    return []
  })
}

/** Of a digest: the name itself may be as long as names can be. */
function markOf(path: string): string {
  return createHash('sha256').update(basename(path)).digest('hex').slice(0, 16)
}
