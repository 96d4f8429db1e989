import type { Api } from './api.ts'
import { withRetries } from './retry.ts'

type Instant = Date | string

/** Why a run or a step failed. */
export interface ErrorChange {
  readonly message: string
  readonly type?: string | null | undefined
  readonly stack?: string | null | undefined
}

/** Only what is named changes; null clears a field. */
export interface RunChange {
  readonly runId: string
  readonly workflowName?: string | null | undefined
  readonly status?:
    | 'UNKNOWN'
    | 'QUEUED'
    | 'RUNNING'
    | 'SUCCEEDED'
    | 'FAILED'
    | 'CANCELED'
    | 'TIMED_OUT'
    | null
    | undefined
  /** They replace all earlier ones. */
  readonly tags?: readonly { readonly key: string; readonly value: string }[] | null | undefined
  readonly startedAt?: Instant | null | undefined
  readonly endedAt?: Instant | null | undefined
  readonly parentRunId?: string | null | undefined
  readonly error?: ErrorChange | null | undefined
  readonly expiresAt?: Instant | null | undefined
}

/** Only what is named changes; null clears a field. The run is created where it is not there yet. */
export interface StepChange extends Pick<RunChange, 'runId' | 'startedAt' | 'endedAt' | 'error'> {
  readonly stepId: string
  readonly index?: number | null | undefined
  readonly name?: string | null | undefined
  readonly kind?: string | null | undefined
  readonly status?: RunChange['status'] | 'SKIPPED'
  readonly attempt?: number | null | undefined
}

export interface UpsertOptions {
  readonly api: Api
  readonly retries: number
  readonly signal: AbortSignal | undefined
}

export async function upsertRun(input: RunChange, options: UpsertOptions): Promise<void> {
  await mutate('mutation($input: UpsertRunInput!) { upsertRun(input: $input) { runId } }', input, options)
}

export async function upsertStep(input: StepChange, options: UpsertOptions): Promise<void> {
  await mutate('mutation($input: UpsertStepInput!) { upsertStep(input: $input) { stepId } }', input, options)
}

async function mutate(query: string, input: object, { api, retries, signal }: UpsertOptions): Promise<void> {
  const variables = JSON.stringify({ input })
  await withRetries(() => api.graphql({ query, variables, signal }), { retries, signal })
}
