import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeGlobalId, encodeStepKey } from '../../src/model/ids.ts'
import { capture, codesByPath, dataOf, uriOf } from '../support/answers.ts'
import { openObjects } from '../support/objects.ts'
import { query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

/** Objects are whatever is larger than this. */
const env = { SNAPSHOT_INLINE_MAX_BYTES: '100' }
const text = 'x'.repeat(200)

const runIdOf = (index: number) => `run ${String(index).padStart(2, '0')}`

/** Runs of one object each; the one of the run at `lost` is gone. */
async function captureRuns(server: TestServer, count: number, lost: number): Promise<void> {
  using objects = openObjects(server)
  for (let index = 0; index < count; index++) {
    const captured = await capture(server, { runId: runIdOf(index), payload: { text, index } })
    if (index === lost) await objects.remove(uriOf(captured))
  }
}

describe('one bad item of a list', () => {
  it('data 1.8, 1.10: of 50 is null at its place with its error there, and the others are whole', async () => {
    await using server = await startServer({ env })
    await captureRuns(server, 49, 7)
    const ids = Array.from({ length: 49 }, (_, index) => encodeGlobalId('Run', runIdOf(index)))
    ids.splice(20, 0, 'no id of this server')
    const asked =
      'query($ids: [ID!]!) { nodes(ids: $ids) { ... on Run { runId latestSnapshot { kind integrity(verify: true) } } } }'
    for (let i = 0; i < 2; i++) {
      const answer = await server.graphql<{ nodes: readonly unknown[] }>(asked, { ids })
      const lost = 'nodes.7.latestSnapshot.integrity'
      assert.deepEqual(codesByPath(answer), { [lost]: 'OBJECT_MISSING', 'nodes.20': 'BAD_REQUEST' })
      const whole = { kind: 'CHECKPOINT', integrity: 'VERIFIED' }
      const expected: unknown[] = Array.from({ length: 49 }, (_, index) => ({
        runId: runIdOf(index),
        latestSnapshot: whole,
      }))
      expected[7] = { runId: runIdOf(7), latestSnapshot: { ...whole, integrity: null } }
      expected.splice(20, 0, null)
      assert.deepEqual(answer.data.nodes, expected)
    }
  })

  it('data 1.8: that cannot be verified, linked or paged leaves the list of runs as it is', async () => {
    await using server = await startServer({ env })
    await captureRuns(server, 3, 1)
    const runs = (field: string) => `{ runs(orderBy: CREATED_ASC) { nodes { runId ${field} } } }`
    const all = (value: object) => [0, 1, 2].map((index) => ({ runId: runIdOf(index), ...value }))
    const paths = (path: string, code: string) =>
      Object.fromEntries([0, 1, 2].map((index) => [`runs.nodes.${index}.${path}`, code]))
    for (const [field, value, path] of [
      [
        'latestSnapshot { seq: kind download(expiresIn: 0) { url } }',
        { latestSnapshot: { seq: 'CHECKPOINT', download: null } },
        'latestSnapshot.download',
      ],
      ['snapshots(first: 101) { nodes { seq } }', { snapshots: null }, 'snapshots'],
      ['steps(first: 1, last: 1) { nodes { stepId } }', { steps: null }, 'steps'],
      ['snapshots(after: "x") { nodes { seq } }', { snapshots: null }, 'snapshots'],
      [
        'latestSnapshot { step { stepId } run { snapshots(last: -1) { totalCount } } }',
        { latestSnapshot: { step: null, run: { snapshots: null } } },
        'latestSnapshot.run.snapshots',
      ],
    ] as const) {
      const answer = await server.graphql<{ runs: { nodes: unknown } }>(runs(field))
      assert.deepEqual(answer.data.runs.nodes, all(value), field)
      assert.deepEqual(codesByPath(answer), paths(path, 'BAD_REQUEST'), field)
    }
    const verified = await server.graphql<{ runs: { nodes: unknown } }>(
      runs('snapshots(first: 1) { nodes { integrity(verify: true) } }'),
    )
    const integrities = ['VERIFIED', null, 'VERIFIED'].map((integrity, index) => ({
      runId: runIdOf(index),
      snapshots: { nodes: [{ integrity }] },
    }))
    assert.deepEqual(verified.data.runs.nodes, integrities)
    assert.deepEqual(codesByPath(verified), { 'runs.nodes.1.snapshots.nodes.0.integrity': 'OBJECT_MISSING' })
  })

  it('whose counts cannot be had is whole without them', async () => {
    await using server = await startServer()
    await dataOf(server.graphql('mutation { upsertRun(input: { runId: "run" }) { runId } }'))
    await query(server.databaseUrl, 'alter table statelens_steps rename to elsewhere')
    const answer = await server.graphql('{ runs { nodes { runId stats { stepCount } } } }')
    assert.deepEqual(answer.data, { runs: { nodes: [{ runId: 'run', stats: null }] } })
    assert.deepEqual(codesByPath(answer), { 'runs.nodes.0.stats': 'INTERNAL_SERVER_ERROR' })
  })

  it('data 1.10: is one entity reference among good ones', async () => {
    await using server = await startServer()
    const step = { runId: 'run', stepId: 'step' }
    await capture(server, { ...step, payload: 1 })
    const good = { __typename: 'Step', ...step }
    const representations = [
      good,
      // One whole key, and a part of another one.
      { __typename: 'Step', id: encodeGlobalId('Step', encodeStepKey('run', 'step')), runId: 'run' },
      { __typename: 'Step', runId: 'run' },
      { __typename: 'Step', id: 'no id' },
      { __typename: 'Run', id: encodeGlobalId('Step', encodeStepKey('run', 'step')) },
      { __typename: 'Run', runId: 5 },
      { __typename: 'Nothing', id: 'x' },
      { __typename: 'PageInfo', id: 'x' },
      { __typename: 'Run', runId: 'none' },
      {},
      { __typename: 'Run', runId: 'run' },
    ]
    const asked = `query($representations: [_Any!]!) { _entities(representations: $representations) {
      ... on Step { stepId } ... on Run { runId } } }`
    const answer = await server.graphql<{ _entities: unknown }>(asked, { representations })
    const expected: unknown[] = representations.map(() => null)
    expected[0] = { stepId: 'step' }
    expected[1] = { stepId: 'step' }
    expected[10] = { runId: 'run' }
    assert.deepEqual(answer.data._entities, expected)
    const bad = [2, 3, 4, 5, 6, 7, 9].map((index) => [`_entities.${index}`, 'BAD_REQUEST'])
    assert.deepEqual(codesByPath(answer), Object.fromEntries(bad))
  })

  it('data 1.10: is a global id whose inside is of no use', async () => {
    await using server = await startServer()
    await capture(server, { runId: 'run', payload: 1 })
    const ids = [encodeGlobalId('Run', 'run'), encodeGlobalId('Step', 'garbage'), encodeGlobalId('Run', 'none'), 'x']
    const answer = await server.graphql('query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }', { ids })
    assert.deepEqual(answer.data, { nodes: [{ __typename: 'Run', id: ids[0] }, null, null, null] })
    assert.deepEqual(codesByPath(answer), { 'nodes.1': 'BAD_REQUEST', 'nodes.3': 'BAD_REQUEST' })
  })
})
