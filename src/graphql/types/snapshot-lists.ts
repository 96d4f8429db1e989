import type { Fields } from '../../model/fields.ts'
import { CURSOR_INTEGER, CURSOR_UNSETTLED, type PageArgs } from '../../model/page.ts'
import {
  SNAPSHOT_FIELDS,
  type Snapshot,
  type SnapshotFilter as SnapshotFilterShape,
  type SnapshotOrder,
} from '../../model/snapshot.ts'
import type { HistoryPoint, SnapshotPage, SnapshotPageOptions, SnapshotParent } from '../../snapshots/reader.ts'
import { builder } from '../builder.ts'
import { type List, requestPage, toConnection } from '../connection.ts'
import { CONNECTION, costing } from '../cost.ts'
import { createLoaderWithArgs } from '../loader.ts'
import { hasCursors, loadNewestOfStep, snapshotNeeds } from '../loaders.ts'
import { itemsOf, type Selection, selectionOf } from '../look-ahead.ts'
import { RunRef } from './run.ts'
import { SnapshotKindRef, SnapshotRef, StorageTierRef } from './snapshot.ts'
import { StepRef } from './step.ts'

const LIST: List = { name: 'snapshots', checks: [CURSOR_INTEGER, CURSOR_UNSETTLED] }
const DEFAULT_ORDER: SnapshotOrder = 'SEQ_ASC'

const nameOfParent = ({ runId, stepId }: SnapshotParent) => JSON.stringify([runId, stepId])

/** One for each kind of parent: a batch is of runs alone, or of steps alone. */
const createPageLoader = () =>
  createLoaderWithArgs<SnapshotParent, SnapshotPageOptions, SnapshotPage>(
    (parents, args, { reader }) => reader.pageSnapshots(parents, args),
    nameOfParent,
  )

const loadOfRuns = createPageLoader()
const loadOfSteps = createPageLoader()

interface NewestArgs {
  readonly point: HistoryPoint
  readonly fields: Fields<Snapshot>
}

const loadNewestOfRun = createLoaderWithArgs<string, NewestArgs, Snapshot | null>((runIds, args, { reader }) =>
  reader.loadNewestOfRuns(runIds, args),
)

interface ListArgs extends PageArgs {
  readonly filter?: SnapshotFilterShape | null
  readonly orderBy?: SnapshotOrder | null
}

function listOptions({ filter, orderBy, ...page }: ListArgs, selection: Selection): SnapshotPageOptions {
  const wantsPlaces = hasCursors(selection)
  const fields = snapshotNeeds(itemsOf(selection)) | (wantsPlaces ? SNAPSHOT_FIELDS.pick(['seq']) : 0)
  return {
    page: requestPage(LIST, page, selection),
    filter: filter ?? {},
    order: orderBy ?? DEFAULT_ORDER,
    fields,
    wantsPlaces,
  }
}

function toSnapshots(page: SnapshotPage, selection: Selection) {
  return toConnection(LIST, page, hasCursors(selection) ? (_snapshot, i) => page.places?.[i] ?? [] : null)
}

const SnapshotConnection = builder.connectionObject(
  { type: SnapshotRef, name: 'SnapshotConnection', description: 'A page of snapshots.' },
  { name: 'SnapshotEdge', description: 'A snapshot at its place in the list.' },
)

const SnapshotOrderRef = builder.enumType('SnapshotOrder', {
  description: 'By place in the run: oldest or newest first.',
  values: {
    SEQ_ASC: { description: 'In the order in which they were captured.' },
    SEQ_DESC: { description: 'The newest first.' },
  } satisfies Record<SnapshotOrder, object>,
})

const SnapshotFilter = builder.inputType('SnapshotFilter', {
  description: 'Every condition that is given must hold.',
  fields: (t) => ({
    kind: t.field({ type: [SnapshotKindRef], description: 'Any of these.' }),
    stepId: t.string({ description: 'Of this step.' }),
    isGolden: t.boolean({ description: 'Approved as a reference, or not.' }),
    isSuccessState: t.boolean({ description: 'A state of success, or not.' }),
    storageTier: t.field({ type: StorageTierRef, description: 'Where the payload lies.' }),
    createdFrom: t.field({ type: 'DateTime', description: 'At this moment or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Earlier than this moment.' }),
  }),
})

builder.objectFields(RunRef, (t) => ({
  snapshots: t.connection(
    {
      type: SnapshotRef,
      nullable: true,
      description:
        'Snapshots of the run and its steps. At most 100 a page; 20 where no size is given. Oldest first, whoever goes on behind endCursor gets each one once, also what was committed late.',
      extensions: costing(CONNECTION),
      args: {
        filter: t.arg({ type: SnapshotFilter, description: 'Which snapshots.' }),
        orderBy: t.arg({ type: SnapshotOrderRef, defaultValue: DEFAULT_ORDER, description: 'In which order.' }),
      },
      resolve: async ({ runId }, args, context, info) => {
        const selection = selectionOf(info)
        return toSnapshots(await loadOfRuns(context, listOptions(args, selection)).load({ runId }), selection)
      },
    },
    SnapshotConnection,
  ),
  latestSnapshot: t.field({
    type: SnapshotRef,
    nullable: true,
    description: 'The newest; null while there is none.',
    resolve: ({ runId }, _args, context, info) =>
      loadNewestOfRun(context, { point: {}, fields: snapshotNeeds(selectionOf(info)) }).load(runId),
  }),
  stateAt: t.field({
    type: SnapshotRef,
    nullable: true,
    description: 'Time travel: the newest snapshot at or before a moment, a place in the run, or both.',
    args: {
      at: t.arg({ type: 'DateTime', description: 'The moment.' }),
      seq: t.arg({ type: 'BigInt', description: 'The place.' }),
    },
    resolve: ({ runId }, { at, seq }, context, info) =>
      loadNewestOfRun(context, { point: { at, seq }, fields: snapshotNeeds(selectionOf(info)) }).load(runId),
  }),
}))

builder.objectFields(StepRef, (t) => ({
  snapshot: t.field({
    type: SnapshotRef,
    nullable: true,
    description: 'The newest snapshot of the step.',
    resolve: ({ runId, stepId, newest }, _args, context, info) =>
      newest === undefined
        ? loadNewestOfStep(context).load({ runId, stepId }, snapshotNeeds(selectionOf(info)))
        : newest,
  }),
  snapshots: t.connection(
    {
      type: SnapshotRef,
      nullable: true,
      description: 'Snapshots of the step, oldest first. At most 100 a page; 20 where no size is given.',
      extensions: costing(CONNECTION),
      args: {
        orderBy: t.arg({ type: SnapshotOrderRef, defaultValue: DEFAULT_ORDER, description: 'In which order.' }),
      },
      resolve: async ({ runId, stepId }, args, context, info) => {
        const selection = selectionOf(info)
        return toSnapshots(await loadOfSteps(context, listOptions(args, selection)).load({ runId, stepId }), selection)
      },
    },
    SnapshotConnection,
  ),
}))
