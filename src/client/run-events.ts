import { isRecord, StatelensError } from './errors.ts'
import type { RunChange, StepChange } from './upserts.ts'

export type RunStatus = NonNullable<RunChange['status']>
export type StepStatus = NonNullable<StepChange['status']>

/** Times are RFC 3339 in UTC. */
export interface WatchedRun {
  readonly runId: string
  readonly workflowName: string | null
  readonly status: RunStatus
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly durationMs: number | null
  readonly updatedAt: string
  readonly error: { readonly message: string; readonly type: string | null } | null
}

export interface WatchedStep extends Pick<WatchedRun, 'startedAt' | 'endedAt' | 'durationMs' | 'error'> {
  readonly stepId: string
  readonly index: number | null
  readonly name: string | null
  readonly kind: string | null
  readonly status: StepStatus
  readonly attempt: number
}

export interface WatchedSnapshot {
  readonly snapshotId: string
  /** Order of capture in the run; beyond 2^53 - 1 as its digits. */
  readonly seq: number | string
  readonly stepId: string | null
  readonly attempt: number
  readonly kind: 'INPUT' | 'CHECKPOINT' | 'OUTPUT' | 'ERROR'
  readonly createdAt: string
  readonly sizeBytes: number | string | null
  readonly digest: string | null
}

interface Told<Type extends string> {
  readonly type: Type
  /** Whoever has this event goes on with this `after`. */
  readonly cursor: string
}

/** What happened in a run. Of a run or a step that changed often one event may tell, with its newest state. */
export type RunEvent =
  | (Told<'RunUpdated'> & { readonly run: WatchedRun })
  | (Told<'StepUpdated'> & { readonly step: WatchedStep })
  | (Told<'SnapshotCaptured'> & { readonly snapshot: WatchedSnapshot })
  /** All that was there before is told: what follows happens now. */
  | Told<'CaughtUp'>
  /** The last event; without a run where that was deleted. */
  | (Told<'RunEnded'> & { readonly run: WatchedRun | null })

const ERROR = 'startedAt endedAt durationMs error { message type }'
export const RUN_FIELDS = `runId workflowName status updatedAt ${ERROR}`
const STEP_FIELDS = `stepId index name kind status attempt ${ERROR}`
const SNAPSHOT_FIELDS = 'snapshotId seq stepId attempt kind createdAt sizeBytes digest'

export const RUN_EVENTS = `subscription($runId: String!, $after: String) {
  runEvents(runId: $runId, after: $after) {
    type: __typename
    ... on RunUpdated { cursor run { ${RUN_FIELDS} } }
    ... on StepUpdated { cursor step { ${STEP_FIELDS} } }
    ... on SnapshotCaptured { cursor snapshot { ${SNAPSHOT_FIELDS} } }
    ... on CaughtUp { cursor }
    ... on RunEnded { cursor run { ${RUN_FIELDS} } }
  }
}`

/** The event that a server of this or a later version sent. @throws StatelensError `UNEXPECTED_ANSWER` for what is none. */
export function readRunEvent(value: unknown): RunEvent {
  if (!isRecord(value) || typeof value['type'] !== 'string') {
    throw new StatelensError('UNEXPECTED_ANSWER', 'The event is none of a run')
  }
  return value as unknown as RunEvent
}

/** Of how many snapshots it is remembered that they were told: more than come twice when a connection is opened anew. */
const REMEMBERED = 10_000

/** Tells what was told before: a snapshot by its id, a run and a step by being as they were. */
export function createDoubles(): (event: RunEvent) => boolean {
  const snapshots = new Set<string>()
  const states = new Map<string, string>()

  function isSameState(subject: string, state: object): boolean {
    const text = JSON.stringify(state)
    if (states.get(subject) === text) return true
    states.set(subject, text)
    return false
  }

  return (event) => {
    if (event.type === 'RunUpdated') return isSameState('run', event.run)
    if (event.type === 'StepUpdated') return isSameState(`step ${event.step.stepId}`, event.step)
    if (event.type !== 'SnapshotCaptured') return false
    const { snapshotId } = event.snapshot
    if (snapshots.has(snapshotId)) return true
    snapshots.add(snapshotId)
    const [oldest] = snapshots
    if (snapshots.size > REMEMBERED && oldest !== undefined) snapshots.delete(oldest)
    return false
  }
}
