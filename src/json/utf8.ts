import { isUtf8 } from 'node:buffer'

/** Checks text that comes in chunks cut anywhere, inside a character too. */
export interface Utf8Checker {
  /**
   * Index in the chunk of the first byte that cannot stand there in well-formed UTF-8, -1 when every byte can. A character may
   * be left open at the end, to be closed by the next chunk. Not to be asked again after an invalid byte.
   */
  findInvalid(chunk: Uint8Array): number
}

/** The native check does the bulk; the bytes of characters that are cut, and those of a bad chunk, are walked one by one. */
export function createUtf8Checker(): Utf8Checker {
  let missing = 0
  let lowest = 0x80
  let highest = 0xbf

  function accepts(byte: number): boolean {
    if (missing > 0) {
      if (byte < lowest || byte > highest) return false
      missing--
      lowest = 0x80
      highest = 0xbf
      return true
    }
    if (byte < 0x80) return true
    if (byte < 0xc2 || byte > 0xf4) return false
    missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
    // Overlong forms, surrogates and what lies above U+10FFFF show in the second byte.
    if (byte === 0xe0) lowest = 0xa0
    if (byte === 0xed) highest = 0x9f
    if (byte === 0xf0) lowest = 0x90
    if (byte === 0xf4) highest = 0x8f
    return true
  }

  function walk(chunk: Uint8Array, start: number): number {
    for (let at = start; at < chunk.length; at++) {
      if (!accepts(chunk[at] as number)) return at
    }
    return -1
  }

  return {
    findInvalid(chunk) {
      let start = 0
      for (; missing > 0 && start < chunk.length; start++) {
        if (!accepts(chunk[start] as number)) return start
      }
      const end = wholeCharacters(chunk, chunk.length)
      return walk(chunk, isUtf8(chunk.subarray(start, end)) ? end : start)
    },
  }
}

/** The largest length, not above `length`, at which well-formed UTF-8 is not cut inside a character. */
export function wholeCharacters(bytes: Uint8Array, length: number): number {
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back] as number
    if (byte < 0x80) return length
    if (byte >= 0xc0) return (byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4) > back ? length - back : length
  }
  return length
}
