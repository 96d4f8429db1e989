import type { Fields } from '../../model/fields.ts'
import { idOfType } from '../../model/ids.ts'
import { millisBetween } from '../../model/instant.ts'
import { CURSOR_INSTANT, CURSOR_TEXT } from '../../model/page.ts'
import { RUN_FIELDS, type Run, type RunOrder, type RunStats, type RunStatus } from '../../model/run.ts'
import { builder } from '../builder.ts'
import { type List, requestPage, toConnection } from '../connection.ts'
import { CONNECTION, costing, PART, PARTS } from '../cost.ts'
import { changing, createLoaderWithArgs } from '../loader.ts'
import { hasCursors, loadRun, runNeeds, statsNeeds } from '../loaders.ts'
import { itemsOf, selectionOf } from '../look-ahead.ts'
import { ErrorInfoRef, ErrorInput, TagInput, TagRef } from './common.ts'

const LIST: List = { name: 'runs', checks: [CURSOR_INSTANT, CURSOR_TEXT] }

const loadStats = createLoaderWithArgs<string, Fields<RunStats>, RunStats>((runIds, fields, { reader }) =>
  reader.loadRunStats(runIds, fields),
)

const DEFAULT_ORDER: RunOrder = 'CREATED_DESC'

const RunStatusRef = builder.enumType('RunStatus', {
  description: 'How far a run has come.',
  values: {
    UNKNOWN: { description: 'No producer has said: it came with a step or a state of it.' },
    QUEUED: { description: 'It waits for its turn.' },
    RUNNING: { description: 'It is under way.' },
    SUCCEEDED: { description: 'It ended, and did what it was to do.' },
    FAILED: { description: 'It ended by an error.' },
    CANCELED: { description: 'Somebody ended it.' },
    TIMED_OUT: { description: 'It ended because it took too long.' },
  } satisfies Record<RunStatus, object>,
})

const RunOrderRef = builder.enumType('RunOrder', {
  description: 'By time of creation: newest or oldest first.',
  values: {
    CREATED_DESC: { description: 'Newest first.' },
    CREATED_ASC: { description: 'Oldest first.' },
  } satisfies Record<RunOrder, object>,
})

export const RunFilter = builder.inputType('RunFilter', {
  description: 'Every condition that is given must hold.',
  fields: (t) => ({
    status: t.field({ type: [RunStatusRef], description: 'Any of these.' }),
    workflowName: t.string({ description: 'Exactly this.' }),
    tags: t.field({ type: [TagInput], description: 'All of these.' }),
    parentRunId: t.string({ description: 'Runs that this run started.' }),
    createdFrom: t.field({ type: 'DateTime', description: 'At this moment or later.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Earlier than this moment.' }),
    search: t.string({ description: "The beginning of the run's id or of the workflow's name, letter for letter." }),
    hasErrors: t.boolean({
      description: 'Whether the run failed, timed out, or has an error to tell; or none of these.',
    }),
  }),
})

const RunStatsRef = builder.objectRef<RunStats>('RunStats').implement({
  description: 'Counts and bytes of a run, known without reading a payload.',
  fields: (t) => ({
    stepCount: t.exposeInt('stepCount', { description: 'Steps.' }),
    snapshotCount: t.exposeInt('snapshotCount', { description: 'Snapshots of the run and its steps.' }),
    objectCount: t.exposeInt('objectCount', { description: 'Those whose payload lies in object storage.' }),
    goldenCount: t.exposeInt('goldenCount', { description: 'Those that are golden.' }),
    totalBytes: t.expose('totalBytes', {
      type: 'BigInt',
      description: 'Sum of the payload sizes that are known, and that the viewer may know.',
    }),
  }),
})

export const RunRef = builder.objectRef<Run>('Run')

const RunConnection = builder.connectionObject(
  { type: RunRef, name: 'RunConnection', description: 'A page of runs.' },
  { name: 'RunEdge', description: 'A run at its place in the list.' },
)

