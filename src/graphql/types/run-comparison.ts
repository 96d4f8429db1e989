import type { GraphQLResolveInfo } from 'graphql'
import { CURSOR_INTEGER, parsePage, TOTAL_MAX } from '../../model/page.ts'
import { RUN_FIELDS, type Run } from '../../model/run.ts'
import type { Step } from '../../model/step.ts'
import {
  type Alignment,
  type ComparedStep,
  compareRuns,
  pairsBehind,
  type RunAlignment,
  type StepPair,
} from '../../snapshots/run-comparison.ts'
import { builder } from '../builder.ts'
import { type List, toConnection } from '../connection.ts'
import type { Context } from '../context.ts'
import { CONNECTION, costing, type FieldCost } from '../cost.ts'
import { createLoader } from '../loader.ts'
import { loadRun, loadStep, runNeeds, stepNeeds } from '../loaders.ts'
import { type Selection, selectionOf } from '../look-ahead.ts'
import { RunRef } from './run.ts'
import { StepRef } from './step.ts'

/** Two runs that are both there. */
interface RunComparison {
  readonly base: Run
  readonly other: Run
}

const LIST: List = { name: 'step comparisons', checks: [CURSOR_INTEGER, CURSOR_INTEGER] }
const DEFAULT_FIRST = 50
const RUN_KEY = RUN_FIELDS.pick(['runId'])

/** Aligned once a request, whichever fields ask for it. */
const loadAlignment = createLoader<RunComparison, RunAlignment>(
  (comparisons, { reader }) =>
    Promise.all(comparisons.map(({ base, other }) => compareRuns(reader, base.runId, other.runId))),
  ({ base, other }) => JSON.stringify([base.runId, other.runId]),
)

const AlignmentRef = builder.enumType('Alignment', {
  description: 'Where a step is found of two runs.',
  values: {
    MATCHED: { description: 'In both, at the same place in their order.' },
    ONLY_IN_BASE: { description: 'In the first run; the other has none of its id, or has it elsewhere.' },
    ONLY_IN_OTHER: { description: 'In the second run; the first has none of its id, or has it elsewhere.' },
  } satisfies Record<Alignment, object>,
})

export const StepComparisonRef = builder.objectRef<StepPair>('StepComparison').implement({
  description: 'A step of two runs, or of one of them.',
  fields: (t) => ({
    alignment: t.expose('alignment', { type: AlignmentRef, description: 'Where it is found.' }),
    base: t.field({
      type: StepRef,
      nullable: true,
      description: 'The step of the first run; null when it has none here.',
      resolve: ({ base }, _args, context, info) => stepOf(base, context, info),
    }),
    other: t.field({
      type: StepRef,
      nullable: true,
      description: 'The step of the second run; null when it has none here.',
      resolve: ({ other }, _args, context, info) => stepOf(other, context, info),
    }),
    identical: t.exposeBoolean('identical', {
      nullable: true,
      description:
        'Whether their newest states are the same bytes, by their digests; null where that is not known, where neither has a state, and for a step of one run alone.',
    }),
  }),
})

function stepOf(step: ComparedStep | null, context: Context, info: GraphQLResolveInfo): Promise<Step | null> | null {
  return step && loadStep(context).load({ runId: step.runId, stepId: step.stepId }, stepNeeds(selectionOf(info)))
}

const StepComparisonConnection = builder.connectionObject(
  { type: StepComparisonRef, name: 'StepComparisonConnection', description: 'A page of steps beside each other.' },
  { name: 'StepComparisonEdge', description: 'A comparison at its place in the list.' },
)

interface ForwardArgs {
  readonly first?: number | null
  readonly after?: string | null
}

const PAGE: FieldCost<ForwardArgs> = {
  ...CONNECTION,
  page: ({ first }) => CONNECTION.page?.({ first: first ?? DEFAULT_FIRST }) ?? 0,
}

const RunComparisonRef = builder.objectRef<RunComparison>('RunComparison').implement({
  description: 'Two runs, step by step. No state is read: what is the same is told by digests.',
  fields: (t) => ({
    base: t.field({ type: RunRef, description: 'The first run.', resolve: ({ base }) => base }),
    other: t.field({ type: RunRef, description: 'The second run.', resolve: ({ other }) => other }),
    firstDivergence: t.field({
      type: StepComparisonRef,
      nullable: true,
      description:
        'Where they first differ: a step of one run alone, another number of attempts, or another newest state. Null when they do not, as far as digests tell.',
      resolve: async (comparison, _args, context) => (await loadAlignment(context).load(comparison)).firstDivergence,
    }),
    steps: t.field({
      type: StepComparisonConnection,
      description:
        'The steps of both, in their order; what is in one alone stands at its place, that of the first run before that of the second.',
      extensions: costing(PAGE),
      args: {
        first: t.arg.int({ defaultValue: DEFAULT_FIRST, description: 'The first so many: 0 to 100.' }),
        after: t.arg.string({ description: 'Only what stands behind this cursor.' }),
      },
      resolve: async (comparison, args, context) =>
        pageOf(await loadAlignment(context).load(comparison), { ...args, first: args.first ?? DEFAULT_FIRST }),
    }),
  }),
})

function pageOf({ pairs }: RunAlignment, args: ForwardArgs) {
  const { size, after } = parsePage(LIST.name, args, LIST.checks)
  const [base, other] = after ?? []
  const behind = pairsBehind(pairs, base === undefined ? null : [Number(base), Number(other)])
  const page = {
    items: behind.slice(0, size),
    hasNextPage: behind.length > size,
    hasPreviousPage: behind.length < pairs.length,
    totalCount: pairs.length > TOTAL_MAX ? null : pairs.length,
  }
  return toConnection(LIST, page, ({ place }) => place.map(String))
}

builder.queryField('compareRuns', (t) =>
  t.field({
    type: RunComparisonRef,
    nullable: true,
    description: 'Two runs, step by step, and where they first differ. Null when either is not there.',
    args: {
      baseRunId: t.arg.string({ required: true, description: "The first run's own id." }),
      otherRunId: t.arg.string({ required: true, description: "The second run's own id." }),
    },
    resolve: async (_root, { baseRunId, otherRunId }, context, info) => {
      const selection = selectionOf(info)
      const [base, other] = await Promise.all([
        loadSide(baseRunId, selection.below('base'), context),
        loadSide(otherRunId, selection.below('other'), context),
      ])
      return base && other && { base, other }
    },
  }),
)

function loadSide(runId: string, selection: Selection | undefined, context: Context): Promise<Run | null> {
  return loadRun(context).load(runId, selection ? runNeeds(selection) : RUN_KEY)
}
