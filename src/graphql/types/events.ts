import type { CaughtUp, RunEnded, RunUpdated, SnapshotCaptured, StepUpdated } from '../../events/event.ts'
import type { Delivery } from '../../events/watch.ts'
import { builder } from '../builder.ts'
import { RunFilter, RunRef } from './run.ts'
import { SnapshotRef } from './snapshot.ts'
import { StepRef } from './step.ts'

const CURSOR = 'Give it as `after` to go on behind this event: opaque, at most 512 characters, and never too old.'

const RunUpdatedRef = builder.objectRef<Delivery<RunUpdated>>('RunUpdated').implement({
  description: 'A run was created or changed; changes that came together are told once.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: CURSOR }),
    run: t.field({
      type: RunRef,
      // As that of RunEnded: one selection may name both.
      nullable: true,
      description: 'The run as it is since.',
      resolve: ({ event }) => event.run,
    }),
  }),
})

const StepUpdatedRef = builder.objectRef<Delivery<StepUpdated>>('StepUpdated').implement({
  description: 'A step was created or changed; changes that came together are told once.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: CURSOR }),
    step: t.field({ type: StepRef, description: 'The step as it is since.', resolve: ({ event }) => event.step }),
  }),
})

const SnapshotCapturedRef = builder.objectRef<Delivery<SnapshotCaptured>>('SnapshotCaptured').implement({
  description:
    'A state was captured. Each is told; of two at the same time the one with the higher `seq` may come first.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: CURSOR }),
    snapshot: t.field({
      type: SnapshotRef,
      description: 'The state.',
      resolve: ({ event }, _args, { readers, viewer }) => readers.see(viewer, event.snapshot),
    }),
  }),
})

const CaughtUpRef = builder.objectRef<Delivery<CaughtUp>>('CaughtUp').implement({
  description:
    'All that was committed until now has been told. It comes again while nothing happens, every 15 seconds, with a newer cursor.',
  fields: (t) => ({ cursor: t.exposeString('cursor', { description: CURSOR }) }),
})

const RunEndedRef = builder.objectRef<Delivery<RunEnded>>('RunEnded').implement({
  description: 'The run has come to its end, or was deleted. No event follows.',
  fields: (t) => ({
    cursor: t.exposeString('cursor', { description: CURSOR }),
    run: t.field({
      type: RunRef,
      nullable: true,
      description: 'The run as it ended; null when it was deleted.',
      resolve: ({ event }) => event.run,
    }),
  }),
})

const kindOf = ({ event }: Delivery) => event.kind

const RunEventRef = builder.unionType('RunEvent', {
  description:
    'What happened to one run. Each event is told at least once: after a break some may come again, known by the ids of what they hold.',
  types: [RunUpdatedRef, StepUpdatedRef, SnapshotCapturedRef, CaughtUpRef, RunEndedRef],
  resolveType: kindOf,
})

const RunsEventRef = builder.unionType('RunsEvent', {
  description: 'What happened to runs.',
  types: [RunUpdatedRef, CaughtUpRef],
  resolveType: kindOf,
})

/** Which of the types a delivery is of, `kindOf` tells. */
const asItIs = (delivery: Delivery) => delivery as never

const ELSEWHERE = 'One that was given by another cluster, as before a failover or a restore, has it begin anew.'

builder.subscriptionFields((t) => ({
  runEvents: t.field({
    type: RunEventRef,
    description:
      'What happened to a run since a cursor, or since its beginning, then `CaughtUp`, then what happens as it is committed, whoever writes it. Complete when the run has ended or is deleted; one that is not there yet is waited for.',
    args: {
      runId: t.arg.string({ required: true, description: "The run's own id." }),
      after: t.arg.string({ description: `A cursor of events of this run. ${ELSEWHERE}` }),
    },
    subscribe: (_root, { runId, after }, { events, signal }) => events.watchRun({ runId, after, signal }),
    resolve: asItIs,
  }),
  runsUpdated: t.field({
    type: RunsEventRef,
    description: 'Runs as they are created and change. Lists tell what was before.',
    args: {
      filter: t.arg({ type: RunFilter, description: 'Which runs, as they are when they change.' }),
      after: t.arg.string({
        description: `A cursor of these events: what changed since comes first. Without one it begins now. ${ELSEWHERE}`,
      }),
    },
    subscribe: (_root, { filter, after }, { events, signal }) =>
      events.watchRuns({ filter: filter ?? {}, after, signal }),
    resolve: asItIs,
  }),
  replayRun: t.field({
    type: RunEventRef,
    description:
      'The snapshots of a run once more, at the pace at which they were captured; `RunEnded` at the end, or `CaughtUp` of a run that goes on.',
    args: {
      runId: t.arg.string({ required: true, description: "The run's own id." }),
      after: t.arg.string({ description: `A cursor of a replay of this run. ${ELSEWHERE}` }),
      speed: t.arg.float({ defaultValue: 1, description: 'The gaps are divided by it. Above 0.' }),
      maxGapMs: t.arg.int({ defaultValue: 2000, description: 'No gap is longer, in milliseconds.' }),
    },
    subscribe: (_root, { runId, after, speed, maxGapMs }, { events, signal }) =>
      events.replayRun({ runId, after, speed: speed ?? 1, maxGapMs: maxGapMs ?? 2000, signal }),
    resolve: asItIs,
  }),
}))
