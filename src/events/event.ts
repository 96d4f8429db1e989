import type { Run } from '../model/run.ts'
import type { Seen } from '../model/seen.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Step } from '../model/step.ts'
import type { Place } from './cursor.ts'

interface Told {
  /** Where somebody goes on who has it. */
  readonly place: Place
}

interface Written extends Told {
  /** Number of the transaction that wrote it last; null where that was not noted. */
  readonly xid: bigint | null
}

export interface RunUpdated extends Written {
  readonly kind: 'RunUpdated'
  readonly run: Run
}

export interface StepUpdated extends Written {
  readonly kind: 'StepUpdated'
  readonly step: Step
}

export interface SnapshotCaptured extends Written {
  readonly kind: 'SnapshotCaptured'
  readonly snapshot: Snapshot
}

/** All that was committed before is told. */
export interface CaughtUp extends Told {
  readonly kind: 'CaughtUp'
  /** Nothing comes after it, as after a `RunEnded`. */
  readonly isLast?: true
}

/** The last one. */
export interface RunEnded extends Told {
  readonly kind: 'RunEnded'
  /** Null when it was deleted. */
  readonly run: Run | null
}

/** What happened, with everything that is known of it but payloads. One object for all who are told of it. */
export type LiveEvent = RunUpdated | StepUpdated | SnapshotCaptured | CaughtUp | RunEnded

/** Whether the events end with it. */
export function isLastOne(event: LiveEvent): boolean {
  return event.kind === 'RunEnded' || (event.kind === 'CaughtUp' && event.isLast === true)
}

/** Who is told of it newer is not told of it older: null for what is told each time. */
export function subjectOf(event: LiveEvent): string | null {
  if (event.kind === 'RunUpdated') return `run ${event.run.runId}`
  if (event.kind === 'StepUpdated') return `step ${event.step.stepId}`
  return null
}

/** What an event takes of memory, in bytes, nearly. */
export function sizeOf(event: LiveEvent): number {
  if (event.kind === 'SnapshotCaptured') {
    const { preview, metadata, piiTags } = event.snapshot
    return 1000 + 2 * (preview?.length ?? 0) + (metadata?.length ?? 0) + 100 * piiTags.length
  }
  const subject = event.kind === 'StepUpdated' ? event.step : event.kind === 'CaughtUp' ? null : event.run
  const { message = '', stack = '' } = subject?.error ?? {}
  return (
    1000 + 2 * (message.length + (stack?.length ?? 0)) + (event.kind === 'RunUpdated' ? 200 * event.run.tags.length : 0)
  )
}

/** A place where nothing is under way. */
export function placeAt(seen: Seen): Place {
  return { since: seen, round: null }
}
