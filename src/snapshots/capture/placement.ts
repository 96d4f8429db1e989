import type { StorageTier } from '../../model/snapshot.ts'

/** Where a payload of this many bytes goes; the limit itself is still inline. */
export function placementOf(sizeBytes: number, inlineMaxBytes: number): StorageTier {
  return sizeBytes <= inlineMaxBytes ? 'INLINE' : 'OBJECT'
}
