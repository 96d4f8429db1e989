import { Readable } from 'node:stream'
import { isAppError } from '../../errors.ts'
import { createCheckedBytes } from '../../json/parts/checked-bytes.ts'
import type { KeyFinder } from '../../json/parts/descent.ts'
import { openDocument } from '../../json/parts/document.ts'
import { type JsonIndex, UNIT_BYTES } from '../../json/parts/json-index.ts'
import type { ChildPage, ChildrenOptions, FindOptions, FindPage, Place } from '../../json/parts/place.ts'
import type { ByteRange } from '../../storage/backend.ts'
import type { Gate } from '../source/gate.ts'
import { checkedRuns, wholeRuns } from './checked-runs.ts'
import { nothingHeld, type OpenPayload } from './open-payload.ts'
import type { PartReader } from './part-reader.ts'
import { requireWithin } from './payload-bytes.ts'
import { type KeptSpans, shareRanges } from './shared-ranges.ts'

/** One version of a state, of which places are read without the rest. @throws as `JsonDocument` does, and what reading throws. */
export interface StateDocument {
  /** Names these bytes and no others. */
  readonly version: string
  readonly sizeBytes: number
  /** Null where all of it is at hand. */
  readonly index: JsonIndex | null
  /** Whether all of it is held, for as long as anything refers to the document. */
  readonly isInMemory: boolean
  at(pointer: string): Promise<Place>
  children(place: Place, options: ChildrenOptions): Promise<ChildPage>
  preview(place: Place): Promise<string>
  find(place: Place, options: FindOptions): Promise<FindPage>
  /** The source text of a place that is small, checked. */
  read(place: Pick<Place, 'start' | 'end'>): Promise<Buffer>
  /**
   * The source text of a place of any size, or a half-open range of it, streamed: no byte is given before it is checked. What is open
   * outlives the request's other reads.
   * @throws AppError `RANGE_NOT_SATISFIABLE`.
   */
  open(place: Pick<Place, 'start' | 'end' | 'sizeBytes'>, range?: ByteRange): Promise<OpenPayload>
}

export interface DocumentSource {
  readonly version: string
  readonly isInMemory: boolean
  readonly sizeBytes: number
  /** Null where all of it is at hand, and was checked. */
  readonly index: JsonIndex | null
  /** Where keys of large objects are; none where all of it is at hand. */
  readonly keys?: KeyFinder
  readonly reader: PartReader
  /** Told what a read showed of the place that it was read from. */
  readonly onFailure: (error: unknown) => void
}

export interface DocumentReads {
  readonly kept: KeptSpans
  readonly searches: Gate
  readonly signal?: AbortSignal | undefined
}

export function createStateDocument(source: DocumentSource, { kept, searches, signal }: DocumentReads): StateDocument {
  const { version, isInMemory, sizeBytes, index, keys, reader, onFailure } = source
  const readRange = shareRanges(reader, kept, signal)
  const bytes = {
    sizeBytes,
    read: readRange,
    stream: (start: number, end: number) => reader.stream({ start, end }, signal),
  }
  const document = openDocument({ index, keys, signal, ...bytes })
  const checked = createCheckedBytes({ source: bytes, runs: index?.runs ?? null, nearBytes: UNIT_BYTES })

  async function noting<T>(reading: Promise<T>): Promise<T> {
    reading.catch((error: unknown) => {
      if (isAppError(error)) onFailure(error)
    })
    return await reading
  }

  async function read({ start, end }: ByteRange): Promise<Buffer> {
    const [text] = await checked.take([{ start, end }])
    return text ?? Buffer.alloc(0)
  }

  async function open(place: Pick<Place, 'start' | 'end' | 'sizeBytes'>, range?: ByteRange): Promise<OpenPayload> {
    const { start, end, sizeBytes: placeBytes } = place
    if (range) requireWithin(range, placeBytes)
    const wanted = range ? { start: start + range.start, end: start + range.end } : { start, end }
    const chunks = checkedRuns(reader.stream(wholeRuns(checked, wanted), signal), checked, wanted)
    // What can fail before the first byte fails here.
    const first = await chunks.next()
    const body = Readable.from(joined(first, chunks), { objectMode: false })
    // A generator that nobody began to read does not hear that its reader has gone.
    body.once('close', () => void chunks.return(undefined).catch(() => {}))
    body.once('error', (error) => isAppError(error) && onFailure(error))
    return { sizeBytes: placeBytes, body, release: nothingHeld }
  }

  return {
    version,
    sizeBytes,
    index,
    isInMemory,
    at: (pointer) => noting(document.at(pointer)),
    children: (place, options) => noting(document.children(place, options)),
    preview: (place) => noting(document.preview(place)),
    read: (place) => noting(read(place)),
    open: (place, range) => noting(open(place, range)),
    async find(place, options) {
      const leave = await searches.enter(signal)
      try {
        return await noting(document.find(place, options))
      } finally {
        leave()
      }
    },
  }
}

async function* joined(
  first: IteratorResult<Buffer, undefined>,
  rest: AsyncGenerator<Buffer, undefined>,
): AsyncGenerator<Buffer> {
  if (first.done) return
  yield first.value
  yield* rest
}
