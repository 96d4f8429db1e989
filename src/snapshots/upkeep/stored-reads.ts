import type { Database } from '../../db/connect.ts'
import { recordJsonVerdict } from '../../db/queries/snapshot-findings.ts'
import { recordStoredBytes } from '../../db/queries/stored-bytes.ts'
import { INDEX_ABOVE_BYTES } from '../../json/parts/json-index.ts'
import { subjectOf, subjectOfDigest } from '../indexes/index-subject.ts'
import type { StateIndexes } from '../indexes/state-indexes.ts'
import type { Gate } from '../source/gate.ts'
import type { ObjectSource } from '../source/source.ts'
import { corrupt } from '../views/verified-body.ts'
import { type ReadThrough, readObject } from './read-through.ts'
import type { VerifyOptions } from './verifier.ts'

/** Objects that are read to their end: whatever reads one keeps what later readers need. */
export interface StoredReads {
  /**
   * Reads it past every cache, holds it to its digest, and keeps what was not known of it: its chunks' digests, whether it is JSON,
   * and its index.
   * @throws what the source throws; AppError `OBJECT_CORRUPT` where it is not what its digest says. What cannot be kept is no error
   * but for the chunks.
   */
  read(source: ObjectSource, options: StoredReadOptions): Promise<ReadThrough>
}

export interface StoredReadOptions extends VerifyOptions {
  readonly gate: Gate | null
  /** Whether its index was looked for in vain; where that is not known, it is looked for. */
  readonly lacksIndex?: true
}

export interface StoredReadsOptions {
  readonly db: Database
  readonly indexes: StateIndexes
}

export function createStoredReads({ db, indexes }: StoredReadsOptions): StoredReads {
  async function lacksIndex(source: ObjectSource): Promise<boolean> {
    // Which version of another writer's object it is shows when it is open.
    if (source.kind === 'foreign') return true
    const isLarge = source.digest !== null && (source.sizeBytes ?? 0) > INDEX_ABOVE_BYTES
    return isLarge && !(await indexes.has(subjectOfDigest(source)))
  }

  async function keep(source: ObjectSource, read: ReadThrough, options: StoredReadOptions): Promise<void> {
    const { version, isJson, index } = read
    const { snapshot, kind } = source
    const { etag } = version
    if (kind === 'foreign' && etag !== null) await recordJsonVerdict(db, snapshot, { isJson, etag })
    const subject = subjectOf(source, version)
    if (index && subject && (options.lacksIndex || !(await indexes.has(subject)))) await indexes.keep(subject, index)
  }

  return {
    async read(source, options) {
      const { storageUri, kind } = source
      const isMeasured = kind === 'foreign' || (await source.stored()) !== null
      const wantsIndex = options.lacksIndex ?? (await lacksIndex(source))
      const read = await readObject(source, { ...options, isMeasured, wantsIndex })
      const isRight = read.digest === source.digest && (source.sizeBytes ?? read.sizeBytes) === read.sizeBytes
      // What was stored before such notes were made can be read in parts from now on.
      if (read.stored && isRight) await recordStoredBytes(db, storageUri, read.stored)
      if (source.digest !== null && !isRight) throw corrupt()
      await keep(source, read, options).catch(() => {})
      return read
    },
  }
}
