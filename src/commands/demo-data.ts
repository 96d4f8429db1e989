import type { RunChange } from '../model/run.ts'
import type { StepChange } from '../model/step.ts'

export interface DemoRun extends RunChange {
  readonly steps: readonly DemoStep[]
}

interface DemoStep extends Omit<StepChange, 'runId'> {
  /** About this many bytes of state. */
  readonly stateBytes: number
}

const KB = 1000
const MB = 1_000_000

/** One run that went well, with states of every size; one that failed last night; one that is under way. */
export const DEMO_RUNS: readonly DemoRun[] = [
  {
    runId: 'nightly-digest-0412',
    workflowName: 'nightly-digest',
    status: 'SUCCEEDED',
    tags: [
      { key: 'team', value: 'support' },
      { key: 'trigger', value: 'schedule' },
    ],
    startedAt: '2026-04-12T02:00:00Z',
    endedAt: '2026-04-12T02:11:42Z',
    steps: [
      ...stepsOf('2026-04-12T02:00', [
        ['plan', 'agent', 1 * KB],
        ['list-tickets', 'tool', 6 * KB],
        ['fetch-tickets', 'tool', 480 * KB],
        ['clean', 'transform', 420 * KB],
        ['split', 'transform', 2.4 * MB],
        ['embed', 'model', 24 * MB],
        ['cluster', 'transform', 9 * MB],
        ['retrieve', 'tool', 1.2 * MB],
        ['draft', 'agent', 64 * KB],
        ['critique', 'agent', 18 * KB],
        ['rewrite', 'agent', 58 * KB],
        ['publish', 'tool', 2 * KB],
      ]),
    ],
  },
  {
    runId: 'refund-agent/case 8841',
    workflowName: 'refund-agent',
    status: 'FAILED',
    tags: [{ key: 'team', value: 'payments' }],
    startedAt: '2026-04-12T23:14:05Z',
    endedAt: '2026-04-12T23:14:31Z',
    error: { message: 'The ledger refused the refund: amount above the limit', type: 'LedgerError' },
    steps: [
      ...stepsOf('2026-04-12T23:14', [
        ['read-case', 'tool', 3 * KB],
        ['decide', 'agent', 22 * KB],
      ]),
      {
        stepId: 'issue-refund',
        kind: 'tool',
        name: 'issue refund',
        status: 'FAILED',
        attempt: 3,
        startedAt: '2026-04-12T23:14:20Z',
        endedAt: '2026-04-12T23:14:31Z',
        error: { message: 'amount above the limit', type: 'LedgerError' },
        stateBytes: 1.8 * MB,
      },
    ],
  },
  {
    runId: 'code-review-77',
    workflowName: 'code-review',
    status: 'RUNNING',
    tags: [{ key: 'team', value: 'platform' }],
    startedAt: '2026-04-13T08:30:00Z',
    steps: [...stepsOf('2026-04-13T08:30', [['read-diff', 'tool', 140 * KB]])],
  },
]

function stepsOf(minute: string, steps: readonly (readonly [string, string, number])[]): DemoStep[] {
  return steps.map(([stepId, kind, stateBytes], index) => ({
    stepId,
    kind,
    name: stepId.replaceAll('-', ' '),
    status: 'SUCCEEDED',
    startedAt: `${minute}:${String(index * 2).padStart(2, '0')}Z`,
    endedAt: `${minute}:${String(index * 2 + 1).padStart(2, '0')}.5Z`,
    stateBytes,
  }))
}

const WORDS =
  'the parcel arrived late and the invoice shows a second charge customer asks for refund agent replied order again café 東京 naïve 🚚'.split(
    ' ',
  )

/** A state of about the size: what an agent remembers, then documents until it is full. The same call gives the same bytes. */
export function demoState(stepId: string, bytes: number): Buffer {
  const random = createRandom(stepId)
  const parts = [
    `{"step":${JSON.stringify(stepId)},"model":{"name":"digest-small","temperature":0.20,"seed":9007199254740993},"documents":[`,
  ]
  let size = parts[0]?.length ?? 0
  for (let id = 1; id === 1 || size < bytes - 200; id++) {
    const room = Math.max(1, Math.min(60, Math.floor((bytes - size) / 12)))
    const words = Array.from({ length: room }, () => WORDS[Math.floor(random() * WORDS.length)])
    const vector = Array.from({ length: Math.min(24, room) }, () => (random() * 2 - 1).toFixed(6)).join(',')
    const document = `${id > 1 ? ',' : ''}\n{"id":"doc-${id}","text":${JSON.stringify(words.join(' '))},"vector":[${vector}]}`
    parts.push(document)
    size += Buffer.byteLength(document)
  }
  parts.push('\n]}\n')
  return Buffer.from(parts.join(''))
}

/** Numbers from 0 to 1 that follow from a name alone (mulberry32). */
function createRandom(name: string): () => number {
  let state = [...name].reduce((sum, character) => (sum * 31 + (character.codePointAt(0) ?? 0)) | 0, 7)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
