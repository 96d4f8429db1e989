import { AppError } from '../errors.ts'
import { defineFields, type Fields } from './fields.ts'
import { requireText } from './ids.ts'
import type { Instant } from './instant.ts'

export const SNAPSHOT_KINDS = ['INPUT', 'CHECKPOINT', 'OUTPUT', 'ERROR'] as const
export type SnapshotKind = (typeof SNAPSHOT_KINDS)[number]

export const STORAGE_TIERS = ['INLINE', 'OBJECT'] as const
export type StorageTier = (typeof STORAGE_TIERS)[number]

export const STORAGE_STATES = ['AVAILABLE', 'MISSING', 'CORRUPT', 'UNKNOWN'] as const
export type StorageState = (typeof STORAGE_STATES)[number]

/** The largest object that S3 holds: 5 TiB. */
export const OBJECT_MAX_BYTES = 5 * 2 ** 40

/** What a digest is of: the bytes that are read, or a text that its database has since written anew. */
export const DIGEST_SOURCES = ['PAYLOAD', 'SOURCE'] as const
export type DigestOf = (typeof DIGEST_SOURCES)[number]

export const INTEGRITIES = ['VERIFIED', 'MISMATCH', 'NOT_VERIFIABLE', 'NOT_CHECKED'] as const
export type Integrity = (typeof INTEGRITIES)[number]

export const SNAPSHOT_ORDERS = ['SEQ_ASC', 'SEQ_DESC'] as const
export type SnapshotOrder = (typeof SNAPSHOT_ORDERS)[number]

/** Whether one version of a stored object is JSON. */
export interface JsonVerdict {
  readonly isJson: boolean
  readonly etag: string
}

/** By whom or what a state was approved as a reference. */
export interface GoldenApproval {
  readonly source: string
  /** JSON as it was given. */
  readonly metadata: Buffer | null
  readonly approvedAt: Instant
}

/** Everything about a captured state but the state itself. */
export interface Snapshot {
  readonly snapshotId: string
  readonly runId: string
  readonly stepId: string | null
  readonly attempt: number
  /** 64-bit integer: a number up to 2^53 - 1, beyond that its digits. */
  readonly seq: number | string
  readonly kind: SnapshotKind
  readonly createdAt: Instant
  readonly isSuccessState: boolean
  readonly isGolden: boolean
  readonly replaySafe: boolean
  readonly piiTags: readonly string[]
  readonly redactionPolicy: string | null
  /** JSON as it was captured. */
  readonly metadata: Buffer | null
  readonly sizeBytes: number | null
  /** `sha256:<64 hex>` before any content encoding; `digestOf` tells of what. */
  readonly digest: string | null
  /** Null without a digest, and while nobody knows yet which of two copies it belongs to. */
  readonly digestOf: DigestOf | null
  /** What is known without reading the payload. */
  readonly integrity: Integrity
  readonly contentType: string
  readonly contentEncoding: string
  /** Null where the payload is read from the row, whatever URI another writer left beside it. */
  readonly storageUri: string | null
  /** Whether another writer also left the state in the row. The object is read while it checks, that copy otherwise. */
  readonly hasInlineCopy: boolean
  readonly storageState: StorageState
  readonly preview: string | null
  readonly expiresAt: Instant | null
  /** Null for a state that is not golden, and for one that became it without this server. */
  readonly goldenApproval: GoldenApproval | null
  /** Whether this server captured it, and so knows that its payload is JSON. */
  readonly isOwn: boolean
  /** What a check of an object that this server did not write has shown; null before one, and for every other payload. */
  readonly jsonVerdict: JsonVerdict | null
  /** JSON of an inline payload, where it was read along with the rest; null for every other payload. */
  readonly inlinePayload?: Buffer | null
  /** The row, where the rest is what a viewer sees of it who may not have all. Nothing of it is for him. */
  readonly row?: Snapshot
}

/** A snapshot with all that its row says, whoever looks. */
export function rowOf(snapshot: Snapshot): Snapshot {
  return snapshot.row ?? snapshot
}

export const SNAPSHOT_FIELDS = defineFields<Snapshot>([
  'snapshotId',
  'runId',
  'stepId',
  'attempt',
  'seq',
  'kind',
  'createdAt',
  'isSuccessState',
  'isGolden',
  'replaySafe',
  'piiTags',
  'redactionPolicy',
  'metadata',
  'sizeBytes',
  'digest',
  'digestOf',
  'integrity',
  'contentType',
  'contentEncoding',
  'storageUri',
  'hasInlineCopy',
  'storageState',
  'preview',
  'expiresAt',
  'goldenApproval',
  'isOwn',
  'jsonVerdict',
  'inlinePayload',
])

/** Everything that is known without reading a payload. */
export const SNAPSHOT_METADATA: Fields<Snapshot> = SNAPSHOT_FIELDS.all & ~SNAPSHOT_FIELDS.pick(['inlinePayload'])

/** What a verification needs of a snapshot, beside its id. */
export const VERIFICATION_NEEDS = [
  'sizeBytes',
  'digest',
  'digestOf',
  'contentEncoding',
  'storageUri',
  'hasInlineCopy',
  'storageState',
  'isOwn',
] as const satisfies readonly (keyof Snapshot)[]

/** Inline payloads up to this many bytes are read along with their rows; larger ones only when their turn comes. */
export const SMALL_PAYLOAD_BYTES = 16_384

export interface SnapshotFilter {
  readonly kind?: readonly SnapshotKind[] | null
  readonly stepId?: string | null
  readonly isGolden?: boolean | null
  readonly isSuccessState?: boolean | null
  readonly storageTier?: StorageTier | null
  /** Inclusive. */
  readonly createdFrom?: Instant | null
  /** Exclusive. */
  readonly createdBefore?: Instant | null
}

/** What a producer says about a state that it records. */
export interface CaptureInput {
  readonly runId: string
  readonly stepId?: string | null
  readonly attempt?: number | null
  readonly kind?: SnapshotKind | null
  readonly snapshotId?: string | null
  readonly idempotencyKey?: string | null
  /** JSON text. */
  readonly metadata?: string | null
  readonly isSuccessState?: boolean | null
  readonly replaySafe?: boolean | null
  readonly piiTags?: readonly string[] | null
  readonly redactionPolicy?: string | null
  readonly expiresAt?: Instant | null
  /** Media type of the payload; `application/json` where it is left out. It makes no other capture of the same one. */
  readonly contentType?: string
}

const PII_TAGS_MAX = 64

/** @throws AppError `BAD_REQUEST` unless the tags can be stored, and read with a page of other snapshots. */
export function requirePiiTags(tags: readonly string[]): void {
  for (const tag of tags) requireText('piiTags', tag, 256)
  if (tags.length > PII_TAGS_MAX) throw new AppError('BAD_REQUEST', `piiTags must be at most ${PII_TAGS_MAX}`)
}

export interface Captured {
  readonly snapshot: Snapshot
  /** False when the same capture was stored before. */
  readonly created: boolean
}

export function storageTierOf(snapshot: Pick<Snapshot, 'storageUri'>): StorageTier {
  return snapshot.storageUri === null ? 'INLINE' : 'OBJECT'
}
