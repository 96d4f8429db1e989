import { insertForeign, query } from '../support/rows.ts'
import type { TestServer } from '../support/server.ts'

/** A list of the schema: how to ask for a page of it, and its items in order. */
export interface List {
  readonly name: string
  /** Around the connection, whose arguments stand at `ARGS`. */
  readonly text: string
  /** What an item is known by. */
  readonly item: string
  readonly table: RegExp
  readonly order: readonly string[]
}

const RUNS = 24
const STEPS = 15
const SNAPSHOTS = 30
/** Several runs share a moment; moments differ by a microsecond. */
export const runAt = (i: number) => `2026-01-01T00:00:00.00000${i % 3}Z`
export const runName = (i: number) => `run ${String(i).padStart(3, '0')}`
export const stepName = (i: number) => `step ${String(i).padStart(3, '0')}`
const indexOf = (i: number) => (i % 3 === 0 ? null : (i * 7) % 4)

/** Runs, the steps of one, and the snapshots of that run; and every list of them. */
export async function fillLists({ databaseUrl }: TestServer): Promise<List[]> {
  const runs = Array.from({ length: RUNS }, (_, i) => i)
  for (const i of runs.toReversed()) {
    await query(databaseUrl, 'insert into statelens_runs (run_id, created_at) values ($1, $2)', [runName(i), runAt(i)])
  }
  const steps = Array.from({ length: STEPS }, (_, i) => i)
  for (const i of steps) {
    await query(databaseUrl, 'insert into statelens_steps (run_id, step_id, step_index) values ($1, $2, $3)', [
      runName(0),
      stepName(i),
      indexOf(i),
    ])
  }
  const seqs = Array.from({ length: SNAPSHOTS }, (_, i) => i + 1)
  for (const seq of seqs) {
    const stepId = seq % 3 === 0 ? undefined : stepName(seq % 3)
    const createdAt = `2026-01-01T00:00:${String(seq).padStart(2, '0')}Z`
    await insertForeign(databaseUrl, { runId: runName(0), stepId, createdAt, payload: '1' })
  }
  const byTime = runs.toSorted((a, b) => runAt(a).localeCompare(runAt(b)) || a - b).map(runName)
  const byIndex = steps.toSorted((a, b) => (indexOf(a) ?? 99) - (indexOf(b) ?? 99) || a - b).map(stepName)
  const ofStep = seqs.filter((seq) => seq % 3 === 1).map(String)
  const inRun = (list: string) => `{ list: run(runId: "${runName(0)}") { list: ${list} CONNECTION } }`
  const inStep = (list: string) =>
    `{ list: step(runId: "${runName(0)}", stepId: "${stepName(1)}") { list: ${list} CONNECTION } }`
  const ofRuns = { item: 'runId', table: /statelens_runs/ }
  const ofSnapshots = { item: 'seq', table: /state_snapshots/ }
  return [
    { name: 'runs', text: '{ list: runs(ARGS) CONNECTION }', ...ofRuns, order: byTime.toReversed() },
    { name: 'oldest runs', text: '{ list: runs(orderBy: CREATED_ASC, ARGS) CONNECTION }', ...ofRuns, order: byTime },
    { name: 'steps', text: inRun('steps(ARGS)'), item: 'stepId', table: /statelens_steps/, order: byIndex },
    { name: 'snapshots of a run', text: inRun('snapshots(ARGS)'), ...ofSnapshots, order: seqs.map(String) },
    {
      name: 'newest snapshots of a run',
      text: inRun('snapshots(orderBy: SEQ_DESC, ARGS)'),
      ...ofSnapshots,
      order: seqs.map(String).toReversed(),
    },
    { name: 'snapshots of a step', text: inStep('snapshots(ARGS)'), ...ofSnapshots, order: ofStep },
    {
      name: 'newest snapshots of a step',
      text: inStep('snapshots(orderBy: SEQ_DESC, ARGS)'),
      ...ofSnapshots,
      order: ofStep.toReversed(),
    },
  ]
}
