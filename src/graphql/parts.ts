import { hash } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Place } from '../json/parts/place.ts'
import { type CursorCheck, decodeCursor, encodeCursor, MAX_PAGE_SIZE } from '../model/page.ts'
import type { Asked } from '../snapshots/views/parts.ts'
import type { StateDocument } from '../snapshots/views/state-document.ts'
import type { Connection } from './connection.ts'
import type { Context } from './context.ts'

/** One place in a state on its way through one answer. */
export interface PartNode {
  readonly snapshot: Asked
  /** Of the state: a place of another one is another place. */
  readonly version: string
  readonly place: Place
}

/** @throws AppError `STORAGE_UNAVAILABLE` when the state was replaced since the place was found; what opening it throws. */
export async function documentOf({ snapshot, version }: PartNode, { parts }: Context): Promise<StateDocument> {
  const document = await parts.open(snapshot)
  if (document.version === version) return document
  throw new AppError('STORAGE_UNAVAILABLE', 'The object was replaced while it was read')
}

/** Cursors of one list within one version of one state: those of any other are refused. */
export interface PartCursors {
  encode(position: readonly number[]): string
  /** @throws AppError `BAD_REQUEST`. */
  decode(cursor: string): readonly number[]
}

/** @param of what the list depends on beside the state, such as its container. */
export function createPartCursors(list: string, { snapshot, version }: PartNode, of: readonly unknown[]): PartCursors {
  const binding = hash('sha256', JSON.stringify([snapshot.snapshotId, version, ...of]), 'base64url').slice(0, 22)
  const isBound: CursorCheck = { test: (part) => part === binding }
  return {
    encode: (position) => encodeCursor(list, [binding, ...position.map(String)]),
    decode: (cursor) => decodeCursor(list, cursor, [isBound, OFFSET, OPTIONAL_OFFSET]).slice(1).map(Number),
  }
}

const OFFSET: CursorCheck = /^\d{1,15}$/
const OPTIONAL_OFFSET: CursorCheck = { test: (part) => OFFSET.test(part), isOptional: true }

/** @throws AppError `BAD_REQUEST`. */
export function requirePage({ first, skip = 0 }: { readonly first: number; readonly skip?: number }): void {
  if (first < 0 || first > MAX_PAGE_SIZE) throw new AppError('BAD_REQUEST', `first must be 0 to ${MAX_PAGE_SIZE}`)
  if (skip < 0) throw new AppError('BAD_REQUEST', 'skip counts from 0')
}

/** A page that knows its own ends. */
export function toPartConnection<T>(
  edges: Connection<T>['edges'],
  ends: Pick<Connection<T>['pageInfo'], 'hasNextPage' | 'hasPreviousPage'> & { readonly endCursor?: string },
): Connection<T> {
  const { hasNextPage, hasPreviousPage, endCursor = edges.at(-1)?.cursor ?? null } = ends
  const pageInfo = { hasNextPage, hasPreviousPage, startCursor: edges[0]?.cursor ?? null, endCursor }
  return { edges, pageInfo, totalCount: null }
}
