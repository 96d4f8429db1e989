import { parentPort, Worker, workerData } from 'node:worker_threads'
import { download, type Source } from './transfer.ts'

/** Readers that take states again and again, as fast as they can. */
export interface Reading {
  readonly sources: readonly Source[]
  readonly readers: number
  readonly leastBytes: number
  /** None begins another state after so long. */
  readonly seconds: number
}

/**
 * In a thread of their own: an answer that somebody else waits for meanwhile must not wait for theirs where it is measured.
 * @returns how many bytes they took.
 */
export async function readStreams(reading: Reading): Promise<number> {
  const worker = new Worker(new URL(import.meta.url), { workerData: reading })
  return await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('the readers have ended')))
  })
}

async function read({ sources, readers, leastBytes, seconds }: Reading): Promise<number> {
  const end = performance.now() + seconds * 1000
  let streamedBytes = 0
  const readOn = async (reader: number) => {
    for (let turn = reader; performance.now() < end; turn++) {
      const { sizeBytes } = await download(sources[turn % sources.length] as Source, { leastBytes })
      streamedBytes += sizeBytes
    }
  }
  await Promise.all(Array.from({ length: readers }, (_, reader) => readOn(reader)))
  return streamedBytes
}

parentPort?.postMessage(await read(workerData as Reading))
