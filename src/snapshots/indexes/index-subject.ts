import type { StateIndexKey } from '../../db/queries/state-indexes.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { ObjectStat } from '../../storage/backend.ts'
import { digestOfParts } from '../measure.ts'
import type { ObjectSource } from '../source/source.ts'

/** The bytes that an index is of. */
export interface IndexSubject extends StateIndexKey {
  /** Of the payload; null where only reading it tells. */
  readonly sizeBytes: number | null
}

/** Of a payload that this server captured: its digest vouches for it, wherever it lies. */
export function subjectOfDigest({ digest, sizeBytes }: Pick<Snapshot, 'digest' | 'sizeBytes'>): IndexSubject {
  return { key: Buffer.from((digest ?? '').slice('sha256:'.length), 'hex'), snapshotId: null, sizeBytes }
}

/** Of one version of an object that another writer may replace. */
function subjectOfVersion(
  { storageUri, snapshot }: Pick<ObjectSource, 'storageUri' | 'snapshot'>,
  { sizeBytes, etag }: ObjectStat,
): IndexSubject {
  return { key: digestOfParts([storageUri, sizeBytes, etag]), snapshotId: snapshot.snapshotId, sizeBytes: null }
}

/**
 * Of an object.
 * @param version null where this server alone writes it.
 * @returns null where nothing tells one version of it from another.
 */
export function subjectOf(source: ObjectSource, version: ObjectStat | null): IndexSubject | null {
  if (source.kind === 'own') return source.digest === null ? null : subjectOfDigest(source)
  return version === null || version.etag === null ? null : subjectOfVersion(source, version)
}

/** As the entries of an index name what they are of. */
export function nameOf({ key }: Pick<IndexSubject, 'key'>): string {
  return `sha256:${key.toString('hex')}`
}