builder.node(RunRef, {
  description: 'One execution of a workflow.',
  id: { resolve: ({ runId }) => runId, description: 'Global id.' },
  fields: (t) => ({
    runId: t.exposeString('runId', { description: "The caller's own id, 1 to 512 bytes of any text." }),
    workflowName: t.exposeString('workflowName', { nullable: true, description: 'What was executed.' }),
    status: t.expose('status', { type: RunStatusRef, description: 'UNKNOWN until a producer says otherwise.' }),
    tags: t.field({
      type: [TagRef],
      description: 'Labels.',
      extensions: costing(PARTS),
      resolve: ({ tags }) => [...tags],
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it began.' }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    durationMs: t.float({
      nullable: true,
      description: 'Milliseconds from start to end; null while either is not known.',
      resolve: ({ startedAt, endedAt }) => millisBetween(startedAt, endedAt),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When this server first heard of it.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the run itself was last changed.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When it need not be kept any longer: from then on it may be gone at any time. Null where it goes by the rule of the server, if that has one.',
    }),
    legalHold: t.exposeBoolean('legalHold', {
      description: 'Whether it is under legal hold: nothing of it expires, and nobody deletes it.',
    }),
    parentRun: t.field({
      type: RunRef,
      nullable: true,
      description: 'The run that started this one; null when there is none, or it is not here.',
      resolve: ({ parentRunId }, _args, context, info) =>
        parentRunId === null ? null : loadRun(context).load(parentRunId, runNeeds(selectionOf(info))),
    }),
    error: t.expose('error', {
      type: ErrorInfoRef,
      nullable: true,
      description: 'Why it failed.',
      extensions: costing(PART),
    }),
    stats: t.field({
      type: RunStatsRef,
      nullable: true,
      description: 'Counts and bytes; only what is selected is counted. Null when that failed.',
      extensions: costing(PART),
      resolve: ({ runId }, _args, context, info) => loadStats(context, statsNeeds(selectionOf(info))).load(runId),
    }),
  }),
})

builder.queryField('runs', (t) =>
  t.connection(
    {
      type: RunRef,
      description: 'Runs, newest first. At most 100 a page; 20 where no size is given.',
      extensions: costing(CONNECTION),
      args: {
        filter: t.arg({ type: RunFilter, description: 'Which runs.' }),
        orderBy: t.arg({ type: RunOrderRef, defaultValue: DEFAULT_ORDER, description: 'In which order.' }),
      },
      resolve: async (_root, { filter, orderBy, ...args }, { reader }, info) => {
        const selection = selectionOf(info)
        const cursors = hasCursors(selection)
        const fields = runNeeds(itemsOf(selection)) | (cursors ? RUN_FIELDS.pick(['createdAt', 'runId']) : 0)
        const page = await reader.pageRuns(requestPage(LIST, args, selection), {
          filter: filter ?? {},
          order: orderBy ?? DEFAULT_ORDER,
          fields,
        })
        return toConnection(LIST, page, cursors ? ({ createdAt, runId }) => [createdAt, runId] : null)
      },
    },
    RunConnection,
  ),
)

const UpsertRunInput = builder.inputType('UpsertRunInput', {
  description: 'Only the fields that are named change; null clears one.',
  fields: (t) => ({
    runId: t.string({ required: true, description: "The caller's own id, 1 to 512 bytes." }),
    workflowName: t.string({ description: 'What is executed.' }),
    status: t.field({ type: RunStatusRef, description: 'How far it has come.' }),
    tags: t.field({ type: [TagInput], description: 'Labels; they replace all earlier ones.' }),
    startedAt: t.field({ type: 'DateTime', description: 'When it began.' }),
    endedAt: t.field({ type: 'DateTime', description: 'When it ended.' }),
    parentRunId: t.string({ description: 'The run that started this one.' }),
    error: t.field({ type: ErrorInput, description: 'Why it failed.' }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When it need not be kept any longer; null leaves it to the rule of the server.',
    }),
  }),
})

builder.mutationField('upsertRun', (t) =>
  t.field({
    type: RunRef,
    description: 'Creates a run, or changes what the input names.',
    args: { input: t.arg({ type: UpsertRunInput, required: true, description: 'The run.' }) },
    resolve: (_root, { input }, context) => changing(context, context.writer.upsertRun(input)),
  }),
)

builder.mutationField('holdRun', (t) =>
  t.field({
    type: RunRef,
    description:
      'Puts a run under legal hold, or lets it go. While it is held nothing of it expires, and nobody deletes it or a state of it.',
    args: {
      runId: t.arg.string({ required: true, description: "The run's own id." }),
      hold: t.arg.boolean({ required: true, description: 'True to hold it, false to let it go.' }),
    },
    resolve: async (_root, { runId, hold }, context) => {
      const run = await changing(context, context.writer.holdRun(runId, hold))
      context.audit?.held({ viewer: context.viewer, runId, hold })
      return run
    },
  }),
)

builder.asEntity(RunRef, {
  key: [builder.selection<{ id: string }>('id'), builder.selection<{ runId: string }>('runId')],
  // Async: a key that cannot be read fails for its own reference, not for the whole list.
  resolveReference: async (reference, context, info) =>
    loadRun(context).load(runIdOf(reference), runNeeds(selectionOf(info))),
})

function runIdOf(reference: { id: string } | { runId: string }): string {
  return 'runId' in reference ? reference.runId : idOfType('Run', reference.id)
}
