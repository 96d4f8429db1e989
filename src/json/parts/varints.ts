const FIRST_CAPACITY = 4096

/** Whole numbers in seven bits a byte, least first; the high bit says that there is more. */
export interface VarintWriter {
  number(value: number): void
  bytes(value: Uint8Array): void
  end(): Buffer
}

export interface VarintReader {
  /** @throws RangeError behind the end, or where the number is none that JavaScript counts with. */
  number(): number
  bytes(length: number): Buffer
  left(): number
}

export function createVarintWriter(): VarintWriter {
  let buffer = Buffer.alloc(FIRST_CAPACITY)
  let at = 0

  function room(length: number): void {
    if (at + length <= buffer.length) return
    const larger = Buffer.alloc(Math.max(2 * buffer.length, at + length))
    buffer.copy(larger, 0, 0, at)
    buffer = larger
  }

  return {
    number(value) {
      room(8)
      let rest = value
      while (rest >= 0x80) {
        buffer[at++] = (rest % 0x80) | 0x80
        rest = Math.floor(rest / 0x80)
      }
      buffer[at++] = rest
    },
    bytes(value) {
      room(value.length)
      buffer.set(value, at)
      at += value.length
    },
    end: () => buffer.subarray(0, at),
  }
}

export function createVarintReader(buffer: Buffer): VarintReader {
  let at = 0
  return {
    number() {
      let [value, scale] = [0, 1]
      for (;;) {
        const byte = buffer[at++]
        if (byte === undefined) throw new RangeError('A number ends behind the bytes')
        value += (byte & 0x7f) * scale
        scale *= 0x80
        if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('A number is too large')
        if (byte < 0x80) return value
      }
    },
    bytes(length) {
      if (length > buffer.length - at) throw new RangeError('There are not so many bytes')
      at += length
      return buffer.subarray(at - length, at)
    },
    left: () => buffer.length - at,
  }
}
