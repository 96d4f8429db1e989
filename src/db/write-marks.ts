import { LRUCache } from 'lru-cache'
import { readPosition, type WriteMark } from '../model/position.ts'

/** What viewers wrote lately, and have to see. */
export interface WriteMarks {
  add(mark: WriteMark): void
  /** Undefined where nothing is known of him. */
  of(viewer: string): bigint | undefined
}

/** More viewers at once write only where names cost nothing. */
const VIEWERS_MAX = 50_000

/** @param seconds that a mark may count: whatever reads a standby is not further behind. */
export function createWriteMarks(seconds: number): WriteMarks {
  const marks = new LRUCache<string, bigint>({ max: VIEWERS_MAX, ttl: seconds * 1000 })
  return {
    add({ viewer, position }) {
      const place = readPosition(position)
      const known = marks.get(viewer)
      if (place !== null) marks.set(viewer, known !== undefined && known > place ? known : place)
    },
    of: (viewer) => marks.get(viewer),
  }
}
