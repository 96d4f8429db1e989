import { DamagedFileError } from './damaged.ts'

/** Bytes that are taken in the sizes that are wanted. */
export interface ByteSource {
  /** Of the first byte that was not taken. */
  position(): number
  /** Between one and so many bytes, as they come. @throws DamagedFileError at the end; so do the others. */
  some(maxBytes: number): Promise<Buffer>
  /** Exactly so many, held at once. */
  take(sizeBytes: number): Promise<Buffer>
  skip(sizeBytes: number): Promise<void>
  close(): void
}

export function createByteSource(chunks: AsyncIterable<Uint8Array>): ByteSource {
  const source = chunks[Symbol.asyncIterator]()
  let held: Buffer = Buffer.alloc(0)
  let position = 0

  async function some(maxBytes: number): Promise<Buffer> {
    while (held.length === 0) {
      const next = await source.next()
      if (next.done) throw new DamagedFileError(`The file is damaged: it is cut off behind ${position} bytes`)
      held = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length)
    }
    const taken = held.subarray(0, maxBytes)
    held = held.subarray(taken.length)
    position += taken.length
    return taken
  }

  return {
    position: () => position,
    some,
    async take(sizeBytes) {
      const parts: Buffer[] = []
      for (let left = sizeBytes; left > 0; ) {
        const part = await some(left)
        parts.push(part)
        left -= part.length
      }
      return Buffer.concat(parts, sizeBytes)
    },
    async skip(sizeBytes) {
      for (let left = sizeBytes; left > 0; ) left -= (await some(left)).length
    },
    close() {
      source.return?.().catch(() => {})
    },
  }
}
