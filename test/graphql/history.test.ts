import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { capture, dataOf, payloadOf } from '../support/answers.ts'
import { insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** Created within four microseconds; two of them in the same one. */
const MOMENTS = ['.000001', '.000002', '.000002', '.000004'].map((fraction) => `2026-05-05T05:05:05${fraction}Z`)

describe('the history of a run', () => {
  let server: TestServer
  const seqs: number[] = []

  before(async () => {
    server = await startServer()
    await server.graphql('mutation { upsertRun(input: { runId: "run" }) { runId } }')
    for (const [i, createdAt] of MOMENTS.entries()) {
      await insertForeign(server.databaseUrl, { runId: 'other', payload: '0', createdAt })
      const id = await insertForeign(server.databaseUrl, { runId: 'run', stepId: `s${i}`, payload: `${i}`, createdAt })
      const [row] = await query<{ seq: string }>(server.databaseUrl, 'select seq from state_snapshots where id = $1', [
        id,
      ])
      seqs.push(Number(row?.seq))
    }
  })
  after(() => server[Symbol.asyncDispose]())

  /** Which of the four snapshots that is. */
  async function stateAt(args: string): Promise<number | null> {
    const { run } = await dataOf(
      server.graphql<{ run: { stateAt: { payload: number } | null } }>(
        `{ run(runId: "run") { stateAt${args} { payload } } }`,
      ),
    )
    return run.stateAt?.payload ?? null
  }

  it('tells the state at a moment, to the microsecond', async () => {
    for (const [fraction, expected] of [
      ['.000000', null],
      ['.000001', 0],
      ['.0000019', 0],
      ['.000002', 2],
      ['.000003', 2],
      ['.000004', 3],
      ['.5', 3],
    ] as const) {
      assert.equal(await stateAt(`(at: "2026-05-05T05:05:05${fraction}Z")`), expected, fraction)
    }
    assert.equal(await stateAt('(at: "2026-05-05T07:05:05.000001+02:00")'), 0)
  })

  it('tells the state at a place', async () => {
    for (const [i, seq] of seqs.entries()) {
      assert.equal(await stateAt(`(seq: ${seq})`), i)
      assert.equal(await stateAt(`(seq: "${seq - 1}")`), i === 0 ? null : i - 1)
    }
  })

  it('tells the state at a moment and a place, whichever comes first', async () => {
    const [first = 0, second = 0, third = 0, fourth = 0] = seqs
    assert.equal(await stateAt(`(at: "${MOMENTS[1]}", seq: ${fourth})`), 2)
    assert.equal(await stateAt(`(at: "${MOMENTS[1]}", seq: ${second})`), 1)
    assert.equal(await stateAt(`(at: "${MOMENTS[3]}", seq: ${third})`), 2)
    assert.equal(await stateAt(`(at: "${MOMENTS[0]}", seq: ${first - 1})`), null)
  })

  it('tells the newest state where neither is given', async () => {
    assert.equal(await stateAt(''), 3)
    assert.equal(await stateAt('(at: null, seq: null)'), 3)
    const data = await dataOf(server.graphql('{ run(runId: "run") { latestSnapshot { payload } } }'))
    assert.deepEqual(data, { run: { latestSnapshot: { payload: 3 } } })
  })

  it('leads from each snapshot to the ones before and after it, over the borders of steps', async () => {
    const data = await dataOf(
      server.graphql(`{ run(runId: "run") { snapshots { edges { node {
        payload previous { payload stepId } next { payload stepId next { payload } } } } } } }`),
    )
    const neighbour = (i: number) => (i < 0 || i > 3 ? null : { payload: i, stepId: `s${i}` })
    const nodes = MOMENTS.map((_, i) => {
      const next = neighbour(i + 1)
      return {
        payload: i,
        previous: neighbour(i - 1),
        next: next && { ...next, next: i + 2 > 3 ? null : { payload: i + 2 } },
      }
    })
    assert.deepEqual(data, { run: { snapshots: { edges: nodes.map((node) => ({ node })) } } })
  })

  it('is empty for a run without snapshots', async () => {
    const text = `mutation { upsertRun(input: { runId: "empty" }) {
      latestSnapshot { seq } stateAt { seq } snapshots { edges { cursor } } steps { edges { cursor } }
      stats { stepCount snapshotCount objectCount goldenCount totalBytes } } }`
    assert.deepEqual(await dataOf(server.graphql(text)), {
      upsertRun: {
        latestSnapshot: null,
        stateAt: null,
        snapshots: { edges: [] },
        steps: { edges: [] },
        stats: { stepCount: 0, snapshotCount: 0, objectCount: 0, goldenCount: 0, totalBytes: 0 },
      },
    })
  })

  it('gives the newest snapshot of a step, not of the run', async () => {
    for (const [stepId, payload] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
      ['b', 4],
    ] as const) {
      await capture(server, { runId: 'steps', stepId, payload })
    }
    const data = await dataOf(
      server.graphql(`{ snapshot(runId: "steps", stepId: "a") { payload }
        step(runId: "steps", stepId: "b") { snapshot { payload } snapshots(orderBy: SEQ_DESC) { edges { node { payload } } } } }`),
    )
    assert.deepEqual(data, {
      snapshot: { payload: 3 },
      step: { snapshot: { payload: 4 }, snapshots: { edges: [{ node: { payload: 4 } }, { node: { payload: 2 } }] } },
    })
  })

  it('is counted from columns alone', async () => {
    const large = payloadOf(1_100_000)
    await capture(server, { runId: 'stats', stepId: 'a', payload: large })
    const { snapshot } = await capture(server, { runId: 'stats', stepId: 'b', payload: 'four' })
    await capture(server, { runId: 'stats', payload: null })
    await query(server.databaseUrl, 'update state_snapshots set is_golden = true where id = $1', [snapshot.snapshotId])
    await insertForeign(server.databaseUrl, { runId: 'stats', payload: '[1,2]' })
    server.statements.length = 0
    const text = '{ run(runId: "stats") { stats { stepCount snapshotCount objectCount goldenCount totalBytes } } }'
    const stats = { stepCount: 2, snapshotCount: 4, objectCount: 1, goldenCount: 1, totalBytes: 1_100_015 }
    assert.deepEqual(await dataOf(server.graphql(text)), { run: { stats } })
    assert.equal(server.statements.length, 2)
    for (const statement of server.statements) assert.doesNotMatch(statement, /\bsnapshot\b/)
  })
})
