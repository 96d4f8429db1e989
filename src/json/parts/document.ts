import type { JsonIndex } from './json-index.ts'
import type { ChildPage, ChildrenOptions, FindOptions, FindPage, Place } from './place.ts'

/** The bytes of a document, wherever they are. */
export interface DocumentBytes {
  readonly sizeBytes: number
  /** All bytes of a half-open range of at least one; they are not changed afterwards. */
  read(start: number, end: number): Promise<Buffer>
  /** The same as a stream, for long ranges. Left early, it must let go. */
  stream(start: number, end: number): AsyncIterable<Uint8Array>
}

export interface DocumentOptions extends DocumentBytes {
  /** Null only for a document of at most `INDEX_ABOVE_BYTES`: all of it is read, once. Its bytes are then checked by the caller. */
  readonly index: JsonIndex | null
  readonly signal?: AbortSignal
}

/**
 * A document of which parts are read. What the index covers is read by whole runs, and nothing of a run is given before its hash is
 * right; runs nearer than 64 KiB to each other are read as one.
 * @throws AppError `OBJECT_CORRUPT`, by every method, where bytes are not those that the index was made of.
 */
export interface JsonDocument {
  /**
   * @param pointer RFC 6901. Of equal keys the last counts; keys are compared unescaped; `-` is no place.
   * @throws AppError `BAD_REQUEST` for what is no pointer; `POINTER_NOT_FOUND` with `nearest` where nothing is.
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

export declare function openDocument(options: DocumentOptions): JsonDocument
