import { hash, randomUUID } from 'node:crypto'
import type { Database } from '../../db/connect.ts'
import { type EarlierCapture, findEarlierCapture, insertSnapshot, type NewSnapshot } from '../../db/queries/captures.ts'
import { AppError, isAppError } from '../../errors.ts'
import { previewOf } from '../../json/preview.ts'
import { createJsonScanner } from '../../json/scanner.ts'
import { isUuid, requireOpaqueId, requireText } from '../../model/ids.ts'
import { type Captured, type CaptureInput, requirePiiTags } from '../../model/snapshot.ts'
import type { Encoding } from '../encoding.ts'
import { digestOfParts, PREVIEW_MAX_BYTES } from '../measure.ts'
import type { Measured } from './capture-stream.ts'

/** A capture whose snapshot has its id. */
export type NamedInput = CaptureInput & Pick<NewSnapshot, 'snapshotId' | 'isNamed'>

/** @throws AppError `BAD_REQUEST`, `INVALID_PAYLOAD` for metadata that is not JSON. */
export function checkInput({ runId, stepId, snapshotId, idempotencyKey, attempt, ...input }: CaptureInput): void {
  requireOpaqueId('runId', runId)
  if (stepId != null) requireOpaqueId('stepId', stepId)
  if (idempotencyKey != null) requireOpaqueId('idempotencyKey', idempotencyKey)
  if (snapshotId != null && !isUuid(snapshotId)) throw new AppError('BAD_REQUEST', 'snapshotId must be a UUID')
  requireAttempt(attempt)
  if (input.metadata != null) checkJson(Buffer.from(input.metadata))
  if (input.redactionPolicy != null) requireText('redactionPolicy', input.redactionPolicy, 1024)
  requirePiiTags(input.piiTags ?? [])
}

export function requireAttempt(attempt: number | null | undefined): void {
  if (attempt != null && attempt < 1) throw new AppError('BAD_REQUEST', 'attempt counts from 1')
}

/** What was stored, or stored and deleted, under an id or a key that the caller chose; null where there was none. */
export async function findEarlier(db: Database, input: CaptureInput, named: NamedInput) {
  const isKnown = input.snapshotId != null || input.idempotencyKey != null
  return isKnown ? await findEarlierCapture(db, named) : null
}

export function nameInput(input: CaptureInput): NamedInput {
  return { ...input, snapshotId: input.snapshotId?.toLowerCase() ?? randomUUID(), isNamed: input.snapshotId != null }
}

/** What a pass over a payload teaches, of one that is at hand. @throws AppError `INVALID_PAYLOAD`. */
export function measureWhole(bytes: Buffer): Measured {
  checkJson(bytes)
  return {
    sizeBytes: bytes.length,
    contentDigest: hash('sha256', bytes, 'buffer'),
    preview: previewOf(bytes.subarray(0, PREVIEW_MAX_BYTES), bytes.length),
  }
}

/** The row of a capture, without its payload and its object. */
export function describeCapture(input: NamedInput, { sizeBytes, contentDigest, preview }: Measured): NewSnapshot {
  const { runId, stepId, attempt, kind, metadata, isSuccessState, replaySafe, piiTags, redactionPolicy } = input
  return {
    ...input,
    payload: null,
    storageUri: null,
    contentEncoding: 'identity',
    sizeBytes,
    contentDigest,
    preview,
    stored: null,
    versionId: null,
    requestDigest: digestOfParts([
      runId,
      stepId,
      attempt ?? 1,
      kind ?? 'CHECKPOINT',
      metadata,
      isSuccessState ?? false,
      replaySafe ?? false,
      redactionPolicy,
      ...(piiTags ?? []),
      contentDigest.toString('hex'),
    ]),
  }
}

/** The stored snapshot, when this capture says the same. @throws AppError `CONFLICT`. */
export function repeatOf(earlier: EarlierCapture, { requestDigest, snapshotId, isNamed }: NewSnapshot): Captured {
  if (earlier.state === 'deleted') throw deletedBefore()
  const isOther = isNamed === true && earlier.snapshot.snapshotId !== snapshotId
  if (isOther || !earlier.requestDigest?.equals(requestDigest)) {
    throw new AppError('CONFLICT', 'Another capture has that snapshotId or idempotencyKey')
  }
  return { snapshot: earlier.snapshot, created: false }
}

export function deletedBefore(): AppError {
  return new AppError('CONFLICT', 'That snapshot was captured before, and deleted')
}

/** Does as `insertSnapshot`; where the reply may be lost although the commit was not, the row itself tells. */
export async function insertOrFind(db: Database, snapshot: NewSnapshot): Promise<Captured | null> {
  try {
    const stored = await insertSnapshot(db, snapshot)
    return stored && { snapshot: stored, created: true }
  } catch (error) {
    if (!isAppError(error) || error.code === 'BAD_REQUEST') throw error
    const stored = await findEarlierCapture(db, snapshot).catch(() => null)
    if (stored) return { ...repeatOf(stored, snapshot), created: true }
    throw error
  }
}

/** Never used twice, so that bytes under a key never change and a late delete never hits a newer object. */
export function objectKey(snapshotId: string, encoding?: Encoding): string {
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '/')
  const suffix = encoding === undefined ? '' : { gzip: '.gz', zstd: '.zst' }[encoding]
  return `snapshots/${day}/${snapshotId}-${randomUUID()}.json${suffix}`
}

/** Bounds the depth as well: readers of JSON must survive it. @throws AppError `INVALID_PAYLOAD`. */
export function checkJson(bytes: Buffer): void {
  const scanner = createJsonScanner()
  scanner.write(bytes)
  scanner.end()
}
