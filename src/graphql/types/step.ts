import { decodeStepKey, idOfType } from '../../model/ids.ts'
import { millisBetween } from '../../model/instant.ts'
import { CURSOR_INTEGER, type PageArgs } from '../../model/page.ts'
import { type Step, type StepKey, type StepStatus, stepPosition } from '../../model/step.ts'
import { builder } from '../builder.ts'
import { type List, requestPage, toConnection } from '../connection.ts'
import { CONNECTION, costing, PART } from '../cost.ts'
import { changing } from '../loader.ts'
import {
  hasCursors,
  loadStep,
  loadStepPage,
  nameOfStep,
  requireRun,
  type StepsArgs,
  stepFieldsOf,
  stepNeeds,
} from '../loaders.ts'
import { type Selection, selectionOf } from '../look-ahead.ts'
import { ErrorInfoRef, ErrorInput } from './common.ts'
import { RunRef } from './run.ts'

const LIST: List = { name: 'steps', checks: [CURSOR_INTEGER, CURSOR_INTEGER] }

const StepStatusRef = builder.enumType('StepStatus', {
  description: 'How far a step has come.',
  values: {
    UNKNOWN: { description: 'No producer has said: it came with a state of it.' },
    QUEUED: { description: 'It waits for its turn.' },
    RUNNING: { description: 'It is under way.' },
    SUCCEEDED: { description: 'It ended, and did what it was to do.' },
    FAILED: { description: 'It ended by an error.' },
    SKIPPED: { description: 'It was left out.' },
    CANCELED: { description: 'Somebody ended it.' },
    TIMED_OUT: { description: 'It ended because it took too long.' },
  } satisfies Record<StepStatus, object>,
})

export const StepRef = builder.objectRef<Step>('Step')

const StepConnection = builder.connectionObject(
  { type: StepRef, name: 'StepConnection', description: 'A page of steps.' },
  { name: 'StepEdge', description: 'A step at its place in the list.' },
)

builder.node(StepRef, {
  description: 'One stage of a run; its id is unique within the run.',
  id: { resolve: nameOfStep, description: 'Global id.' },
  fields: (t) => ({
    runId: t.exposeString('runId', { description: "The run's own id." }),
    stepId: t.exposeString('stepId', { description: "The caller's own id, unique within the run." }),
    index: t.exposeInt('index', { nullable: true, description: 'Place in the run; steps without one come last.' }),
    name: t.exposeString('name', { nullable: true, description: 'What the step is called.' }),
    kind: t.exposeString('kind', {
      nullable: true,
      description: 'What sort of step it is, in the words of its producer.',
    }),
    status: t.expose('status', { type: StepStatusRef, description: 'UNKNOWN until a producer says otherwise.' }),
    attempt: t.exposeInt('attempt', { description: 'Counts from 1.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it began.' }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    durationMs: t.float({
      nullable: true,
      description: 'Milliseconds from start to end; null while either is not known.',
      resolve: ({ startedAt, endedAt }) => millisBetween(startedAt, endedAt),
    }),
    error: t.expose('error', {
      type: ErrorInfoRef,
      nullable: true,
      description: 'Why it failed.',
      extensions: costing(PART),
    }),
    run: t.field({
      type: RunRef,
      description: 'The run that it is a part of.',
      resolve: ({ runId }, _args, context, info) => requireRun(runId, context, info),
    }),
  }),
})

/** What a field `steps` with these arguments asks for. @throws AppError `BAD_REQUEST`, as `requestPage` does. */
export function stepsArgs(args: PageArgs, selection: Selection): StepsArgs {
  const last = lastArgs.get(selection)
  if (last?.of === args) return last.made
  const made = { page: requestPage(LIST, args, selection), fields: stepFieldsOf(selection) }
  lastArgs.set(selection, { of: args, made })
  return made
}

/** Arguments without variables are the same object each time. */
const lastArgs = new WeakMap<Selection, { readonly of: PageArgs; readonly made: StepsArgs }>()

builder.objectFields(RunRef, (t) => ({
  step: t.field({
    type: StepRef,
    nullable: true,
    description: 'One step by its own id; null when it is not there.',
    args: { stepId: t.arg.string({ required: true, description: "The caller's own id." }) },
    resolve: ({ runId }, { stepId }, context, info) =>
      loadStep(context).load({ runId, stepId }, stepNeeds(selectionOf(info))),
  }),
  steps: t.connection(
    {
      type: StepRef,
      nullable: true,
      description: 'Steps in their order. At most 100 a page; 20 where no size is given.',
      extensions: costing(CONNECTION),
      resolve: async ({ runId }, args, context, info) => {
        const selection = selectionOf(info)
        const page = await loadStepPage(context, stepsArgs(args, selection)).load(runId)
        return toConnection(LIST, page, hasCursors(selection) ? stepPosition : null)
      },
    },
    StepConnection,
  ),
}))

builder.queryField('step', (t) =>
  t.field({
    type: StepRef,
    nullable: true,
    description: 'One step by its natural key; null when it is not there.',
    args: {
      runId: t.arg.string({ required: true, description: "The run's own id." }),
      stepId: t.arg.string({ required: true, description: "The step's own id." }),
    },
    resolve: (_root, key, context, info) => loadStep(context).load(key, stepNeeds(selectionOf(info))),
  }),
)

const UpsertStepInput = builder.inputType('UpsertStepInput', {
  description: 'Only the fields that are named change; null clears one.',
  fields: (t) => ({
    runId: t.string({ required: true, description: "The run's own id; the run is created where it is not there yet." }),
    stepId: t.string({ required: true, description: "The step's own id, 1 to 512 bytes." }),
    index: t.int({ description: 'Place in the run.' }),
    name: t.string({ description: 'What the step is called.' }),
    kind: t.string({ description: 'What sort of step it is.' }),
    status: t.field({ type: StepStatusRef, description: 'How far it has come.' }),
    attempt: t.int({ description: 'Counts from 1.' }),
    startedAt: t.field({ type: 'DateTime', description: 'When it began.' }),
    endedAt: t.field({ type: 'DateTime', description: 'When it ended.' }),
    error: t.field({ type: ErrorInput, description: 'Why it failed.' }),
  }),
})

builder.mutationField('upsertStep', (t) =>
  t.field({
    type: StepRef,
    description: 'Creates a step, or changes what the input names.',
    args: { input: t.arg({ type: UpsertStepInput, required: true, description: 'The step.' }) },
    resolve: (_root, { input }, context) => changing(context, context.writer.upsertStep(input)),
  }),
)

builder.asEntity(StepRef, {
  key: [builder.selection<{ id: string }>('id'), builder.selection<StepKey>('runId stepId')],
  // Async: a key that cannot be read fails for its own reference, not for the whole list.
  resolveReference: async (reference, context, info) =>
    loadStep(context).load(
      'runId' in reference ? reference : decodeStepKey(idOfType('Step', reference.id)),
      stepNeeds(selectionOf(info)),
    ),
})
