import { AppError } from '../../errors.ts'
import { createCheckedBytes } from './checked-bytes.ts'
import { readChildPage } from './child-pages.ts'
import { createDescent, type DescentOptions } from './descent.ts'
import { findInPlace } from './find.ts'
import { INDEX_ABOVE_BYTES, type JsonIndex, UNIT_BYTES } from './json-index.ts'
import type { ChildPage, ChildrenOptions, FindOptions, FindPage, Place } from './place.ts'
import { parsePointer } from './pointer.ts'
import { createSpots, type Spot } from './spots.ts'
import { previewOfValue } from './value-preview.ts'

/** The bytes of a document, wherever they are. */
export interface DocumentBytes {
  readonly sizeBytes: number
  /** All bytes of a half-open range of at least one; they are not changed afterwards. */
  read(start: number, end: number): Promise<Buffer>
  /** The same as a stream, for long ranges. Left early, it must let go. */
  stream(start: number, end: number): AsyncIterable<Uint8Array>
}

export interface DocumentOptions extends DocumentBytes, DescentOptions {
  /** Null only for a document of at most `INDEX_ABOVE_BYTES`: all of it is read, once. Its bytes are then checked by the caller. */
  readonly index: JsonIndex | null
}

/**
 * A document of which parts are read. What the index covers is read by whole runs, and nothing of a run is given before its hash is
 * right; runs nearer than 64 KiB to each other are read as one.
 * @throws AppError `OBJECT_CORRUPT`, by every method, where bytes are not those that the index was made of.
 */
export interface JsonDocument {
  /**
   * @param pointer RFC 6901. Of equal keys the last counts; keys are compared unescaped; `-` is no place.
   * @throws AppError `BAD_REQUEST` for what is no pointer; `POINTER_NOT_FOUND` with `nearest` in its details where nothing is.
   */
  at(pointer: string): Promise<Place>
  /**
   * The children of a place of this document, from anywhere on; none for a scalar.
   * @throws AppError `BAD_REQUEST` for a cursor of something else.
   */
  children(place: Place, options: ChildrenOptions): Promise<ChildPage>
  /** The beginning of its source text: at most 1,024 bytes of UTF-8, cut neither within a character nor within an escape. */
  preview(place: Place): Promise<string>
  /** @throws AppError `BAD_REQUEST` for a cursor that leads into the middle of something, or out of the place. */
  find(place: Place, options: FindOptions): Promise<FindPage>
}

export function openDocument({ index, keys, searchBytes, signal, ...source }: DocumentOptions): JsonDocument {
  const { sizeBytes } = source
  if (!index && sizeBytes > INDEX_ABOVE_BYTES) throw new RangeError('A large document is not read without its index')
  const top = index?.top ?? {
    from: 0,
    to: sizeBytes,
    ordinal: 0,
    count: 1,
    key: null,
    node: null,
    firstRun: 0,
    runCount: 1,
  }
  const checked = createCheckedBytes({ source, runs: index?.runs ?? null, nearBytes: index?.unitBytes ?? UNIT_BYTES })
  const spots = createSpots({ index: { top, scalars: index?.scalars ?? new Float64Array() }, checked })
  const descent = createDescent(spots, { keys, searchBytes, signal })

  /** The innermost spot that begins at an offset or around it; or the one whose key holds it. */
  async function spotAround(offset: number): Promise<Spot> {
    let spot = await spots.root()
    while (spot.start < offset && spot.childCount !== null) {
      const child = await descent.childAround(spot, offset)
      if (!child) break
      spot = child
    }
    return spot
  }

  async function spotAt({ start }: Place): Promise<Spot> {
    const spot = await spotAround(start)
    if (spot.start !== start) throw new AppError('BAD_REQUEST', 'There is no such place in this state')
    return spot
  }

  return {
    async at(pointer) {
      let spot = await spots.root()
      for (const token of parsePointer(pointer)) {
        const child = await descent.child(spot, token)
        if (!child) {
          const details = { nearest: spot.pointer }
          throw new AppError('POINTER_NOT_FOUND', 'The state has no value at this pointer', { details })
        }
        spot = child
      }
      return placeOf(spot)
    },

    async children(place, options) {
      const parent = await spotAt(place)
      const page = await readChildPage(spots, parent, options)
      const children = page.spots.map((spot) => ({
        place: placeOf(spot),
        cursor: { container: parent.start, ordinal: spot.ordinal },
      }))
      return { children, hasNext: page.hasNext }
    },

    preview: (place) => previewOfValue(checked, place),

    find: (place, options) => {
      const placeAround = async (offset: number) => placeOf(await spotAround(offset))
      const stream = (start: number, end: number) => source.stream(start, end)
      return findInPlace({ checked, stream, signal, placeAround }, place, options)
    },
  }
}

function placeOf({ pointer, key, index, type, start, end, sizeBytes, childCount }: Spot): Place {
  return { pointer, key, index, type, start, end, sizeBytes, childCount }
}
