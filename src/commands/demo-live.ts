import { setTimeout as delay } from 'node:timers/promises'
import type { SnapshotWriter } from '../snapshots/capture/writer.ts'
import { demoState } from './demo-state.ts'

const FILES = ['session', 'billing', 'invoice', 'parcel', 'ledger', 'mailer', 'search', 'report', 'upload', 'locale']
const STEPS = ['read-diff', ...FILES.map((name) => `review-${name}.ts`), 'summarise']
/** Of a step, and between two runs. */
const STEP_MILLIS = 12_000
const PAUSE_MILLIS = 10_000
const FIRST_RUN = 77

/** Plays runs one after the other, as an agent at work records them, until the signal fires. Rejects with what the writer rejects with. */
export async function playLive(writer: SnapshotWriter, signal: AbortSignal): Promise<void> {
  try {
    for (let number = FIRST_RUN; ; number++) {
      await playRun(writer, `code-review-${number}`, signal)
      await delay(PAUSE_MILLIS, undefined, { signal })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function playRun(writer: SnapshotWriter, runId: string, signal: AbortSignal): Promise<void> {
  const tags = [{ key: 'team', value: 'platform' }]
  await writer.upsertRun({ runId, workflowName: 'code-review', status: 'RUNNING', tags, startedAt: now() })
  for (const [index, stepId] of STEPS.entries()) {
    const step = { runId, stepId, index, name: stepId.replaceAll('-', ' '), kind: index === 0 ? 'tool' : 'agent' }
    await writer.upsertStep({ ...step, status: 'RUNNING', startedAt: now() })
    const state = (edition: number) =>
      demoState({ topic: runId, plan: STEPS, done: index + 1, sizeBytes: 20_000 + index * 4000, edition })
    await delay(STEP_MILLIS / 2, undefined, { signal })
    await writer.capture({ runId, stepId, kind: 'CHECKPOINT' }, state(0))
    await delay(STEP_MILLIS / 2, undefined, { signal })
    await writer.capture({ runId, stepId, kind: 'OUTPUT', isSuccessState: true, replaySafe: true }, state(1))
    await writer.upsertStep({ ...step, status: 'SUCCEEDED', endedAt: now() })
  }
  await writer.upsertRun({ runId, status: 'SUCCEEDED', endedAt: now() })
}

const now = () => new Date().toISOString()
