import { INDEX_ABOVE_BYTES } from '../../json/parts/json-index.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { isObject, type ObjectSource } from '../source/source.ts'
import type { StoredReads } from '../upkeep/stored-reads.ts'
import type { VerifyOptions } from '../upkeep/verifier.ts'
import type { Payloads } from '../views/payloads.ts'
import { subjectOf } from './index-subject.ts'
import type { StateIndexes } from './state-indexes.ts'

export interface IndexMade {
  readonly outcome: 'made' | 'there already' | 'not needed' | 'not JSON'
  /** That were read for it. */
  readonly sizeBytes: number
}

export interface MakeIndexOptions {
  readonly payloads: Pick<Payloads, 'resolve' | 'read'>
  readonly indexes: StateIndexes
  readonly reads: StoredReads
}

/** Makes the index of a state that has none. @throws what reading it throws, and `OBJECT_CORRUPT`. */
export type MakeIndex = (snapshot: Snapshot, options: VerifyOptions) => Promise<IndexMade>

export function createMakeIndex({ payloads, indexes, reads }: MakeIndexOptions): MakeIndex {
  async function make(source: ObjectSource, options: VerifyOptions): Promise<IndexMade> {
    if (source.kind === 'own' && (source.sizeBytes ?? 0) <= INDEX_ABOVE_BYTES) return NOT_NEEDED
    const version = source.kind === 'own' ? null : await source.stat(options.signal)
    const isPlain = source.contentEncoding === 'identity'
    if (version && isPlain && version.sizeBytes <= INDEX_ABOVE_BYTES) return NOT_NEEDED
    const subject = subjectOf(source, version)
    // What nothing tells from another version is read whole each time.
    if (!subject) return NOT_NEEDED
    if (await indexes.has(subject)) return { outcome: 'there already', sizeBytes: 0 }
    const pinned = version ? source.pin(version.etag) : source
    const { sizeBytes, isJson, index } = await reads.read(pinned, { ...options, gate: null, lacksIndex: true })
    if (!isJson) return { outcome: 'not JSON', sizeBytes }
    if (!index) return { outcome: 'not needed', sizeBytes }
    // A reader does not fail with an index that could not be kept; whoever makes it for others does.
    if (!(await indexes.has(subject))) await indexes.keep(subject, index)
    return { outcome: 'made', sizeBytes }
  }

  return async (snapshot, options) => {
    const source = await payloads.resolve(snapshot, { signal: options.signal })
    return isObject(source) ? await payloads.read(source, (coded) => make(coded, options)) : NOT_NEEDED
  }
}

const NOT_NEEDED: IndexMade = { outcome: 'not needed', sizeBytes: 0 }
