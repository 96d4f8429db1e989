/** A body cut to measure. All of it rejects as the body does. */
export interface PartReader {
  /** Fills the buffer; less of it only at the end of the body. @returns the filled part of it. */
  fill(target: Buffer): Promise<Buffer>
  /** As `fill`, into a buffer that grows with what comes: for bodies that are mostly small. */
  readUpTo(maxBytes: number): Promise<Buffer>
  /** Exactly so many bytes, as they come. @param turn is told whose turn it is: the sender's, or that of who takes the bytes. */
  stream(sizeBytes: number, turn: (whose: 'sender' | 'taker') => void): AsyncGenerator<Uint8Array>
  /** Whether the body is at its end, which is then known to be right. */
  isOver(): Promise<boolean>
}

const FIRST_BYTES = 64 * 1024

export function createPartReader(chunks: AsyncGenerator<Uint8Array, void>): PartReader {
  let rest: Uint8Array = Buffer.alloc(0)

  async function isOver(): Promise<boolean> {
    if (rest.length > 0) return false
    const { done, value } = await chunks.next()
    if (done) return true
    rest = value
    return false
  }

  function take(maxBytes: number): Uint8Array {
    const taken = rest.subarray(0, maxBytes)
    rest = rest.subarray(taken.length)
    return taken
  }

  async function fill(target: Buffer, from = 0): Promise<Buffer> {
    let at = from
    while (at < target.length && !(await isOver())) {
      const taken = take(target.length - at)
      target.set(taken, at)
      at += taken.length
    }
    return target.subarray(0, at)
  }

  return {
    isOver,
    fill: (target) => fill(target),

    async readUpTo(maxBytes) {
      let target = Buffer.allocUnsafeSlow(Math.min(FIRST_BYTES, maxBytes))
      let filled = await fill(target)
      while (filled.length === target.length && target.length < maxBytes) {
        const larger = Buffer.allocUnsafeSlow(Math.min(target.length * 2, maxBytes))
        larger.set(filled)
        target = larger
        filled = await fill(target, filled.length)
      }
      return filled
    },

    async *stream(sizeBytes, turn) {
      for (let left = sizeBytes; left > 0; ) {
        turn('sender')
        if (await isOver()) return
        turn('taker')
        const taken = take(left)
        left -= taken.length
        yield taken
      }
    },
  }
}
