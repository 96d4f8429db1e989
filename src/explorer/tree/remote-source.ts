import { ask } from '../api/client.ts'
import { Fault } from '../api/fault.ts'
import { ChildrenDocument, PlaceDocument, RawDocument } from '../generated/documents.ts'
import type { TreeSource } from './source.ts'

/** The tree of a stored state: each question reads one place, or one page of children. */
export function createRemoteSource(id: string): TreeSource {
  return {
    async placeAt(pointer, signal) {
      const { data, faults } = await ask(PlaceDocument, { id, pointer }, signal)
      const place = data.snapshotById?.at
      if (!place) throw faults[0] ?? gone(data.snapshotById)
      return place
    },
    async children(pointer, skip, signal) {
      const { data, faults } = await ask(ChildrenDocument, { id, pointer, skip }, signal)
      const children = data.snapshotById?.at?.children
      if (!children) throw faults[0] ?? gone(data.snapshotById)
      return { places: children.nodes, total: children.totalCount ?? null, hasMore: children.pageInfo.hasNextPage }
    },
  }
}

export interface RawQuestion {
  readonly id: string
  readonly pointer: string
  readonly maxBytes: number
}

/** Source text of a value, whole. @throws Fault `PAYLOAD_TOO_LARGE` above the limit, and others. */
export async function readRaw(question: RawQuestion, signal: AbortSignal): Promise<string> {
  const { data, faults } = await ask(RawDocument, question, signal)
  const raw = data.snapshotById?.at?.raw
  if (raw === null || raw === undefined) throw faults[0] ?? gone(data.snapshotById)
  return raw
}

function gone(snapshot: object | null | undefined): Fault {
  return snapshot
    ? new Fault('NOT_FOUND', 'There is nothing to read')
    : new Fault('DELETED', 'The state is not there any more')
}
