/** What is known of one place without reading it. */
export interface Place {
  readonly pointer: string
  readonly key: string | null
  readonly index: number | null
  readonly type: 'OBJECT' | 'ARRAY' | 'STRING' | 'NUMBER' | 'BOOLEAN' | 'NULL'
  readonly sizeBytes: number
  /** Null of what has no children, and while it is not known. */
  readonly childCount: number | null
  /** Source text, at most 1 KiB; null where it could not be read. */
  readonly preview: string | null
}

export interface ChildPage {
  readonly places: readonly Place[]
  /** Children in all; null where that is not known. */
  readonly total: number | null
  readonly hasMore: boolean
}

/** Where the rows of a tree come from: a state on the server, or the text of a string. */
export interface TreeSource {
  /** @throws Fault, such as `POINTER_NOT_FOUND` with the nearest place. */
  placeAt(pointer: string, signal: AbortSignal): Promise<Place>
  /** Children from the given one on, at most a page of them. @throws Fault. */
  children(pointer: string, skip: number, signal: AbortSignal): Promise<ChildPage>
}

export const PAGE_ROWS = 100

export const previewOf = ({ preview }: Pick<Place, 'preview'>) => preview ?? ''

export const isContainer = ({ type }: Place) => type === 'OBJECT' || type === 'ARRAY'
