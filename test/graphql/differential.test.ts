import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { rawPost } from '../support/answers.ts'
import { checkRandom, type Differential, startDifferential } from '../support/differential.ts'
import type { GraphqlOperation } from '../support/plain-execution.ts'
import { CLASSES } from '../support/random-operations.ts'

/** Of each class; `npm run fuzz` goes on without end. */
const SEEDS = 30

describe('every answer', () => {
  let differential: Differential
  before(async () => {
    differential = await startDifferential()
  })
  after(() => differential[Symbol.asyncDispose]())

  /** Asks four times; each answer must be this text, and the one of graphql-js alone. */
  async function isAlways(operation: GraphqlOperation, expected: string): Promise<void> {
    assert.equal(await differential.plain.answer(operation), expected)
    for (let i = 0; i < 4; i++) {
      const { bytes } = await rawPost(differential.server.url, JSON.stringify(operation))
      assert.equal(bytes.toString(), expected)
    }
  }

  const dataText = (data: object) => JSON.stringify({ data })

  it('data 1.1a: has the fields of a fragment that comes twice, first under a condition', async () => {
    const query = `query Page($expanded: Boolean!) { run(runId: "run 1") { ...Details @include(if: $expanded) ...Header } }
      fragment Header on Run { runId ...Status } fragment Details on Run { workflowName ...Status }
      fragment Status on Run { status }`
    await isAlways({ query, variables: { expanded: false } }, dataText({ run: { runId: 'run 1', status: 'FAILED' } }))
    const whole = { workflowName: null, status: 'FAILED', runId: 'run 1' }
    await isAlways({ query, variables: { expanded: true } }, dataText({ run: whole }))
    await isAlways({ query, variables: { expanded: false } }, dataText({ run: { runId: 'run 1', status: 'FAILED' } }))
  })

  it('data 1.1b: has the fields of one fragment at two places, one of them under a condition', async () => {
    const query = `query($x: Boolean!) { a: run(runId: "run 1") { runId ...F @include(if: $x) } b: run(runId: "run 2") { runId ...F } }
      fragment F on Run { status }`
    const data = { a: { runId: 'run 1' }, b: { runId: 'run 2', status: 'UNKNOWN' } }
    await isAlways({ query, variables: { x: false } }, dataText(data))
    const [a, b] = [{ runId: 'run 1', status: 'FAILED' }, data.b]
    await isAlways({ query, variables: { x: true } }, dataText({ a, b }))
  })

  it('data 1.1c: of one operation of a document does not depend on another one', async () => {
    const query = `query A($x: Boolean!) { run(runId: "run 1") { runId ...F @include(if: $x) } }
      query B { run(runId: "run 1") { runId ...F } } fragment F on Run { status }`
    const without = dataText({ run: { runId: 'run 1' } })
    const whole = dataText({ run: { runId: 'run 1', status: 'FAILED' } })
    await isAlways({ query, operationName: 'A', variables: { x: false } }, without)
    await isAlways({ query, operationName: 'B' }, whole)
    await isAlways({ query, operationName: 'A', variables: { x: true } }, whole)
    await isAlways({ query, operationName: 'B' }, whole)
  })

  it('data 1.1d: has nothing of what is excluded, and does not read it', async () => {
    const { server } = differential
    const query = `query($withPayload: Boolean!) { run(runId: "run 1") { steps(first: 1) { edges { node { stepId snapshot { kind } } } }
      steps(first: 1) @include(if: $withPayload) { edges { node { snapshot { ...P } } } } } } fragment P on Snapshot { payload }`
    server.statements.length = 0
    const node = { stepId: 'step 1', snapshot: { kind: 'OUTPUT' } }
    const expected = dataText({ run: { steps: { edges: [{ node }] } } })
    await isAlways({ query, variables: { withPayload: false } }, expected)
    assert.equal(server.statements.length, 4)
    assert.doesNotMatch(server.statements.join(), /payload/)
    const other =
      '{ runs(last: 1) { edges { node { runId } } edges @include(if: false) { node { ... on Run { __typename } } } } }'
    await isAlways({ query: other }, dataText({ runs: { edges: [{ node: { runId: 'run 2' } }] } }))
  })

  it('data 1.1: has its keys in the order of the selection, whatever they are called', async () => {
    const query = `{ run(runId: "run 1") { steps(first: 1) { edges { node { toString: stepId snapshot { kind } constructor: name } } }
      __proto__: runId latestSnapshot { kind } hasOwnProperty: status } __proto__: __typename }`
    const node = `{"toString":"step 1","snapshot":{"kind":"OUTPUT"},"constructor":"näme 0"}`
    const run = `{"steps":{"edges":[{"node":${node}}]},"__proto__":"run 1","latestSnapshot":{"kind":"ERROR"},"hasOwnProperty":"FAILED"}`
    await isAlways({ query }, `{"data":{"run":${run},"__proto__":"Query"}}`)
  })

  it('data 1.1: has one error where a list falls for several of its items', async () => {
    const query =
      '{ snapshot(runId: "foreign", stepId: "null tag") { a: step { snapshots { edges { node { piiTags } } } } } }'
    const { bytes } = await rawPost(differential.server.url, JSON.stringify({ query }))
    await isAlways({ query }, bytes.toString())
    assert.equal(JSON.parse(bytes.toString()).errors.length, 1)
  })

  it('data 1.1: to an empty name of an operation is the same, whatever was asked before', async () => {
    const query = 'query Named { __typename }'
    const ask = async (operationName?: string) => {
      const { status, bytes } = await rawPost(differential.server.url, JSON.stringify({ query, operationName }))
      return { status, text: bytes.toString() }
    }
    const before = await ask('')
    assert.equal(before.status, 400)
    for (let i = 0; i < 3; i++) assert.equal((await ask()).status, 200)
    assert.deepEqual(await ask(''), before)
    assert.equal((await ask('Named')).status, 200)
  })

  for (const kind of Object.keys(CLASSES) as (keyof typeof CLASSES)[]) {
    it(`is that of graphql-js alone, the first time and later, for random operations: ${kind}`, async () => {
      let compared = 0
      for (let seed = 1; seed <= SEEDS; seed++) compared += await checkRandom(differential, { seed, kind })
      assert.ok(compared > SEEDS * 3, `${compared} answers were compared`)
    })
  }
})
