import type { Database, Rows } from '../db/connect.ts'
import { pageRuns, type RunPageOptions } from '../db/queries/run-lists.ts'
import { loadRunStats } from '../db/queries/run-stats.ts'
import { loadRuns } from '../db/queries/runs.ts'
import {
  pageSnapshots,
  type SnapshotPage,
  type SnapshotPageOptions,
  type SnapshotParent,
} from '../db/queries/snapshot-lists.ts'
import {
  type HistoryPoint,
  loadNeighbours,
  loadNewestOfRuns,
  loadNewestOfSteps,
  loadSnapshots,
} from '../db/queries/snapshots.ts'
import { loadRunWithSteps, loadSteps, pageSteps, type StepFields } from '../db/queries/steps.ts'
import { AppError } from '../errors.ts'
import type { Fields } from '../model/fields.ts'
import type { Page, PageRequest } from '../model/page.ts'
import type { Run, RunStats } from '../model/run.ts'
import { SNAPSHOT_FIELDS, type Snapshot } from '../model/snapshot.ts'
import { STEP_FIELDS, type Step, type StepKey } from '../model/step.ts'
import { alignRuns, COMPARED_STEPS_MAX, type RunAlignment } from './run-comparison.ts'

export type { HistoryPoint, RunPageOptions, SnapshotPage, SnapshotPageOptions, SnapshotParent, StepFields }

/**
 * What the schema may ask of the metadata. Every method is one statement, whatever the number of keys; only a search for runs is
 * a few. What comes back holds the fields that were asked for and no others; a payload is read where `inlinePayload` is among them,
 * and only then. Failures are `AppError`s: `DATABASE_UNAVAILABLE`, `DATABASE_TIMEOUT`, `OVERLOADED`.
 */
export interface SnapshotReader {
  /**
   * The same for one request: a few statements of it are executed at a time, and the others wait. When the signal fires they all
   * end, in PostgreSQL as well, and what waited for them fails with its reason.
   */
  forRequest(signal?: AbortSignal): SnapshotReader

  /** Those that exist, in any order; absent ones are left out. The same holds for `loadSteps` and `loadSnapshots`. */
  loadRuns(runIds: readonly string[], fields: Fields<Run>): Promise<Run[]>
  loadSteps(keys: readonly StepKey[], fields: Fields<Step>): Promise<Step[]>
  loadSnapshots(snapshotIds: readonly string[], fields: Fields<Snapshot>): Promise<Snapshot[]>

  pageRuns(page: PageRequest, options: RunPageOptions): Promise<Page<Run>>

  /** A run and a page of its steps, each with its newest snapshot if that is wanted; null when there is no such run. */
  loadRunWithSteps(runId: string, options: RunWithStepsOptions): Promise<RunWithSteps | null>

  /**
   * The steps of two runs beside each other, and by the digests of their newest states which are the same; of a run that is not
   * there none. @throws AppError `BAD_REQUEST` for a run of more than `COMPARED_STEPS_MAX` steps.
   */
  alignRuns(baseRunId: string, otherRunId: string): Promise<RunAlignment>

  /** From here on: one entry for each key, in the order asked; null where there is none. */
  pageSteps(runIds: readonly string[], options: StepPageOptions): Promise<Page<Step>[]>
  pageSnapshots(parents: readonly SnapshotParent[], options: SnapshotPageOptions): Promise<SnapshotPage[]>
  loadRunStats(runIds: readonly string[], fields: Fields<RunStats>): Promise<RunStats[]>
  loadNewestOfSteps(keys: readonly StepKey[], fields: Fields<Snapshot>): Promise<(Snapshot | null)[]>
  /** The newest at or before the point; with an empty point, the newest. */
  loadNewestOfRuns(
    runIds: readonly string[],
    options: { readonly point: HistoryPoint; readonly fields: Fields<Snapshot> },
  ): Promise<(Snapshot | null)[]>
  loadNeighbours(
    places: readonly Pick<Snapshot, 'runId' | 'seq'>[],
    options: { readonly side: 'previous' | 'next'; readonly fields: Fields<Snapshot> },
  ): Promise<(Snapshot | null)[]>
}

export interface StepPageOptions {
  readonly page: PageRequest
  readonly fields: StepFields
}

export interface RunWithStepsOptions extends StepPageOptions {
  readonly run: Fields<Run>
}

export interface RunWithSteps {
  readonly run: Run
  readonly steps: Page<Step>
}

export function createReader(db: Database): SnapshotReader {
  const forRequest = (signal?: AbortSignal): SnapshotReader => ({ ...readsOf(db.share(signal)), forRequest })
  return { ...readsOf(db), forRequest }
}

function readsOf(db: Rows): Omit<SnapshotReader, 'forRequest'> {
  return {
    loadRuns: (ids, fields) => loadRuns(db, ids, fields),
    loadSteps: (keys, fields) => loadSteps(db, keys, fields),
    loadSnapshots: (ids, fields) => loadSnapshots(db, ids, fields),
    pageRuns: (page, options) => pageRuns(db, page, options),
    loadRunWithSteps: (runId, options) => loadRunWithSteps(db, runId, options),
    alignRuns: async (baseRunId, otherRunId) => alignRuns(...(await loadCompared(db, [baseRunId, otherRunId]))),
    pageSteps: (runIds, options) => pageSteps(db, runIds, options),
    pageSnapshots: (parents, options) => pageSnapshots(db, parents, options),
    loadRunStats: (runIds, fields) => loadRunStats(db, runIds, fields),
    loadNewestOfSteps: (keys, fields) => loadNewestOfSteps(db, keys, fields),
    loadNewestOfRuns: (runIds, options) => loadNewestOfRuns(db, runIds, options),
    loadNeighbours: (places, options) => loadNeighbours(db, places, options),
  }
}

const COMPARED: StepPageOptions = {
  page: {
    size: COMPARED_STEPS_MAX,
    backward: false,
    after: null,
    before: null,
    wantsEnds: false,
    wantsTotal: false,
  },
  fields: {
    step: STEP_FIELDS.pick(['runId', 'stepId', 'attempt']),
    newest: SNAPSHOT_FIELDS.pick(['snapshotId', 'digest']),
  },
}

async function loadCompared(db: Rows, runIds: readonly [string, string]) {
  const [base, other] = await pageSteps(db, runIds, COMPARED)
  if (base?.hasNextPage || other?.hasNextPage) {
    throw new AppError('BAD_REQUEST', `Runs of more than ${COMPARED_STEPS_MAX} steps cannot be compared`)
  }
  return [base?.items ?? [], other?.items ?? []] as const
}
