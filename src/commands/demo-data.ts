import type { RunChange } from '../model/run.ts'
import type { SnapshotKind } from '../model/snapshot.ts'
import type { StepChange } from '../model/step.ts'

export interface DemoRun extends RunChange {
  /** Runs of one topic begin alike. */
  readonly topic: string
  /** Ids of all steps that it means to take. */
  readonly plan: readonly string[]
  /** The step from which on its states hold a note, and so differ from those of another run. */
  readonly notedFrom?: number
  readonly steps: readonly DemoStep[]
}

export interface DemoStep extends Omit<StepChange, 'runId'> {
  readonly stepId: string
  /** What is captured of it, in order; about so many bytes each. */
  readonly states: readonly { readonly kind: SnapshotKind; readonly sizeBytes: number }[]
}

const KB = 1000
const MB = 1_000_000
const MINUTE = 60_000

/**
 * One run that went well, with states of every size; one that failed, and the one that was started in its place, which begins like it
 * and then parts from it. What is under way is played while the demo runs.
 */
export function demoRuns(now: number): readonly DemoRun[] {
  return [digest(now - 8 * 60 * MINUTE), failedRefund(now - 40 * MINUTE), secondRefund(now - 25 * MINUTE)]
}

const DIGEST_PLAN = [
  'plan',
  'list-tickets',
  'fetch-tickets',
  'clean',
  'split',
  'embed',
  'cluster',
  'retrieve',
  'draft',
].concat(['critique', 'rewrite', 'publish'])

function digest(began: number): DemoRun {
  const step = stepsFrom(began)
  return {
    runId: 'nightly-digest-0412',
    topic: 'digest',
    plan: DIGEST_PLAN,
    workflowName: 'nightly-digest',
    status: 'SUCCEEDED',
    tags: [
      { key: 'team', value: 'support' },
      { key: 'trigger', value: 'schedule' },
    ],
    startedAt: at(began, 0),
    endedAt: at(began, 702),
    steps: [
      step(['plan', 'agent'], [0, 6], [1 * KB]),
      step(['list-tickets', 'tool'], [6, 19], [6 * KB]),
      step(['fetch-tickets', 'tool'], [19, 84], [480 * KB]),
      step(['clean', 'transform'], [62, 96], [420 * KB]),
      step(['split', 'transform'], [96, 121], [2.4 * MB]),
      step(['embed', 'model'], [121, 296.5], [24 * MB, 24 * MB]),
      step(['cluster', 'transform'], [296.5, 340], [9 * MB]),
      step(['retrieve', 'tool'], [340, 352], [1.2 * MB]),
      // Somebody had to agree.
      step(['draft', 'agent'], [560, 604], [64 * KB, 64 * KB]),
      step(['critique', 'agent'], [604, 641], [66 * KB]),
      step(['rewrite', 'agent'], [641, 688], [66 * KB]),
      step(['publish', 'tool'], [688, 702], [20 * KB]),
    ],
  }
}

const REFUND = {
  topic: 'case 8841',
  plan: ['read-case', 'decide', 'issue-refund', 'tell-customer'],
  workflowName: 'refund-agent',
  tags: [{ key: 'team', value: 'payments' }],
}

const TRACEBACK = `Traceback (most recent call last):
  File "/app/refund_agent/steps.py", line 118, in issue_refund
    receipt = ledger.refund(case.order_id, amount=decision.amount)
  File "/app/refund_agent/ledger.py", line 64, in refund
    return self._post("/refunds", order=order_id, amount=str(amount))
  File "/app/refund_agent/ledger.py", line 41, in _post
    raise LedgerError(answer["reason"])
refund_agent.ledger.LedgerError: amount above the limit`

function failedRefund(began: number): DemoRun {
  const step = stepsFrom(began)
  const failure = {
    status: 'FAILED',
    attempt: 3,
    error: { message: 'amount above the limit', type: 'LedgerError', stack: TRACEBACK },
  } as const
  const issue = step(['issue-refund', 'tool'], [15, 26], [1.8 * MB])
  return {
    ...REFUND,
    runId: 'refund-agent/case 8841',
    status: 'FAILED',
    startedAt: at(began, 0),
    endedAt: at(began, 26),
    error: { message: 'The ledger refused the refund: amount above the limit', type: 'LedgerError', stack: TRACEBACK },
    steps: [
      step(['read-case', 'tool'], [0, 4], [3 * KB]),
      step(['decide', 'agent'], [4, 15], [22 * KB]),
      {
        ...issue,
        ...failure,
        states: [
          { kind: 'CHECKPOINT', sizeBytes: 1.8 * MB },
          { kind: 'ERROR', sizeBytes: 1.8 * MB },
        ],
      },
    ],
  }
}

function secondRefund(began: number): DemoRun {
  const step = stepsFrom(began)
  return {
    ...REFUND,
    runId: 'refund-agent/case 8841, second try',
    parentRunId: 'refund-agent/case 8841',
    notedFrom: 1,
    status: 'SUCCEEDED',
    startedAt: at(began, 0),
    endedAt: at(began, 31),
    steps: [
      step(['read-case', 'tool'], [0, 4], [3 * KB]),
      step(['decide', 'agent'], [4, 17], [22 * KB]),
      step(['issue-refund', 'tool'], [17, 24], [1.8 * MB]),
      step(['tell-customer', 'agent'], [24, 31], [24 * KB]),
    ],
  }
}

/** In seconds from the beginning. */
type Seconds = readonly [from: number, to: number]

function stepsFrom(began: number) {
  return ([stepId, kind]: readonly [string, string], [from, to]: Seconds, sizes: readonly number[]): DemoStep => ({
    stepId,
    kind,
    name: stepId.replaceAll('-', ' '),
    status: 'SUCCEEDED',
    startedAt: at(began, from),
    endedAt: at(began, to),
    states: sizes.map((sizeBytes, index) => ({ kind: index < sizes.length - 1 ? 'CHECKPOINT' : 'OUTPUT', sizeBytes })),
  })
}

const at = (began: number, seconds: number) => new Date(began + seconds * 1000).toISOString()
