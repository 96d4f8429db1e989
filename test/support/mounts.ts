import { execFile } from 'node:child_process'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Unavailable } from './services.ts'

const run = promisify(execFile)

/** A small file system of a test's own, unmounted on dispose. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string
  /** From now on it is mounted for reading alone, or for writing as well. */
  remount(mode: 'ro' | 'rw'): Promise<void>
}

/** What mounts them; only root may, and not in every container. */
export interface Disks {
  mount(options: string): Promise<SmallDisk>
}

/** Looks by doing it. */
export async function disks(): Promise<Disks | Unavailable> {
  try {
    await (await mount('size=64k'))[Symbol.asyncDispose]()
    return { mount }
  } catch {
    return { unavailable: 'nothing may be mounted here: run the tests as root, with CAP_SYS_ADMIN' }
  }
}

async function mount(options: string): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), 'statelens-disk-'))
  try {
    await run('mount', ['-t', 'tmpfs', '-o', options, 'statelens-test', path])
  } catch (error) {
    await rmdir(path)
    throw error
  }
  return {
    path,
    async remount(mode) {
      await run('mount', ['-o', `remount,${mode}`, path])
    },
    async [Symbol.asyncDispose]() {
      await run('umount', [path]).catch(() => run('umount', ['-l', path]))
      await rmdir(path)
    },
  }
}
