import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { FileSystem } from './file-system.ts'
import { syncFolder } from './folders.ts'
import { newPartial } from './partials.ts'
import { publish } from './publish.ts'

const BATCH_BYTES = 1_048_576

/** Where a file is to be, and where it is made. */
export interface Place {
  readonly path: string
  /** On the same file system; beside what else is being made when left out. */
  readonly partial?: string
}

/** Temporary file, fsync, link, fsync of the folder: all of the object or nothing, and never over another one. */
export async function writeOnce(
  fs: FileSystem,
  place: Place,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  await makeOnce(fs, place, async (partial) => {
    await using handle = await fs.open(partial, 'wx', 0o600)
    for await (const batch of inBatches(chunks)) await handle.writeFile(batch)
    await handle.sync()
    return { links: 1 }
  })
}

/**
 * Makes a file of what `fill` puts into a temporary one, whole and durable. When anything fails nothing is left of it.
 * @param fill returns how many names the temporary file has then.
 */
export async function makeOnce(
  fs: FileSystem,
  { path, partial = newPartial(path) }: Place,
  fill: (partial: string) => Promise<{ readonly links: number }>,
): Promise<void> {
  let isPublished = false
  try {
    const { links } = await fill(partial)
    await publish(fs, { partial, path, links })
    isPublished = true
    await rm(partial, { force: true })
    await syncFolder(fs, dirname(path))
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined)
    if (isPublished) await rm(path, { force: true }).catch(() => undefined)
    throw error
  }
}

/** Each write is a trip to another thread: sixteen chunks of a socket share one. */
async function* inBatches(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
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
