import { createHash } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { DocumentBytes } from './document.ts'
import { type IndexRuns, RUN_HASH_BYTES } from './json-index.ts'

/** What is kept of what was read. */
const KEPT_BYTES = 4 * 1024 * 1024

export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Where the runs of a document are, and what they must be. */
export interface RunChecks {
  /** @throws AppError `OBJECT_CORRUPT` */
  check(run: number, bytes: Uint8Array): void
  /** The run that holds an offset. */
  runAt(offset: number): number
  rangeOf(run: number): ByteRange
}

/** Bytes of a document, of which none is given before the run that holds it is found right. */
export interface CheckedBytes extends RunChecks {
  /** The bytes of each range, which are read together. @throws AppError `OBJECT_CORRUPT` */
  take(ranges: readonly ByteRange[]): Promise<readonly Buffer[]>
}

interface Options {
  readonly source: DocumentBytes
  /** Null where all is read at once, and was checked. */
  readonly runs: IndexRuns | null
  /** What lies nearer to each other is read as one. */
  readonly nearBytes: number
}

export function corrupt(): AppError {
  return new AppError('OBJECT_CORRUPT', 'The stored state is not the one that was captured')
}

/** @param runs null for a document that is one run, and was checked. */
export function createRunChecks(runs: IndexRuns | null, sizeBytes: number): RunChecks {
  const ends = runs?.ends ?? new Float64Array([sizeBytes])

  function rangeOf(run: number): ByteRange {
    return { start: ends[run - 1] ?? 0, end: ends[run] ?? 0 }
  }

  function runAt(offset: number): number {
    let [low, high] = [0, ends.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((ends[middle] ?? 0) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  function check(run: number, bytes: Uint8Array): void {
    const { start, end } = rangeOf(run)
    if (bytes.length !== end - start) throw corrupt()
    const hash = runs?.hashes.subarray(run * RUN_HASH_BYTES, (run + 1) * RUN_HASH_BYTES)
    if (hash && !createHash('sha256').update(bytes).digest().subarray(0, RUN_HASH_BYTES).equals(hash)) throw corrupt()
  }

  return { check, runAt, rangeOf }
}

export function createCheckedBytes({ source, runs, nearBytes }: Options): CheckedBytes {
  const { check, runAt, rangeOf } = createRunChecks(runs, source.sizeBytes)
  /** Bytes of runs, the ones longest known first. */
  const known = new Map<number, Promise<Buffer>>()
  let keptBytes = 0

  /** Neighbours and what is between them, in one read. */
  function readRuns(first: number, last: number): void {
    const { start } = rangeOf(first)
    const reading = source.read(start, rangeOf(last).end)
    for (let run = first; run <= last; run++) {
      const range = rangeOf(run)
      const bytes = reading.then((read) => {
        const part = read.subarray(range.start - start, range.end - start)
        check(run, part)
        return part
      })
      // Whoever takes it is told of its failure; where nobody does, nothing is wrong.
      bytes.catch(() => known.delete(run))
      if (!known.has(run)) keptBytes += range.end - range.start
      known.delete(run)
      known.set(run, bytes)
    }
  }

  function readMissing(wanted: readonly number[]): void {
    const missing = wanted.filter((run) => !known.has(run))
    for (let at = 0; at < missing.length; ) {
      let last = at
      const endOf = (index: number) => rangeOf(missing[index] ?? 0).end
      const startOf = (index: number) => rangeOf(missing[index] ?? 0).start
      while (last + 1 < missing.length && startOf(last + 1) - endOf(last) < nearBytes) last++
      readRuns(missing[at] ?? 0, missing[last] ?? 0)
      at = last + 1
    }
  }

  function forgetOldest(wanted: ReadonlySet<number>): void {
    for (const run of known.keys()) {
      if (keptBytes <= KEPT_BYTES) return
      if (wanted.has(run)) continue
      const { start, end } = rangeOf(run)
      known.delete(run)
      keptBytes -= end - start
    }
  }

  async function bytesOf({ start, end }: ByteRange, held: ReadonlyMap<number, Promise<Buffer>>): Promise<Buffer> {
    const parts: Buffer[] = []
    const last = runAt(end - 1)
    for (let run = runAt(start); run <= last; run++) {
      const range = rangeOf(run)
      const bytes = (await held.get(run)) ?? Buffer.alloc(0)
      parts.push(bytes.subarray(Math.max(0, start - range.start), Math.min(range.end, end) - range.start))
    }
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
  }

  return {
    async take(ranges) {
      const wanted = new Set<number>()
      for (const { start, end } of ranges) {
        const last = runAt(end - 1)
        for (let run = runAt(start); run <= last; run++) wanted.add(run)
      }
      readMissing([...wanted].sort((one, other) => one - other))
      const held = new Map([...wanted].map((run) => [run, known.get(run) ?? Promise.reject(corrupt())]))
      await Promise.all(held.values())
      forgetOldest(wanted)
      return Promise.all(ranges.map((range) => bytesOf(range, held)))
    },
    check,
    runAt,
    rangeOf,
  }
}
