import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { capture, codesByPath, dataOf } from '../support/answers.ts'
import { countRows } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const RUN = `workflowName status tags { key value } startedAt endedAt durationMs expiresAt
  parentRun { runId } error { message type stack }`
const UPSERT_RUN = `mutation($input: UpsertRunInput!) { upsertRun(input: $input) { ${RUN} } }`

const STEP = 'index name kind status attempt startedAt endedAt durationMs error { message type stack }'
const UPSERT_STEP = `mutation($input: UpsertStepInput!) { upsertStep(input: $input) { ${STEP} } }`

const FULL_RUN = {
  workflowName: 'billing',
  status: 'FAILED',
  tags: [{ key: 'team', value: 'red' }],
  startedAt: '2026-01-01T00:00:00Z',
  endedAt: '2026-01-01T00:00:01.5Z',
  expiresAt: '2031-01-01T00:00:00.000001Z',
  error: { message: 'broke', type: 'Oops', stack: 'at a\n at b' },
}
const EMPTY_RUN = {
  workflowName: null,
  status: 'UNKNOWN',
  tags: [],
  startedAt: null,
  endedAt: null,
  expiresAt: null,
  error: null,
}
const FULL_STEP = {
  index: 7,
  name: 'plan',
  kind: 'llm',
  status: 'SKIPPED',
  attempt: 2,
  startedAt: '2026-01-01T00:00:00.25Z',
  endedAt: '2026-01-01T00:00:01Z',
  error: { message: 'broke', type: null, stack: null },
}
const EMPTY_STEP = {
  index: null,
  name: null,
  kind: null,
  status: 'UNKNOWN',
  attempt: 1,
  startedAt: null,
  endedAt: null,
  error: null,
}

describe('upserts', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  async function upsertRun(input: object): Promise<object> {
    const { upsertRun: run } = await dataOf(server.graphql<{ upsertRun: object }>(UPSERT_RUN, { input }))
    return run
  }

  async function upsertStep(input: object): Promise<object> {
    const { upsertStep: step } = await dataOf(server.graphql<{ upsertStep: object }>(UPSERT_STEP, { input }))
    return step
  }

  it('create a run with nothing but its id', async () => {
    assert.deepEqual(await upsertRun({ runId: 'bare' }), { ...EMPTY_RUN, durationMs: null, parentRun: null })
  })

  it('change only what they name of a run, and null clears it', async () => {
    await upsertRun({ runId: 'parent' })
    let expected: object = { ...FULL_RUN, durationMs: 1500, parentRun: { runId: 'parent' } }
    assert.deepEqual(await upsertRun({ runId: 'run', ...FULL_RUN, parentRunId: 'parent' }), expected)
    assert.deepEqual(await upsertRun({ runId: 'run' }), expected)
    for (const [name, value] of Object.entries(EMPTY_RUN)) {
      const cleared = name === 'startedAt' ? { durationMs: null } : {}
      expected = { ...expected, ...cleared, [name]: value }
      assert.deepEqual(await upsertRun({ runId: 'run', [name]: null }), expected, name)
    }
    const orphan = { ...EMPTY_RUN, durationMs: null, parentRun: null }
    assert.deepEqual(await upsertRun({ runId: 'run', parentRunId: null }), orphan)
  })

  it('change only what they name of a step, and null clears it', async () => {
    const key = { runId: 'new run', stepId: 'step' }
    let expected: object = { ...FULL_STEP, durationMs: 750 }
    assert.deepEqual(await upsertStep({ ...key, ...FULL_STEP }), expected)
    assert.deepEqual(await upsertStep(key), expected)
    for (const [name, value] of Object.entries(EMPTY_STEP)) {
      const cleared = name === 'startedAt' ? { durationMs: null } : {}
      expected = { ...expected, ...cleared, [name]: value }
      assert.deepEqual(await upsertStep({ ...key, [name]: null }), expected, name)
    }
  })

  it('keep the place of a step without an index, behind those with one', async () => {
    for (const input of [{ stepId: 'c' }, { stepId: 'a', index: 1 }, { stepId: 'b' }, { stepId: 'z', index: 0 }]) {
      await upsertStep({ runId: 'order', ...input })
    }
    await upsertStep({ runId: 'order', stepId: 'c', name: 'changed' })
    const data = await dataOf(
      server.graphql<{ run: { steps: { edges: { node: { stepId: string } }[] } } }>(
        '{ run(runId: "order") { steps { edges { node { stepId } } } } }',
      ),
    )
    assert.deepEqual(
      data.run.steps.edges.map(({ node }) => node.stepId),
      ['z', 'a', 'c', 'b'],
    )
  })

  it('create the run of a step with the status UNKNOWN, and leave one that is there alone', async () => {
    await upsertStep({ runId: 'made by step', stepId: 's' })
    await upsertRun({ runId: 'made by step', status: 'RUNNING' })
    await upsertStep({ runId: 'made by step', stepId: 's', status: 'SUCCEEDED' })
    await capture(server, { runId: 'made by step', stepId: 's', payload: 1 })
    const text = '{ run(runId: "made by step") { status step(stepId: "s") { status } } }'
    assert.deepEqual(await dataOf(server.graphql(text)), { run: { status: 'RUNNING', step: { status: 'SUCCEEDED' } } })
  })

  it('move updatedAt and leave createdAt', async () => {
    interface Times {
      readonly upsertRun: { readonly createdAt: string; readonly updatedAt: string }
    }
    const text = 'mutation { upsertRun(input: { runId: "times", status: RUNNING }) { createdAt updatedAt } }'
    const { upsertRun: first } = await dataOf(server.graphql<Times>(text))
    const { upsertRun: second } = await dataOf(server.graphql<Times>(text))
    assert.equal(first.createdAt, second.createdAt)
    assert.ok(first.updatedAt < second.updatedAt)
  })

  it('of one run at once make one run', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `w${i}`)
    await Promise.all(names.map((workflowName) => upsertRun({ runId: 'race', workflowName })))
    await Promise.all(names.map((name) => upsertStep({ runId: 'race 2', stepId: 's', name })))
    const data = await dataOf(server.graphql('{ run(runId: "race") { stats { stepCount } } }'))
    assert.deepEqual(data, { run: { stats: { stepCount: 0 } } })
  })

  it('refuse what cannot be kept as it is, and write nothing', async () => {
    const rows = await countRows(server.databaseUrl, 'statelens_runs')
    const runs = [
      { workflowName: 'a\u0000' },
      { workflowName: '\ud800' },
      { workflowName: 'x'.repeat(3000) },
      { tags: [{ key: 'k', value: '\u0000' }] },
      { tags: [{ key: '\udfff', value: 'v' }] },
      { parentRunId: '' },
    ]
    for (const wrong of runs) {
      const answer = await server.graphql(UPSERT_RUN, { input: { runId: 'wrong', ...wrong } })
      assert.deepEqual(codesByPath(answer), { upsertRun: 'BAD_REQUEST' }, JSON.stringify(wrong).slice(0, 80))
    }
    for (const wrong of [{ name: '\u0000' }, { kind: '\ud800' }, { attempt: 0 }]) {
      const answer = await server.graphql(UPSERT_STEP, { input: { runId: 'wrong', stepId: 's', ...wrong } })
      assert.deepEqual(codesByPath(answer), { upsertStep: 'BAD_REQUEST' }, JSON.stringify(wrong))
    }
    assert.equal(await countRows(server.databaseUrl, 'statelens_runs'), rows)
  })
})
