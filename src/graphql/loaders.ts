import type { GraphQLResolveInfo } from 'graphql'
import { AppError } from '../errors.ts'
import type { Fields } from '../model/fields.ts'
import { encodeStepKey, isOpaqueId, isUuid } from '../model/ids.ts'
import type { Page, PageRequest } from '../model/page.ts'
import { RUN_FIELDS, RUN_STATS_FIELDS, type Run, type RunStats } from '../model/run.ts'
import { SNAPSHOT_FIELDS, type Snapshot, VERIFICATION_NEEDS } from '../model/snapshot.ts'
import { STEP_FIELDS, type Step, type StepKey } from '../model/step.ts'
import type { StepFields } from '../snapshots/reader.ts'
import type { Context } from './context.ts'
import { alignTo, createEntityLoader, createLoaderWithArgs } from './loader.ts'
import { createNeeds, isAskedFor, itemsOf, type Selection, selectionOf } from './look-ahead.ts'

/** What the fields of each type are made from, where that is not the field of the same name alone. */
export const runNeeds = createNeeds<Run>(RUN_FIELDS, ['runId'], {
  durationMs: ['startedAt', 'endedAt'],
  parentRun: ['parentRunId'],
})

export const stepNeeds = createNeeds<Step>(STEP_FIELDS, ['runId', 'stepId'], {
  durationMs: ['startedAt', 'endedAt'],
})

export const statsNeeds = createNeeds<RunStats>(RUN_STATS_FIELDS, [], {})

/** What a link is made from. */
const LINK_FIELDS = [
  'runId',
  'stepId',
  'seq',
  'digest',
  'contentType',
  'contentEncoding',
  'storageUri',
  'hasInlineCopy',
] as const

/** What a payload is read by. */
const PAYLOAD_FIELDS = [
  'sizeBytes',
  'digest',
  'contentEncoding',
  'storageUri',
  'hasInlineCopy',
  'storageState',
  'isOwn',
  'jsonVerdict',
] as const

/** What places of a state are found by. */
const STATE_FIELDS = [...PAYLOAD_FIELDS, 'digestOf', 'inlinePayload'] as const

/** The same, of a state that is compared with another. */
export const STATE_NEEDS = SNAPSHOT_FIELDS.pick(['snapshotId', ...STATE_FIELDS])

export const snapshotNeeds = createNeeds<Snapshot>(SNAPSHOT_FIELDS, ['snapshotId'], {
  run: ['runId'],
  step: ['runId', 'stepId'],
  previous: ['runId', 'seq'],
  next: ['runId', 'seq'],
  storageTier: ['storageUri'],
  payload: [...PAYLOAD_FIELDS, 'inlinePayload'],
  at: STATE_FIELDS,
  find: STATE_FIELDS,
  diff: ['runId', 'seq', ...STATE_FIELDS],
  integrity: ['integrity', ...VERIFICATION_NEEDS],
  signedUrl: LINK_FIELDS,
  download: ['sizeBytes', 'digestOf', ...LINK_FIELDS],
})

export const loadRun = createEntityLoader<string, Run>({
  nameOf: (runId) => runId,
  batch: async (runIds, fields, { reader }) =>
    alignTo(runIds, await reader.loadRuns(runIds.filter(isOpaqueId), fields), ({ runId }) => runId),
})

export const loadStep = createEntityLoader<StepKey, Step>({
  nameOf: nameOfStep,
  batch: async (keys, fields, { reader }) =>
    alignTo(keys.map(nameOfStep), await reader.loadSteps(keys.filter(isPossible), fields), nameOfStep),
})

export const loadSnapshot = createEntityLoader<string, Snapshot>({
  nameOf: (snapshotId) => snapshotId.toLowerCase(),
  batch: async (ids, fields, { reader }) => {
    const names = ids.map((id) => id.toLowerCase())
    return alignTo(names, await reader.loadSnapshots(names.filter(isUuid), fields), ({ snapshotId }) => snapshotId)
  },
})

interface NeighbourArgs {
  readonly side: 'previous' | 'next'
  readonly fields: Fields<Snapshot>
}

export const loadNeighbour = createLoaderWithArgs<Snapshot, NeighbourArgs, Snapshot | null>(
  (snapshots, args, { reader }) => reader.loadNeighbours(snapshots, args),
  ({ snapshotId }) => snapshotId,
)

export const loadNewestOfStep = createEntityLoader<StepKey, Snapshot>({
  nameOf: nameOfStep,
  batch: async (keys, fields, { reader }) => {
    const possible = keys.filter(isPossible)
    if (possible.length === keys.length) return reader.loadNewestOfSteps(keys, fields)
    const newest = await reader.loadNewestOfSteps(possible, fields)
    const byName = new Map(possible.map((key, i) => [nameOfStep(key), newest[i] ?? null]))
    return keys.map((key) => byName.get(nameOfStep(key)) ?? null)
  },
})

/** What one field `steps` asks for: its page, and what its selection needs of the steps and of their newest snapshots. */
export interface StepsArgs {
  readonly page: PageRequest
  readonly fields: StepFields
}

export const loadStepPage = createLoaderWithArgs<string, StepsArgs, Page<Step>>((runIds, args, { reader }) =>
  reader.pageSteps(runIds, args),
)

/** What the selection of a field `steps` needs. */
export function stepFieldsOf(connection: Selection): StepFields {
  const items = itemsOf(connection)
  const newest = items.below('snapshot')
  const position = hasCursors(connection) ? STEP_FIELDS.pick(['index', 'ordinal']) : 0
  return { step: stepNeeds(items) | position, newest: newest ? snapshotNeeds(newest) : null }
}

/** Whether a connection's cursors are asked for, on its edges or its page. */
export function hasCursors(connection: Selection): boolean {
  return (
    isAskedFor(connection, 'edges', 'cursor') ||
    isAskedFor(connection, 'pageInfo', 'startCursor') ||
    isAskedFor(connection, 'pageInfo', 'endCursor')
  )
}

/** For what cannot be without its run. @throws AppError `NOT_FOUND` when the run was deleted meanwhile. */
export async function requireRun(runId: string, context: Context, info: GraphQLResolveInfo): Promise<Run> {
  const run = await loadRun(context).load(runId, runNeeds(selectionOf(info)))
  if (!run) throw new AppError('NOT_FOUND', 'The run was deleted')
  return run
}

export function nameOfStep({ runId, stepId }: StepKey): string {
  return encodeStepKey(runId, stepId)
}

function isPossible({ runId, stepId }: StepKey): boolean {
  return isOpaqueId(runId) && isOpaqueId(stepId)
}
