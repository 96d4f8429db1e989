/** One question that every server is asked. */
export interface BenchQuery {
  readonly name: string
  readonly about: string
  /** As statelens and the servers with the same schema take it. */
  readonly text: string
  /** As PostGraphile takes it: its schema follows the tables, so aliases give its fields the names of the others. */
  readonly postgraphile: string
  /** Whether the answer holds payloads, whose bytes can be compared. */
  readonly hasPayload: boolean
  /** How many of them a server has answered before it is as fast as it gets, as its code is compiled while it runs. */
  readonly warmUp: number
  /** Of the rows that were seeded, any one is as likely as any other. */
  readonly variables: (random: () => number, runs: number) => Record<string, string>
}

export const STEPS_PER_RUN = 20
export const RUNS_PER_WORKFLOW = 50

const runIdOf = (run: number) => `run-${String(run).padStart(6, '0')}`
const stepIdOf = (step: number) => `step-${String(step).padStart(2, '0')}`
const workflowOf = (workflow: number) => `workflow-${workflow}`
const below = (random: () => number, limit: number) => Math.floor(random() * limit)
const anyWorkflow = (random: () => number, runs: number) => ({
  workflow: workflowOf(below(random, Math.floor(runs / RUNS_PER_WORKFLOW))),
})

const RUN = 'runId workflowName status createdAt'
const STEP = 'stepId index name status startedAt endedAt'
const SNAPSHOT = 'snapshotId seq kind createdAt isSuccessState isGolden sizeBytes digest'
const PAYLOAD = 'snapshotId seq createdAt sizeBytes digest payload'

/** PostGraphile's names behind the same words. */
const ALIASES: Readonly<Record<string, string>> = {
  index: 'index: stepIndex',
  snapshotId: 'snapshotId: rowId',
  digest: 'digest: contentDigest',
  payload: 'payload: snapshot',
}
const aliased = (fields: string) =>
  fields
    .split(' ')
    .map((field) => ALIASES[field] ?? field)
    .join(' ')

const steps = (fields: string, snapshot: string) =>
  `steps(first: ${STEPS_PER_RUN}) { edges { node { ${fields} snapshot { ${snapshot} } } } }`
/** Payloads are read by the field that is faster for them. */
const postgraphileSteps = (fields: string, snapshot: string) =>
  `steps(first: ${STEPS_PER_RUN}, orderBy: STEP_INDEX_ASC) { edges { node { ${aliased(fields)} snapshot: ${
    snapshot === PAYLOAD ? 'newestState' : 'newestSnapshot'
  } { ${aliased(snapshot)} } } } }`

const PAGE = 'pageInfo { hasNextPage endCursor }'
const runs = (first: number, inner: string) =>
  `runs(first: ${first}, filter: { workflowName: $workflow }) { ${PAGE} edges { node { ${inner} } } }`
const postgraphileRuns = (first: number, inner: string) =>
  `runs: allRuns(first: ${first}, condition: { workflowName: $workflow }, orderBy: [CREATED_AT_DESC, RUN_ID_DESC]) { ${PAGE} edges { node { ${inner} } } }`

export const QUERIES: readonly BenchQuery[] = [
  {
    name: 'Q1',
    about: 'one snapshot by run and step, with its payload',
    text: `query Q1($runId: String!, $stepId: String!) { snapshot(runId: $runId, stepId: $stepId) { ${PAYLOAD} } }`,
    postgraphile: `query Q1($runId: String!, $stepId: String!) { snapshot: newestSnapshot(runId: $runId, stepId: $stepId) { ${aliased(PAYLOAD)} } }`,
    hasPayload: true,
    warmUp: 40_000,
    variables: (random, count) => ({
      runId: runIdOf(below(random, count)),
      stepId: stepIdOf(below(random, STEPS_PER_RUN)),
    }),
  },
  {
    name: 'Q2',
    about: 'a run, its 20 steps, and their snapshots without payload',
    text: `query Q2($runId: String!) { run(runId: $runId) { ${RUN} ${steps(STEP, SNAPSHOT)} } }`,
    postgraphile: `query Q2($runId: String!) { run: runByRunId(runId: $runId) { ${RUN} ${postgraphileSteps(STEP, SNAPSHOT)} } }`,
    hasPayload: false,
    warmUp: 20_000,
    variables: (random, count) => ({ runId: runIdOf(below(random, count)) }),
  },
  {
    name: 'Q3',
    about: '50 runs of a workflow, 20 steps each, and their snapshots without payload',
    text: `query Q3($workflow: String!) { ${runs(50, `${RUN} ${steps(STEP, SNAPSHOT)}`)} }`,
    postgraphile: `query Q3($workflow: String!) { ${postgraphileRuns(50, `${RUN} ${postgraphileSteps(STEP, SNAPSHOT)}`)} }`,
    hasPayload: false,
    warmUp: 1000,
    variables: anyWorkflow,
  },
  {
    name: 'Q4',
    about: '20 runs of a workflow, 20 steps each, and their snapshots with payload',
    text: `query Q4($workflow: String!) { ${runs(20, `runId ${steps('stepId', PAYLOAD)}`)} }`,
    postgraphile: `query Q4($workflow: String!) { ${postgraphileRuns(20, `runId ${postgraphileSteps('stepId', PAYLOAD)}`)} }`,
    hasPayload: true,
    warmUp: 1000,
    variables: anyWorkflow,
  },
]
