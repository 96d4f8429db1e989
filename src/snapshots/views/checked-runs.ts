import { corrupt, type RunChecks } from '../../json/parts/checked-bytes.ts'
import type { ByteRange } from '../../storage/backend.ts'

/** The whole runs that a range of at least one byte lies in. */
export function wholeRuns({ runAt, rangeOf }: RunChecks, { start, end }: ByteRange): ByteRange {
  return { start: rangeOf(runAt(start)).start, end: rangeOf(runAt(end - 1)).end }
}

/**
 * The bytes of a range out of the runs that it lies in, each run handed on once it is known to be right.
 * @param chunks of the whole runs.
 * @throws AppError `OBJECT_CORRUPT`; what the chunks throw.
 */
export async function* checkedRuns(
  chunks: AsyncIterable<Buffer>,
  { runAt, rangeOf, check }: RunChecks,
  range: ByteRange,
): AsyncGenerator<Buffer> {
  let run = runAt(range.start)
  let { start: at, end } = rangeOf(run)
  let held: Buffer[] = []
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length; ) {
      const piece = chunk.subarray(from, from + end - at)
      held.push(piece)
      from += piece.length
      at += piece.length
      if (at < end) continue
      const bytes = held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held)
      check(run, bytes)
      const start = end - bytes.length
      yield bytes.subarray(Math.max(range.start - start, 0), Math.max(range.end - start, 0))
      held = []
      run++
      end = rangeOf(run).end
    }
  }
  if (at < range.end) throw corrupt()
}
