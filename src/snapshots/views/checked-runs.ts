import { hash } from 'node:crypto'
import type { IndexRuns, JsonIndex } from '../../json/parts/json-index.ts'
import { RUN_HASH_BYTES } from '../../json/parts/json-index.ts'
import type { ByteRange } from '../../storage/backend.ts'
import { corrupt } from './verified-body.ts'

/** The whole runs that a range of at least one byte lies in. */
export function wholeRuns({ runs }: JsonIndex, { start, end }: ByteRange): ByteRange {
  const { ends } = runs
  const first = runAt(runs, start)
  const last = runAt(runs, end - 1)
  return { start: first === 0 ? 0 : (ends[first - 1] as number), end: ends[last] as number }
}

/**
 * The bytes of a range out of the runs that it lies in, each run handed on once it is known to be right.
 * @param chunks of the whole runs.
 * @throws AppError `OBJECT_CORRUPT`; what the chunks throw.
 */
export async function* checkedRuns(
  chunks: AsyncIterable<Buffer>,
  { runs }: JsonIndex,
  range: ByteRange,
): AsyncGenerator<Buffer> {
  let run = runAt(runs, range.start)
  let at = run === 0 ? 0 : (runs.ends[run - 1] as number)
  let held: Buffer[] = []
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length; ) {
      const runEnd = runs.ends[run] as number
      const piece = chunk.subarray(from, from + runEnd - at)
      held.push(piece)
      from += piece.length
      at += piece.length
      if (at < runEnd) continue
      const bytes = held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held)
      requireRun(runs, run, bytes)
      yield within(bytes, runEnd - bytes.length, range)
      held = []
      run++
    }
  }
  if (at < range.end) throw corrupt()
}

function runAt({ ends }: IndexRuns, offset: number): number {
  let low = 0
  let high = ends.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ends[middle] as number) <= offset) low = middle + 1
    else high = middle
  }
  return low
}

function requireRun({ hashes }: IndexRuns, run: number, bytes: Buffer): void {
  const expected = hashes.subarray(run * RUN_HASH_BYTES, (run + 1) * RUN_HASH_BYTES)
  if (!hash('sha256', bytes, 'buffer').subarray(0, RUN_HASH_BYTES).equals(expected)) throw corrupt()
}

/** What a range has of bytes that begin at a place. */
function within(bytes: Buffer, at: number, { start, end }: ByteRange): Buffer {
  return bytes.subarray(Math.max(start - at, 0), Math.max(end - at, 0))
}
