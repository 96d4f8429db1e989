import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { capture, dataOf } from '../support/answers.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** A payload column that is read: whether there is anything in it costs nothing. */
const PAYLOAD_COLUMN = /\b(?:snapshot|payload)\b(?! is (?:not )?null)/

const METADATA = `id snapshotId runId stepId attempt seq kind createdAt expiresAt isSuccessState isGolden replaySafe piiTags
  redactionPolicy metadata sizeBytes digest digestOf integrity contentType contentEncoding storageTier storageState storageUri preview`

describe('statements', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
    await fill(server.databaseUrl)
  })
  after(() => server[Symbol.asyncDispose]())
  beforeEach(() => {
    server.statements.length = 0
  })

  it('are at most four for 50 runs of 20 steps with the metadata of their snapshots, and none reads a payload', async () => {
    const text = `{ runs(first: 50) { edges { node { runId status tags { key } steps(first: 20) { edges { node {
      stepId status snapshot { ${METADATA} } } } } } } } }`
    const data = await dataOf(
      server.graphql<{
        runs: { edges: { node: { steps: { edges: { node: { snapshot: { sizeBytes: number } } }[] } } }[] }
      }>(text),
    )
    const steps = data.runs.edges.flatMap(({ node }) => node.steps.edges)
    assert.equal(data.runs.edges.length, 50)
    assert.equal(steps.length, 1000)
    assert.ok(steps.every(({ node }) => node.snapshot.sizeBytes === 3))
    assert.ok(server.statements.length <= 4, server.statements.join('\n'))
    for (const statement of server.statements) assert.doesNotMatch(statement, PAYLOAD_COLUMN)
  })

  it('are the same whether 1 or 50 runs are asked for', async () => {
    const text = (
      first: number,
    ) => `{ runs(first: ${first}) { edges { node { stats { snapshotCount } latestSnapshot { seq }
      snapshots(first: 5) { edges { node { seq step { name } previous { seq } next { seq } } } } } } } }`
    await dataOf(server.graphql(text(1)))
    const one = server.statements.splice(0)
    await dataOf(server.graphql(text(50)))
    assert.equal(server.statements.length, one.length)
    for (const statement of server.statements) assert.doesNotMatch(statement, PAYLOAD_COLUMN)
  })

  it('name the payload column only to read payloads, once for all that lie inline', async () => {
    const text = '{ run(runId: "run 1") { steps(first: 20) { edges { node { snapshot { payload } } } } } }'
    await dataOf(server.graphql(text))
    const readers = server.statements.filter((statement) => PAYLOAD_COLUMN.test(statement))
    assert.equal(readers.length, 1, server.statements.join('\n'))
    assert.ok(server.statements.length <= 4)
  })

  it('are one for many aliases of one field', async () => {
    const times = (field: string) => Array.from({ length: 50 }, (_, i) => `a${i}: ${field}`).join(' ')
    for (const field of [
      'run(runId: "run 1") { status }',
      'step(runId: "run 1", stepId: "step 1") { name }',
      'snapshot(runId: "run 1", stepId: "step 1") { seq }',
    ]) {
      await dataOf(server.graphql(`{ ${times(field)} }`))
      assert.equal(server.statements.splice(0).length, 1, field)
    }
    for (const field of [
      'step(stepId: "step 1") { name }',
      'steps(first: 3) { edges { node { name } } }',
      'snapshots(first: 3) { edges { node { seq } } }',
      'latestSnapshot { seq }',
      'stateAt(seq: 100) { seq }',
      'stats { stepCount }',
    ]) {
      await dataOf(server.graphql(`{ run(runId: "run 1") { ${times(field)} } }`))
      assert.ok(server.statements.splice(0).length <= 2, field)
    }
  })

  it('are one for many keys of one field', async () => {
    const fields = Array.from({ length: 50 }, (_, i) => `a${i}: run(runId: "run ${i}") { runId }`)
    const data = await dataOf(server.graphql(`{ ${fields.join(' ')} }`))
    assert.deepEqual(data['a49'], { runId: 'run 49' })
    assert.equal(server.statements.length, 1)
  })

  it('never mix aliases whose arguments differ', async () => {
    const data = await dataOf(
      server.graphql(`{ run(runId: "run 1") {
        a: steps(first: 1) { edges { node { stepId } } }
        b: steps(first: 2) { edges { node { stepId } } }
        c: steps(last: 1) { edges { node { stepId } } }
        d: snapshots(first: 1) { edges { node { stepId } } }
        e: snapshots(first: 1, orderBy: SEQ_DESC) { edges { node { stepId } } }
        f: snapshots(first: 1, filter: { stepId: "step 7" }) { edges { node { stepId } } }
        g: step(stepId: "step 3") { stepId }
        h: step(stepId: "step 4") { stepId }
      } }`),
    )
    const edges = (...stepIds: string[]) => ({ edges: stepIds.map((stepId) => ({ node: { stepId } })) })
    assert.deepEqual(data, {
      run: {
        a: edges('step 1'),
        b: edges('step 1', 'step 2'),
        c: edges('step 20'),
        d: edges('step 1'),
        e: edges('step 20'),
        f: edges('step 7'),
        g: { stepId: 'step 3' },
        h: { stepId: 'step 4' },
      },
    })
  })

  it('are asked anew by each request', async () => {
    const text = '{ run(runId: "run 2") { workflowName } }'
    assert.deepEqual(await dataOf(server.graphql(text)), { run: { workflowName: null } })
    await query(server.databaseUrl, "update statelens_runs set workflow_name = 'new' where run_id = 'run 2'")
    assert.deepEqual(await dataOf(server.graphql(text)), { run: { workflowName: 'new' } })
  })

  it('see what an earlier mutation of the same request wrote', async () => {
    const text = `mutation {
      a: upsertRun(input: { runId: "seen", workflowName: "one" }) { workflowName stats { snapshotCount } }
      b: captureSnapshot(input: { runId: "seen", payload: 1 }) { snapshot { run { workflowName stats { snapshotCount } } } }
      c: upsertRun(input: { runId: "seen", workflowName: "two" }) { workflowName stats { snapshotCount } }
      d: captureSnapshot(input: { runId: "seen", payload: 2 }) { snapshot { run { workflowName stats { snapshotCount } } } }
      e: deleteRun(runId: "seen") { snapshotCount }
      f: captureSnapshot(input: { runId: "seen", payload: 3 }) { snapshot { run { workflowName stats { snapshotCount } } } }
    }`
    const run = (workflowName: string | null, snapshotCount: number) => ({ workflowName, stats: { snapshotCount } })
    assert.deepEqual(await dataOf(server.graphql(text)), {
      a: run('one', 0),
      b: { snapshot: { run: run('one', 1) } },
      c: run('two', 1),
      d: { snapshot: { run: run('two', 2) } },
      e: { snapshotCount: 2 },
      f: { snapshot: { run: run(null, 1) } },
    })
  })

  it('of a capture do not grow with what is stored already', async () => {
    await capture(server, { runId: 'run 1', stepId: 'step 1', payload: 1 })
    // A pass of the sweeper, which an earlier delete woke or its timer, is none of a capture's business.
    const ofSweeper = /^\s*(begin|commit|rollback)|statelens_(objects|uploads|deletions|tombstones)/i
    const ofCaptures = () => server.statements.splice(0).filter((text) => !ofSweeper.test(text)).length
    const first = ofCaptures()
    assert.ok(first > 0)
    for (let i = 0; i < 10; i++) await capture(server, { runId: 'run 1', stepId: 'step 1', payload: 1 })
    assert.equal(ofCaptures(), first * 10)
  })
})

/** 60 runs of 20 steps, each with one snapshot. */
async function fill(url: string): Promise<void> {
  await query(url, "insert into statelens_runs (run_id) select 'run ' || r from generate_series(0, 59) r")
  await query(
    url,
    `insert into statelens_steps (run_id, step_id, step_index)
     select 'run ' || r, 'step ' || s, s from generate_series(0, 59) r, generate_series(1, 20) s`,
  )
  await query(
    url,
    `insert into state_snapshots (run_id, step_id, snapshot, size_bytes, metadata)
     select 'run ' || r, 'step ' || s, '"x"', 3, '{"n":1}' from generate_series(0, 59) r, generate_series(1, 20) s
     order by r, s`,
  )
}
