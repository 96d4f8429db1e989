import { createGzip, createZstdCompress } from 'node:zlib'
import type { Encoding } from '../snapshots/encoding.ts'

/** A capture takes no coded state above this size that is far more than its coding. */
const FREE_BYTES = 16 * 1_048_576
const RATIO_MAX = 100

/** Whether a state may be coded on its way: what is known of it says that its coding is not taken for padding. */
export function mayBeCoded(sizeBytes: number, codedBytes: number | null): boolean {
  return sizeBytes <= FREE_BYTES || (codedBytes !== null && sizeBytes <= RATIO_MAX * codedBytes)
}

/** The same bytes in a coding. */
export async function* coded(chunks: AsyncIterable<Uint8Array>, encoding: Encoding): AsyncGenerator<Buffer> {
  const coder = encoding === 'gzip' ? createGzip() : createZstdCompress()
  async function feed(): Promise<void> {
    for await (const chunk of chunks) {
      // Ended while a chunk of it is under way, zstd would begin a second frame.
      await new Promise<void>((resolve, reject) => coder.write(chunk, (error) => (error ? reject(error) : resolve())))
    }
    coder.end()
  }
  feed().catch((error: unknown) => coder.destroy(error instanceof Error ? error : new Error(String(error))))
  yield* coder
}
