import { AppError } from '../errors.ts'
import { defineFields } from './fields.ts'
import { requireText } from './ids.ts'
import type { Instant } from './instant.ts'

export const RUN_STATUSES = ['UNKNOWN', 'QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'TIMED_OUT'] as const
export type RunStatus = (typeof RUN_STATUSES)[number]

/** Whether a run of this status has come to its end. */
export function isFinal(status: RunStatus): boolean {
  return status === 'SUCCEEDED' || status === 'FAILED' || status === 'CANCELED' || status === 'TIMED_OUT'
}

export interface Tag {
  readonly key: string
  readonly value: string
}

export interface ErrorInfo {
  readonly message: string
  readonly type?: string | null
  readonly stack?: string | null
}

export interface Run {
  readonly runId: string
  readonly workflowName: string | null
  readonly status: RunStatus
  readonly tags: readonly Tag[]
  readonly startedAt: Instant | null
  readonly endedAt: Instant | null
  readonly createdAt: Instant
  readonly updatedAt: Instant
  readonly expiresAt: Instant | null
  readonly parentRunId: string | null
  readonly error: ErrorInfo | null
  /** Whether nothing of it may go, neither by time nor by hand. */
  readonly legalHold: boolean
}

export const RUN_FIELDS = defineFields<Run>([
  'runId',
  'workflowName',
  'status',
  'tags',
  'startedAt',
  'endedAt',
  'createdAt',
  'updatedAt',
  'expiresAt',
  'parentRunId',
  'error',
  'legalHold',
])

/** What an upsert names; a field left out (undefined) keeps its value, null clears it. */
export interface RunChange {
  readonly runId: string
  readonly workflowName?: string | null
  readonly status?: RunStatus | null
  readonly tags?: readonly Tag[] | null
  readonly startedAt?: Instant | null
  readonly endedAt?: Instant | null
  readonly parentRunId?: string | null
  readonly error?: ErrorInfo | null
  readonly expiresAt?: Instant | null
}

export interface RunFilter {
  readonly status?: readonly RunStatus[] | null
  readonly workflowName?: string | null
  /** Every tag must be there. */
  readonly tags?: readonly Tag[] | null
  readonly parentRunId?: string | null
  /** Inclusive. */
  readonly createdFrom?: Instant | null
  /** Exclusive. */
  readonly createdBefore?: Instant | null
  /** The beginning of the run's id or of the workflow's name, letter for letter; an empty one is none. */
  readonly search?: string | null
  /** Whether the run itself failed: its status is FAILED or TIMED_OUT, or its producer told an error. */
  readonly hasErrors?: boolean | null
}

export const RUN_ORDERS = ['CREATED_DESC', 'CREATED_ASC'] as const
export type RunOrder = (typeof RUN_ORDERS)[number]

/** Counts and bytes of one run, from columns alone. Each costs something of its own: nothing is counted that nobody asks for. */
export interface RunStats {
  readonly stepCount: number
  readonly snapshotCount: number
  readonly objectCount: number
  readonly goldenCount: number
  readonly totalBytes: number
}

export const RUN_STATS_FIELDS = defineFields<RunStats>([
  'stepCount',
  'snapshotCount',
  'objectCount',
  'goldenCount',
  'totalBytes',
])

const TAGS_MAX = 64
/** Of a key, and of a value: they are indexed, and an index has room for little. */
const TAG_TEXT_MAX_BYTES = 1024
const TAGS_MAX_BYTES = 65_536

/** @throws AppError `BAD_REQUEST` unless the labels can be stored, and read with a page of other runs. */
export function requireTags(tags: readonly Tag[]): void {
  for (const { key, value } of tags) {
    requireText('tags.key', key, TAG_TEXT_MAX_BYTES)
    requireText('tags.value', value, TAG_TEXT_MAX_BYTES)
  }
  const sizeBytes = tags.reduce((sum, { key, value }) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0)
  if (tags.length > TAGS_MAX || sizeBytes > TAGS_MAX_BYTES) {
    throw new AppError('BAD_REQUEST', `tags must be at most ${TAGS_MAX}, and ${TAGS_MAX_BYTES} bytes in sum`)
  }
}
