/** Goes through the inside of an object that comes in pieces, from between two of its children on. It is JSON. */
export interface KeyScan {
  push(bytes: Buffer): void
}

/**
 * What is told of a key: its source text between the quotes, which is not kept, and where its quote stands. Null for a text of more than
 * is read of one.
 */
export type TakeKey = (source: Buffer | null, at: number) => void

export interface KeyScanOptions {
  /** Where the first byte is in the document. */
  readonly begin: number
  /** Longer keys are not held. */
  readonly maxBytes: number
}

const QUOTE = 0x22
const COMMA = 0x2c
const BACKSLASH = 0x5c

export function createKeyScan(take: TakeKey, { begin, maxBytes }: KeyScanOptions): KeyScan {
  let offset = begin
  /** Containers that are open within the object. */
  let depth = 0
  let isKeyNext = true
  let inside: 'KEY' | 'STRING' | null = null
  let isEscaped = false
  let keyAt = 0
  /** Of a key that began in a piece before. */
  let held: Buffer[] = []
  let heldBytes = 0

  /** @returns where the string ends, its quote not included; the length where it does not */
  function endOfString(bytes: Buffer, from: number): number {
    let at = from
    for (; at < bytes.length; at++) {
      const byte = bytes[at]
      if (isEscaped) isEscaped = false
      else if (byte === BACKSLASH) isEscaped = true
      else if (byte === QUOTE) break
    }
    return at
  }

  function hold(source: Buffer): void {
    heldBytes += source.length
    if (heldBytes > maxBytes) held = []
    else held.push(Buffer.from(source))
  }

  function endKey(source: Buffer): void {
    const length = heldBytes + source.length
    if (length > maxBytes) take(null, keyAt)
    else take(held.length === 0 ? source : Buffer.concat([...held, source]), keyAt)
    held = []
    heldBytes = 0
  }

  /** @returns where to go on */
  function goOn(bytes: Buffer, from: number): number {
    const end = endOfString(bytes, from)
    const isEnded = end < bytes.length
    if (inside === 'KEY') {
      const source = bytes.subarray(from, end)
      if (isEnded) endKey(source)
      else hold(source)
    }
    if (isEnded) inside = null
    return end + 1
  }

  function open(at: number): void {
    inside = isKeyNext ? 'KEY' : 'STRING'
    if (isKeyNext) keyAt = at
    isKeyNext = false
  }

  return {
    push(bytes) {
      for (let at = 0; at < bytes.length; ) {
        if (inside) {
          at = goOn(bytes, at)
          continue
        }
        const byte = bytes[at] ?? 0
        if (byte === QUOTE) open(offset + at)
        else if (byte === COMMA) isKeyNext = depth === 0
        // The two kinds of brackets differ in the bit in which the two cases of a letter do.
        else if ((byte | 0x20) === 0x7b) depth++
        else if ((byte | 0x20) === 0x7d) depth--
        at++
      }
      offset += bytes.length
    },
  }
}
