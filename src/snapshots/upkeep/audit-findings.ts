import type { Database } from '../../db/connect.ts'
import type { Storage } from '../../storage/registry.ts'

/** What is not as it should be with one object. */
export const AUDIT_KINDS = ['orphan', 'missing', 'size', 'corrupt', 'uncovered', 'unnamed', 'unreadable'] as const
/**
 * `orphan`: bytes that nobody knows. `missing`: a state whose object is gone. `size`, `corrupt`: an object that is not what was stored.
 * `uncovered`: a state whose object the ledger does not keep. `unnamed`: an object that the ledger keeps and no state names.
 * `unreadable`: its store refused, or did not answer.
 */
export type AuditKind = (typeof AUDIT_KINDS)[number]

export interface AuditFinding {
  readonly kind: AuditKind
  readonly storageUri: string
  readonly snapshotId: string
  readonly sizeBytes?: number
}

export interface AuditCounts {
  /** Objects of ours that the stores list. */
  readonly listed: number
  /** Of those nobody knows, the ones that are too young to be called orphans. */
  readonly young: number
  /** Objects of the ledger that were looked at, and of those, whose bytes were read. */
  readonly checked: number
  readonly sampled: number
  /** States that were looked through. */
  readonly states: number
}

export interface AuditOptions {
  readonly db: Database
  readonly storage: Storage
  /** Bytes that nobody knows are orphans from this age on, in days. */
  readonly minAgeDays: number
  /** Of each hundred objects so many have one chunk read and compared. */
  readonly samplePercent: number
  /** Objects that a store is asked for, at most. */
  readonly perSecond: number
  readonly onFinding: (finding: AuditFinding) => void
  readonly onProgress: (counts: AuditCounts) => void
  readonly signal: AbortSignal
}

/** The same while it is counted. */
export type Counting = { -readonly [Name in keyof AuditCounts]: number }
