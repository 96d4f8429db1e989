/**
 * Follows the outline of a zstd stream, without decoding it.
 * @see RFC 8878 section 3.1.1.
 */
export interface ZstdFrame {
  /** @returns false when these bytes go beyond the first frame, or are no frame: skippable ones are none here. */
  accepts(chunk: Uint8Array): boolean
}

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd]
const DICTIONARY_BYTES = [0, 1, 2, 4]
const CONTENT_SIZE_BYTES = [0, 2, 4, 8]
const RLE = 1

export function createZstdFrame(): ZstdFrame {
  /** Bytes that are skipped before the next field. */
  let skip = 0
  /** The field that is being read. */
  let field: number[] = []
  let place: 'header' | 'block' | 'end' = 'header'
  let checksumBytes = 0

  function readHeader(): boolean {
    const descriptor = field[4] ?? 0
    const isSingleSegment = (descriptor >> 5) & 1
    const contentSize = CONTENT_SIZE_BYTES[descriptor >> 6] || isSingleSegment
    skip = 1 - isSingleSegment + (DICTIONARY_BYTES[descriptor & 3] ?? 0) + contentSize
    checksumBytes = descriptor & 4
    place = 'block'
    return MAGIC.every((byte, index) => field[index] === byte)
  }

  function readBlock(): boolean {
    const [low = 0, middle = 0, high = 0] = field
    const header = low | (middle << 8) | (high << 16)
    skip = ((header >> 1) & 3) === RLE ? 1 : header >> 3
    if (header & 1) {
      skip += checksumBytes
      place = 'end'
    }
    return true
  }

  return {
    accepts(chunk) {
      let at = 0
      while (at < chunk.length) {
        const skipped = Math.min(skip, chunk.length - at)
        skip -= skipped
        at += skipped
        if (at === chunk.length) break
        if (place === 'end') return false
        field.push(chunk[at++] as number)
        if (field.length < (place === 'header' ? 5 : 3)) continue
        if (!(place === 'header' ? readHeader() : readBlock())) return false
        field = []
      }
      return true
    },
  }
}
