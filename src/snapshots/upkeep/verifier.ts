import { createHash } from 'node:crypto'
import type { Database } from '../../db/connect.ts'
import { recordVerification, settleOnCopy, settleOnObject, type Verified } from '../../db/queries/snapshot-findings.ts'
import { AppError, isAppError } from '../../errors.ts'
import { createJsonScanner } from '../../json/scanner.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { formatDigest } from '../measure.ts'
import type { Admission } from '../source/admission.ts'
import { isLost } from '../source/two-copies.ts'
import { chunksOf } from '../views/payload-bytes.ts'
import type { Payloads } from '../views/payloads.ts'

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
  readonly payloads: Pick<Payloads, 'openStored'>
  /** Bounds the objects that are read at once; left out, nothing does. */
  readonly admission?: Admission | undefined
}

const ON_COPY: Verification = { integrity: 'NOT_VERIFIABLE', sizeBytes: null, isJson: true }

export function createVerifier({ db, payloads, admission }: VerifierOptions): Verifier {
  async function verifyOne(snapshot: Snapshot, options: VerifyOptions): Promise<Verification> {
    try {
      const { sizeBytes, digest, isJson } = await readThrough(snapshot, options)
      const isRight = digest === null || digest === snapshot.digest
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
          await settleOnObject(db, { ...snapshot, sizeBytes })
          return { integrity: 'VERIFIED', sizeBytes, isJson }
        }
      } catch (error) {
        if (!isLost(error)) throw error
      }
    }
    await settleOnCopy(db, snapshot)
    return ON_COPY
  }

  /** An object comes with its digest checked; of a payload in a row the digest is computed here. */
  async function readThrough(snapshot: Snapshot, { signal, onBytes }: VerifyOptions) {
    const { body } = await payloads.openStored(snapshot, { signal })
    const hash = snapshot.storageUri === null ? createHash('sha256') : null
    const json = snapshot.isOwn || snapshot.storageUri === null ? null : createJsonCheck()
    let sizeBytes = 0
    for await (const chunk of chunksOf(body)) {
      signal?.throwIfAborted()
      sizeBytes += chunk.length
      hash?.update(chunk)
      json?.write(chunk)
      await onBytes?.(chunk.length)
    }
    return { sizeBytes, digest: hash && formatDigest(hash.digest()), isJson: json?.end() ?? true }
  }

  return {
    async verify(snapshot, options = {}) {
      const leave = snapshot.storageUri === null ? undefined : await admission?.streams.enter(options.signal)
      try {
        const verification = await (snapshot.hasInlineCopy ? verifyTwo : verifyOne)(snapshot, options)
        await recordVerification(db, snapshot.snapshotId, toRecord(snapshot, verification))
        return verification
      } catch (error) {
        if (isAppError(error, 'OBJECT_MISSING')) {
          const missing: Verified = { storageState: 'MISSING', integrity: null, sizeBytes: null }
          await recordVerification(db, snapshot.snapshotId, missing)
        }
        throw error
      } finally {
        leave?.()
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

/** Goes on after the first byte that is not JSON: the digest is of all of them. */
function createJsonCheck() {
  const scanner = createJsonScanner()
  let isJson = true
  const attempt = (step: () => void) => {
    if (!isJson) return
    try {
      step()
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      isJson = false
    }
  }
  return {
    write: (chunk: Buffer) => attempt(() => scanner.write(chunk)),
    end(): boolean {
      attempt(() => scanner.end())
      return isJson
    },
  }
}
