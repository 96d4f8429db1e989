import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { FileSystem } from './file-system.ts'
import { syncFolder } from './folders.ts'
import { newPartial } from './partials.ts'
import { publish } from './publish.ts'

const BATCH_BYTES = 1_048_576
/** Of so little nothing is made but what it takes. */
const FEW_BYTES = 131_072

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

/**
 * Each write is a trip to another thread: sixteen chunks of a socket share one. They are copied into the same memory again and again, so
 * that none of them outlives the next collection of young objects: each is good until the next one is asked for.
 */
async function* inBatches(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const few: Uint8Array[] = []
  let batch: Buffer | undefined
  let used = 0
  for await (const chunk of chunks) {
    if (batch === undefined && used + chunk.length <= FEW_BYTES) {
      few.push(chunk)
      used += chunk.length
      continue
    }
    batch ??= batchOf(few)
    for (let at = 0; at < chunk.length; ) {
      const end = Math.min(chunk.length, at + BATCH_BYTES - used)
      batch.set(chunk.subarray(at, end), used)
      used += end - at
      at = end
      if (used < BATCH_BYTES) continue
      yield batch
      used = 0
    }
  }
  if (used > 0) yield batch?.subarray(0, used) ?? Buffer.concat(few)
}

function batchOf(few: Uint8Array[]): Buffer {
  const batch = Buffer.allocUnsafeSlow(BATCH_BYTES)
  let used = 0
  for (const chunk of few.splice(0)) {
    batch.set(chunk, used)
    used += chunk.length
  }
  return batch
}
