import { defineFields } from './fields.ts'

export const RUN_STATUSES = ['UNKNOWN', 'QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'TIMED_OUT'] as const
export type RunStatus = (typeof RUN_STATUSES)[number]

export interface Tag {
  readonly key: string
  readonly value: string
}

export interface ErrorInfo {
  readonly message: string
  readonly type?: string | null
  readonly stack?: string | null
}

/** An instant as RFC 3339 text in UTC with up to six digits of a second, so that it keeps PostgreSQL's precision. */
export type Instant = string

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
}

export const RUN_ORDERS = ['CREATED_DESC', 'CREATED_ASC'] as const
export type RunOrder = (typeof RUN_ORDERS)[number]

/** Counts and bytes of one run, from columns alone. */
export interface RunStats {
  readonly stepCount: number
  readonly snapshotCount: number
  readonly objectCount: number
  readonly goldenCount: number
  readonly totalBytes: number
}
