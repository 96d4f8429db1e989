import { defineFields } from './fields.ts'
import type { Instant } from './instant.ts'
import type { ErrorInfo } from './run.ts'
import type { Snapshot } from './snapshot.ts'

export const STEP_STATUSES = [
  'UNKNOWN',
  'QUEUED',
  'RUNNING',
  'SUCCEEDED',
  'FAILED',
  'SKIPPED',
  'CANCELED',
  'TIMED_OUT',
] as const
export type StepStatus = (typeof STEP_STATUSES)[number]

/** A step's natural key: the step id is unique within its run. */
export interface StepKey {
  readonly runId: string
  readonly stepId: string
}

export interface Step extends StepKey {
  readonly index: number | null
  readonly name: string | null
  readonly kind: string | null
  readonly status: StepStatus
  readonly attempt: number
  readonly startedAt: Instant | null
  readonly endedAt: Instant | null
  readonly error: ErrorInfo | null
  /** Order of creation; breaks ties of `index`. */
  readonly ordinal: string
  /** The step's newest snapshot, or null, where it was read along with the step; otherwise undefined. */
  readonly newest?: Snapshot | null
}

export const STEP_FIELDS = defineFields<Step>([
  'runId',
  'stepId',
  'index',
  'name',
  'kind',
  'status',
  'attempt',
  'startedAt',
  'endedAt',
  'error',
  'ordinal',
])

/** What an upsert names; a field left out (undefined) keeps its value, null clears it. */
export interface StepChange extends StepKey {
  readonly index?: number | null
  readonly name?: string | null
  readonly kind?: string | null
  readonly status?: StepStatus | null
  readonly attempt?: number | null
  readonly startedAt?: Instant | null
  readonly endedAt?: Instant | null
  readonly error?: ErrorInfo | null
}

/** The place of a step without an index: behind all others. */
export const LAST_STEP_INDEX = 2147483647

/** The step's place in its run: index first, then order of creation. */
export function stepPosition({ index, ordinal }: Step): readonly string[] {
  return [String(index ?? LAST_STEP_INDEX), ordinal]
}
