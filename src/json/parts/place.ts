export type JsonType = 'OBJECT' | 'ARRAY' | 'STRING' | 'NUMBER' | 'BOOLEAN' | 'NULL'

/** One value in a document. Offsets are bytes from the document's beginning; the range is half-open, without whitespace. */
export interface Place {
  /** RFC 6901; the empty text at the root. Lone surrogates of a key stand in it as they are. */
  readonly pointer: string
  /** In an object, unescaped; otherwise null. */
  readonly key: string | null
  /** In an array; otherwise null. */
  readonly index: number | null
  readonly type: JsonType
  readonly start: number
  readonly end: number
  readonly sizeBytes: number
  /** Of an object, duplicates included, or of an array; otherwise null. */
  readonly childCount: number | null
}

/** Where a page of children ended: checked when it comes back, never trusted. */
export interface ChildCursor {
  /** Where the container starts. */
  readonly container: number
  /** Of the last child that was given. */
  readonly ordinal: number
}

export interface ChildrenOptions {
  readonly first: number
  readonly after?: ChildCursor | null
  /** Children to leave out behind `after`, or from the beginning; they are not read. */
  readonly skip?: number
}

export interface ChildPage {
  /** In order; all of equal keys. It may be less than was asked for, where that would take too many bytes, but never none of some. */
  readonly children: readonly { readonly place: Place; readonly cursor: ChildCursor }[]
  readonly hasNext: boolean
}

export type FindIn = 'ANYWHERE' | 'KEYS' | 'VALUES'

/** Where a search goes on: a byte of the document. Checked when it comes back, never trusted. */
export interface FindCursor {
  readonly offset: number
}

export interface FindOptions {
  readonly text: string
  readonly in: FindIn
  readonly matchCase: boolean
  readonly first: number
  readonly after?: FindCursor | null
  /** A page ends when so many bytes were searched. */
  readonly maxBytes: number
}

export interface FindMatch {
  /** The value that holds the text, or whose key does. */
  readonly place: Place
  readonly in: 'KEYS' | 'VALUES'
  /** What is around the match, unescaped. */
  readonly excerpt: string
  /** The match in the excerpt, in UTF-16 units. */
  readonly start: number
  readonly end: number
  readonly cursor: FindCursor
}

export interface FindPage {
  /** In the order of the document; a place is given once for its key and once for its value. */
  readonly matches: readonly FindMatch[]
  readonly scannedBytes: number
  /** Null when all was searched. */
  readonly next: FindCursor | null
  /** False where the byte budget ended the page. */
  readonly isComplete: boolean
}
