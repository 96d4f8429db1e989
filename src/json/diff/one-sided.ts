import type { Place } from '../parts/place.ts'
import type { ChangePage, JsonDiff } from './diff.ts'
import { around, bytesIn } from './patch.ts'
import type { DiffDocument } from './side.ts'

/** A value that only one of two documents has. */
export interface OneSided {
  readonly document: DiffDocument
  readonly place: Place
  readonly op: 'ADDED' | 'REMOVED'
}

/** The one difference that there is: all of it. */
export function openOneSided({ document, place, op }: OneSided): JsonDiff {
  const { pointer } = place
  const isAdded = op === 'ADDED'
  const change = {
    op,
    pointer,
    fromPointer: null,
    before: isAdded ? null : place,
    after: isAdded ? place : null,
    trail: [],
  }
  const nothing: ChangePage = { changes: [], hasNext: false, end: null, isTruncated: false, isApproximate: false }
  return {
    isIdentical: async () => false,
    summary: async () => null,
    changes: async ({ first, after }) => {
      if (after) return nothing
      return first === 0 ? { ...nothing, hasNext: true } : { ...nothing, changes: [change], end: [] }
    },
    async *patch() {
      const path = JSON.stringify(pointer)
      const head = `[{"op":"${pointer === '' ? 'replace' : 'add'}","path":${path},"value":`
      if (isAdded) yield* around(head, bytesIn(document, place), '}]')
      else yield Buffer.from(`[{"op":"remove","path":${path}}]`)
    },
    mergePatch: async () => null,
  }
}
