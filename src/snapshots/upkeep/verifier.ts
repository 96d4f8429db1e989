import { createHash } from 'node:crypto'
import type { Database } from '../../db/connect.ts'
import { recordVerification, settleOnCopy, settleOnObject, type Verified } from '../../db/queries/snapshot-findings.ts'
import { isAppError } from '../../errors.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { formatDigest } from '../measure.ts'
import type { Admission } from '../source/admission.ts'
import { isObject, type RowSource } from '../source/source.ts'
import { isLost } from '../source/sources.ts'
import { chunksOf } from '../views/payload-bytes.ts'
import type { Payloads } from '../views/payloads.ts'
import type { ReadThrough } from './read-through.ts'
import type { StoredReads } from './stored-reads.ts'

export interface Verification {
  readonly integrity: 'VERIFIED' | 'MISMATCH' | 'NOT_VERIFIABLE'
  /** Bytes of the payload; null where it was not read to its end. */
  readonly sizeBytes: number | null
  /** False for what can be downloaded, and not be part of an answer. */
  readonly isJson: boolean
}

export interface VerifyOptions {
  readonly signal?: AbortSignal
  /** Told how many bytes have come; the next ones are read when it resolves. */
  readonly onBytes?: (count: number) => Promise<void>
  /** Waits before a read that broke in passing goes on where it was; rejects to give up. Left out: nobody waits. */
  readonly onBreak?: (error: unknown, fruitless: number) => Promise<void>
}

export interface Verifier {
  /**
   * Reads the whole payload from where it is stored, past every cache, compares it with its digest, and records what that showed.
   * A state that another writer left twice is settled anew: on its object if that is JSON and has the digest, otherwise on the
   * copy in the row, which no digest can check.
   * @throws what reading the payload throws, and database errors; `OBJECT_CORRUPT` is the answer `MISMATCH`.
   * `OVERLOADED` when too many objects are being read.
   */
  verify(snapshot: Snapshot, options?: VerifyOptions): Promise<Verification>
}

export interface VerifierOptions {
  readonly db: Database
  readonly payloads: Pick<Payloads, 'resolveStored' | 'open' | 'read'>
  /** Bounds the objects that are read at once; left out, nothing does. */
  readonly admission?: Admission | undefined
  readonly reads: StoredReads
}

type Read = Pick<ReadThrough, 'sizeBytes' | 'digest' | 'isJson'>

const ON_COPY: Verification = { integrity: 'NOT_VERIFIABLE', sizeBytes: null, isJson: true }

export function createVerifier({ db, payloads, admission, reads }: VerifierOptions): Verifier {
  async function verifyOne(snapshot: Snapshot, options: VerifyOptions): Promise<Verification> {
    try {
      const { sizeBytes, digest, isJson } = await readThrough(snapshot, options)
      const isRight = digest === snapshot.digest
      const integrity = snapshot.digestOf !== 'PAYLOAD' ? 'NOT_VERIFIABLE' : isRight ? 'VERIFIED' : 'MISMATCH'
      return { integrity, sizeBytes, isJson }
    } catch (error) {
      if (isAppError(error, 'OBJECT_CORRUPT')) return { integrity: 'MISMATCH', sizeBytes: null, isJson: true }
      throw error
    }
  }

  async function verifyTwo(snapshot: Snapshot, options: VerifyOptions): Promise<Verification> {
    if (snapshot.digest !== null) {
      try {
        const { sizeBytes, isJson } = await readThrough(snapshot, options)
        if (isJson) {
          await settleOnObject(db, snapshot, sizeBytes)
          return { integrity: 'VERIFIED', sizeBytes, isJson }
        }
      } catch (error) {
        if (!isLost(error)) throw error
      }
    }
    await settleOnCopy(db, snapshot)
    return ON_COPY
  }

  async function readThrough(snapshot: Snapshot, options: VerifyOptions): Promise<Read> {
    const source = payloads.resolveStored(snapshot)
    if (!isObject(source)) return await readRow(source, options)
    const gate = admission?.streams ?? null
    return await payloads.read(source, (coded) => reads.read(coded, { ...options, gate }))
  }

  async function readRow(source: RowSource, { signal, onBytes }: VerifyOptions): Promise<Read> {
    const { body, release } = await payloads.open(source, { signal })
    const hash = createHash('sha256')
    let sizeBytes = 0
    try {
      for await (const chunk of chunksOf(body)) {
        signal?.throwIfAborted()
        sizeBytes += chunk.length
        hash.update(chunk)
        await onBytes?.(chunk.length)
      }
    } finally {
      release()
    }
    return { sizeBytes, digest: formatDigest(hash.digest()), isJson: true }
  }

  return {
    async verify(snapshot, options = {}) {
      try {
        const verification = await (snapshot.hasInlineCopy ? verifyTwo : verifyOne)(snapshot, options)
        await recordVerification(db, snapshot, toRecord(snapshot, verification))
        return verification
      } catch (error) {
        if (isAppError(error, 'OBJECT_MISSING')) {
          const missing: Verified = { storageState: 'MISSING', integrity: null, sizeBytes: null }
          await recordVerification(db, snapshot, missing)
        }
        throw error
      }
    },
  }
}

function toRecord({ digest }: Snapshot, { integrity, sizeBytes }: Verification): Verified {
  return {
    storageState: integrity === 'MISMATCH' ? 'CORRUPT' : 'AVAILABLE',
    integrity,
    // An object that nothing vouches for may be replaced by one of another size.
    sizeBytes: digest === null ? null : sizeBytes,
  }
}
