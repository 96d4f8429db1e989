import type { Gate } from '../source/gate.ts'

/** So much every capture may hold without asking anybody. */
export const FREE_BYTES = 262_144

export interface HeldBytesOptions {
  /** Bytes that all captures may hold together. */
  readonly memory: Gate
  /** The most that this capture holds at all. */
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

/** What one capture holds in memory until it is clear where it goes. */
export interface HeldBytes {
  /** The same chunks; waits for room before the chunk with which they are no longer free. @throws AppError `OVERLOADED`. */
  admit(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>
  /** Notes how many bytes the chunks so far have decoded to. */
  decoded(sizeBytes: number): void
  /** Nothing is held any more, or what is held is somebody else's to count: chunks pass as they come. */
  free(): void
}

export function createHeldBytes({ memory, maxBytes, signal }: HeldBytesOptions): HeldBytes {
  let heldBytes = 0
  let isCounting = true
  let leave: (() => void) | undefined

  async function count(sizeBytes: number): Promise<void> {
    heldBytes = Math.max(heldBytes, sizeBytes)
    if (heldBytes <= FREE_BYTES || leave || !isCounting) return
    const left = await memory.enter(signal, maxBytes)
    if (isCounting) leave = left
    else left()
  }

  return {
    async *admit(chunks) {
      let receivedBytes = 0
      for await (const chunk of chunks) {
        receivedBytes += chunk.length
        await count(receivedBytes)
        yield chunk
      }
      await count(receivedBytes)
    },
    decoded(sizeBytes) {
      heldBytes = Math.max(heldBytes, sizeBytes)
    },
    free() {
      isCounting = false
      leave?.()
      leave = undefined
    },
  }
}
