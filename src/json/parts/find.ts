import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { type CheckedBytes, corrupt } from './checked-bytes.ts'
import type { FindMatch, FindOptions, FindPage, Place } from './place.ts'
import { createStringScan, type Found } from './string-scan.ts'

export interface FindSources {
  readonly checked: CheckedBytes
  stream(start: number, end: number): AsyncIterable<Uint8Array>
  readonly signal?: AbortSignal | undefined
  /** The place whose value or key holds an offset. @throws AppError `BAD_REQUEST` where that is in none */
  placeAround(offset: number): Promise<Place>
}

/** Goes through a place as a stream, run by run, until a page is full or has cost enough. */
export async function findInPlace(sources: FindSources, place: Place, options: FindOptions): Promise<FindPage> {
  const from = await beginOf(sources, place, options)
  const scan = createStringScan(options, from)
  const matches: FindMatch[] = []
  if (from >= place.end || options.text === '') return { matches, scannedBytes: 0, next: null, isComplete: true }
  let scannedBytes = 0
  for await (const run of checkedRuns(sources, from, place.end)) {
    sources.signal?.throwIfAborted()
    scannedBytes += run.length
    for (const found of scan.push(run)) {
      matches.push(await matchOf(sources, found))
      const cursor = { offset: found.behind }
      if (matches.length >= options.first) return { matches, scannedBytes, next: cursor, isComplete: true }
    }
    const offset = from + scannedBytes
    if (scannedBytes >= options.maxBytes && offset < place.end && scan.isBetween()) {
      return { matches, scannedBytes, next: { offset }, isComplete: false }
    }
    await setImmediate()
  }
  for (const found of scan.push(Buffer.from(' ,'))) matches.push(await matchOf(sources, found))
  return { matches, scannedBytes, next: null, isComplete: true }
}

/** A cursor leads into no string and no number. */
async function beginOf({ placeAround }: FindSources, place: Place, { after }: FindOptions): Promise<number> {
  if (!after) return place.start
  const { offset } = after
  const isWithin = Number.isSafeInteger(offset) && offset > place.start && offset <= place.end
  if (isWithin && offset === place.end) return offset
  const around = isWithin ? await placeAround(offset) : null
  if (!around || (around.start < offset && (around.type === 'STRING' || around.type === 'NUMBER'))) {
    throw new AppError('BAD_REQUEST', 'The cursor is of another search')
  }
  return offset
}

async function matchOf({ placeAround }: FindSources, found: Found): Promise<FindMatch> {
  const place = await placeAround(found.at)
  if (found.in === 'VALUES' && place.start !== found.at)
    throw new AppError('BAD_REQUEST', 'The cursor is of another search')
  const { excerpt, start, end } = found
  return { place, in: found.in, excerpt, start, end, cursor: { offset: found.behind } }
}

/** The bytes of a range, of each run when that is found right. */
async function* checkedRuns({ checked, stream }: FindSources, from: number, to: number): AsyncGenerator<Buffer> {
  let run = checked.runAt(from)
  const last = checked.runAt(to - 1)
  const begin = checked.rangeOf(run).start
  let parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream(begin, checked.rangeOf(last).end)) {
    for (let rest: Uint8Array = chunk; rest.length > 0; ) {
      const { start, end } = checked.rangeOf(run)
      const part = rest.subarray(0, end - start - length)
      if (part.length === 0) throw corrupt()
      parts.push(part)
      length += part.length
      rest = rest.subarray(part.length)
      if (length < end - start) continue
      const bytes = Buffer.concat(parts)
      checked.check(run++, bytes)
      parts = []
      length = 0
      yield bytes.subarray(Math.max(0, from - start), Math.min(end, to) - start)
    }
  }
  if (run !== last + 1) throw corrupt()
}
