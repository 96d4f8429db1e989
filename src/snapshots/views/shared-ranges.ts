import { LRUCache } from 'lru-cache'
import { UNIT_BYTES } from '../../json/parts/json-index.ts'
import type { ByteRange } from '../../storage/backend.ts'
import type { PartReader } from './part-reader.ts'

/** Ranges nearer to each other than this are read as one: another request costs more than the bytes between. */
const NEAR_BYTES = UNIT_BYTES
/** Of one request, all documents together. */
const KEPT_BYTES = 8 * 1_048_576

interface Span extends ByteRange {
  readonly bytes: Promise<Buffer>
  drop(): void
}

/** What the reads of one request keep of what they read. */
export type KeptSpans = LRUCache<Span, Span>

export function createKeptSpans(): KeptSpans {
  return new LRUCache({
    maxSize: KEPT_BYTES,
    sizeCalculation: ({ start, end }) => end - start,
    dispose: (span) => span.drop(),
  })
}

/** Reads ranges of one document: those of one turn together, and none twice while it is kept. */
export type ReadRange = (start: number, end: number) => Promise<Buffer>

interface Wanted extends ByteRange {
  readonly done: PromiseWithResolvers<Buffer>
}

export function shareRanges(reader: PartReader, kept: KeptSpans, signal?: AbortSignal): ReadRange {
  const spans = new Set<Span>()
  let wanted: Wanted[] = []

  function findSpan({ start, end }: ByteRange): Span | undefined {
    for (const span of spans) if (span.start <= start && end <= span.end) return span
    return undefined
  }

  function keep(range: ByteRange, bytes: Promise<Buffer>): Span {
    const span: Span = { ...range, bytes, drop: () => void spans.delete(span) }
    spans.add(span)
    kept.set(span, span)
    // The next one to ask tries again.
    bytes.catch(() => {
      spans.delete(span)
      kept.delete(span)
    })
    return span
  }

  function readWanted(): void {
    const asked = wanted.toSorted((a, b) => a.start - b.start)
    wanted = []
    const ranges = joinNear(asked)
    const reading = reader.readAll(ranges, signal)
    const read = ranges.map((range, i) => keep(range, reading[i] as Promise<Buffer>))
    for (const { start, end, done } of asked) {
      const span = read.find((one) => one.start <= start && end <= one.end) as Span
      span.bytes.then((bytes) => done.resolve(bytes.subarray(start - span.start, end - span.start)), done.reject)
    }
  }

  return async (start, end) => {
    const span = findSpan({ start, end })
    if (span) return (await span.bytes).subarray(start - span.start, end - span.start)
    const done = Promise.withResolvers<Buffer>()
    if (wanted.length === 0) setImmediate(readWanted)
    wanted.push({ start, end, done })
    return await done.promise
  }
}

/** @param ranges by their starts. */
function joinNear(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: { start: number; end: number }[] = []
  for (const { start, end } of ranges) {
    const last = joined.at(-1)
    if (last && start - last.end < NEAR_BYTES) last.end = Math.max(last.end, end)
    else joined.push({ start, end })
  }
  return joined
}
