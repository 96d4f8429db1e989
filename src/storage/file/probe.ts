import { constants } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileSystem } from './file-system.ts'

const AGAIN_MILLIS = 60_000
const { O_CREAT, O_WRONLY, O_NOFOLLOW } = constants

/** Finds out by doing it whether a folder takes a file: rights do not tell of a disk that is broken, or mounted for reading. */
export interface Probe {
  /** Once a minute, and after each failure. Leaves nothing. */
  look(): Promise<void>
}

export function createProbe({ open }: FileSystem, folder: string): Probe {
  const path = join(folder, '.statelens-probe')
  let seenAt = Number.NEGATIVE_INFINITY

  return {
    async look() {
      if (performance.now() - seenAt < AGAIN_MILLIS) return
      // An empty one: a full disk still serves what it holds.
      const handle = await open(path, O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600)
      await handle.close()
      await rm(path, { force: true })
      seenAt = performance.now()
    },
  }
}
