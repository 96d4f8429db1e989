import { AppError } from '../../errors.ts'
import type { Place } from './places.ts'
import type { Passed } from './skip-value.ts'

/** What was read of a key that is cut: no more than the keys that it is compared with could have. */
export interface KeyReader {
  /** A part of a key that goes on in the next chunk. */
  take(place: Place, part: Buffer): void
  /** Bytes of the parts so far, those of a key that is too long as well. */
  sizeBytes(): number
  /** All of it, with its last part; the next key begins. */
  end(last: Buffer): Buffer
}

export function createKeyReader(): KeyReader {
  let parts: Buffer[] = []
  let sizeBytes = 0
  return {
    take({ keyMaxBytes }, part) {
      sizeBytes += part.length
      if (sizeBytes > keyMaxBytes) parts = []
      // Copied: the chunk is its owner's again when the next one comes.
      else parts.push(Buffer.from(part))
    },
    sizeBytes: () => sizeBytes,
    end(last) {
      const key = Buffer.concat([...parts, last])
      parts = []
      sizeBytes = 0
      return key
    },
  }
}

export interface KeyState extends Passed {
  readonly key: KeyReader
}

/** Where the key leads that ends in the chunk. Most keys are in one chunk and without escapes: nothing is made of those. */
export function followKey(
  { key, chunk, hasEscapes }: KeyState,
  place: Place,
  { from, to }: { readonly from: number; readonly to: number },
): Place | null {
  const before = key.sizeBytes()
  if (before === 0 && !hasEscapes) return place.find(chunk, from, to)
  const isTooLong = before + to - from > place.keyMaxBytes
  const text = key.end(chunk.subarray(from, to))
  if (isTooLong) return place.others
  return hasEscapes ? place.below(unescaped(text)) : place.find(text, 0, text.length)
}

function unescaped(key: Buffer): string {
  try {
    return JSON.parse(`"${key}"`)
  } catch {
    throw new AppError('INVALID_PAYLOAD', 'A key has an escape that says nothing')
  }
}
