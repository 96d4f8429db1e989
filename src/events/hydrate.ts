import type { Rows } from '../db/connect.ts'
import type { Change } from '../db/queries/changes.ts'
import { loadRuns } from '../db/queries/runs.ts'
import { loadSnapshots } from '../db/queries/snapshots.ts'
import { loadSteps } from '../db/queries/steps.ts'
import { RUN_FIELDS } from '../model/run.ts'
import { SNAPSHOT_METADATA } from '../model/snapshot.ts'
import { STEP_FIELDS } from '../model/step.ts'
import type { Place } from './cursor.ts'
import type { LiveEvent } from './event.ts'

/** A change, for whom it is, and where they go on behind it. */
export interface Located {
  readonly change: Change
  readonly topic: string
  readonly place: Place
}

export interface Told {
  readonly topic: string
  readonly event: LiveEvent
}

/**
 * Reads what changed, by at most one statement for each kind, with all that is known of it but payloads. In the same order; what is gone
 * by now is left out.
 */
export async function hydrate(db: Rows, located: readonly Located[]): Promise<readonly Told[]> {
  const of = (kind: Change['kind']) => located.map(({ change }) => change).filter((change) => change.kind === kind)
  const [runs, steps, snapshots] = [of('run'), of('step'), of('snapshot')]
  const stepKeys = steps.map(({ runId, stepId }) => ({ runId, stepId: stepId ?? '' }))
  const ids = snapshots.flatMap(({ snapshotId }) => snapshotId ?? [])
  const [foundRuns, foundSteps, foundSnapshots] = await Promise.all([
    runs.length > 0
      ? loadRuns(
          db,
          runs.map(({ runId }) => runId),
          RUN_FIELDS.all,
        )
      : [],
    steps.length > 0 ? loadSteps(db, stepKeys, STEP_FIELDS.all) : [],
    ids.length > 0 ? loadSnapshots(db, ids, SNAPSHOT_METADATA) : [],
  ])
  const runsById = new Map(foundRuns.map((run) => [run.runId, run]))
  const stepsByOrdinal = new Map(foundSteps.map((step) => [step.ordinal, step]))
  const snapshotsById = new Map(foundSnapshots.map((snapshot) => [snapshot.snapshotId, snapshot]))
  return located.flatMap(({ change: { kind, xid, key, runId, snapshotId }, topic, place }): Told | [] => {
    if (kind === 'run') {
      const run = runsById.get(runId)
      return run ? { topic, event: { kind: 'RunUpdated', run, xid, place } } : []
    }
    if (kind === 'step') {
      const step = stepsByOrdinal.get(key)
      return step ? { topic, event: { kind: 'StepUpdated', step, xid, place } } : []
    }
    const snapshot = snapshotsById.get(snapshotId ?? '')
    return snapshot ? { topic, event: { kind: 'SnapshotCaptured', snapshot, xid, place } } : []
  })
}
