import { createHash, type Hash } from 'node:crypto'
import { type IndexRuns, RUN_HASH_BYTES } from './json-index.ts'

const FIRST_CAPACITY = 64

/**
 * Hashes a document behind the place where it is scanned, so that each byte is hashed once although what it belongs to is only known
 * a unit later. The bytes between lie in a ring.
 */
export interface RunHasher {
  /** Takes the next bytes, at most a unit of them; what is a unit behind them must have been hashed. */
  push(bytes: Uint8Array): void
  /** Hashes up to an offset. @param onRun called where a run ends because it is as large as one may be */
  advance(to: number, onRun: () => void): void
  /** Ends the run here. */
  cut(): void
  /** Where the run that is not ended begins. */
  from(): number
  count(): number
  /** Byte at an offset that was not hashed yet. */
  byteAt(offset: number): number
  /** Bytes that were not hashed yet. */
  bytesAt(start: number, end: number): Buffer
  runs(): IndexRuns
}

export function createRunHasher(unit: number): RunHasher {
  const ring = Buffer.allocUnsafeSlow(2 * unit)
  const largest = 4 * unit
  let ends = new Float64Array(FIRST_CAPACITY)
  let hashes = Buffer.alloc(FIRST_CAPACITY * RUN_HASH_BYTES)
  let [count, start, hashed, pushed] = [0, 0, 0, 0]
  let run: Hash = createHash('sha256')

  function cut(): void {
    if (count === ends.length) {
      const [oldEnds, oldHashes] = [ends, hashes]
      ends = new Float64Array(2 * count)
      ends.set(oldEnds)
      hashes = Buffer.alloc(2 * oldHashes.length)
      hashes.set(oldHashes)
    }
    run.digest().copy(hashes, count * RUN_HASH_BYTES, 0, RUN_HASH_BYTES)
    ends[count++] = hashed
    start = hashed
    run = createHash('sha256')
  }

  function hashTo(to: number): void {
    while (hashed < to) {
      const at = hashed % ring.length
      const length = Math.min(to - hashed, ring.length - at)
      run.update(ring.subarray(at, at + length))
      hashed += length
    }
  }

  return {
    push(bytes) {
      const at = pushed % ring.length
      const first = Math.min(bytes.length, ring.length - at)
      ring.set(bytes.subarray(0, first), at)
      ring.set(bytes.subarray(first), 0)
      pushed += bytes.length
    },
    advance(to, onRun) {
      while (to - start > largest) {
        hashTo(start + largest)
        cut()
        onRun()
      }
      hashTo(to)
    },
    cut,
    from: () => start,
    count: () => count,
    byteAt: (offset) => ring[offset % ring.length] ?? 0,
    bytesAt(from, to) {
      const at = from % ring.length
      const end = at + Math.min(to, pushed) - from
      if (end <= ring.length) return ring.subarray(at, end)
      return Buffer.concat([ring.subarray(at), ring.subarray(0, end - ring.length)])
    },
    runs: () => ({ ends: ends.slice(0, count), hashes: Buffer.from(hashes.subarray(0, count * RUN_HASH_BYTES)) }),
  }
}
