import { createHash, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, readdir, rm, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errnoOf } from './errors.ts'

const BATCH_BYTES = 1_048_576

/** Temporary file, fsync, link, fsync of the folder: all of the object or nothing, and never over another one. */
export async function writeOnce(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const folder = dirname(path)
  // Same folder, so that link() stays on one file system.
  const partial = join(folder, `${partialPrefix(path)}${randomUUID()}.partial`)
  let isLinked = false
  try {
    await writeSynced(partial, chunks)
    await link(partial, path)
    isLinked = true
    await unlink(partial)
    await syncFolder(folder)
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined)
    if (isLinked) await rm(path, { force: true }).catch(() => undefined)
    throw error
  }
}

/** Removes what a process that was killed left of writing there. */
export async function removePartials(path: string): Promise<void> {
  const folder = dirname(path)
  const prefix = partialPrefix(path)
  for (const name of await readdir(folder)) {
    if (name.startsWith(prefix)) await rm(join(folder, name), { force: true })
  }
}

/** Of a digest: the name itself may be as long as names can be. */
function partialPrefix(path: string): string {
  return `.${createHash('sha256').update(basename(path)).digest('hex').slice(0, 16)}-`
}

async function writeSynced(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await using handle = await open(path, 'wx', 0o600)
  for await (const batch of inBatches(chunks)) await handle.writeFile(batch)
  await handle.sync()
}

/** Each write is a trip to another thread: sixteen chunks of a socket share one. */
async function* inBatches(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let batch: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of chunks) {
    batch.push(chunk)
    sizeBytes += chunk.length
    if (sizeBytes < BATCH_BYTES) continue
    yield Buffer.concat(batch, sizeBytes)
    batch = []
    sizeBytes = 0
  }
  if (sizeBytes > 0) yield Buffer.concat(batch, sizeBytes)
}

/**
 * Makes a folder and those above it, each for the owner alone and durable. Not by `mkdir({ recursive: true })`, which never
 * returns where the parent is there and refuses with ENOENT, as `/proc` does.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, 0o700)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (errnoOf(error) !== 'ENOENT') throw error
    await makeFolder(dirname(path))
    await mkdir(path, 0o700).catch(ignoreExisting)
  }
  await syncFolder(dirname(path))
}

function ignoreExisting(error: unknown): void {
  if (errnoOf(error) !== 'EEXIST') throw error
}

/** What was made or removed in a folder is durable once the folder is. */
export async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  await handle.sync()
}
