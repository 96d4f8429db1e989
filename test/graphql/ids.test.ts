import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { CAPTURE, capture, codesByPath, dataOf } from '../support/answers.ts'
import { startServer, type TestServer } from '../support/server.ts'

const STRANGE = [
  'two words ',
  'a:b::c',
  'Run:1:2',
  '/../a//b?c=d#e',
  '100%25',
  '👩‍🚀🚀',
  '"\'\\\n\t',
  '$1',
  '-1',
  'x'.repeat(512),
  '🙂'.repeat(128),
]

const IMPOSSIBLE = ['', 'x'.repeat(513), '🙂'.repeat(129), 'a\u0000b', 'a\ud800', '\udc00a']

const READ = `query($runId: String!, $stepId: String!) {
  run(runId: $runId) { id runId step(stepId: $stepId) { stepId } latestSnapshot { runId } }
  step(runId: $runId, stepId: $stepId) { id runId stepId run { runId } snapshot { stepId } }
  snapshot(runId: $runId, stepId: $stepId) { id runId stepId run { runId } step { stepId } payload }
}`

interface Read {
  readonly run: { readonly id: string }
  readonly step: { readonly id: string }
  readonly snapshot: { readonly id: string }
}

const NODES = `query($ids: [ID!]!) { nodes(ids: $ids) {
  __typename id
  ... on Run { runId }
  ... on Step { runId stepId }
  ... on Snapshot { runId ofStep: stepId }
} }`

describe('ids of runs and steps', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())

  it('may hold any text up to 512 bytes', async () => {
    for (const [i, runId] of STRANGE.entries()) {
      const stepId = STRANGE.at(-1 - i) ?? ''
      await capture(server, { runId, stepId, payload: { runId } })
      const { run, step, snapshot } = await dataOf(server.graphql<Read>(READ, { runId, stepId }))
      assert.deepEqual(run, { id: run.id, runId, step: { stepId }, latestSnapshot: { runId } })
      assert.deepEqual(step, { id: step.id, runId, stepId, run: { runId }, snapshot: { stepId } })
      const { id } = snapshot
      assert.deepEqual(snapshot, { id, runId, stepId, run: { runId }, step: { stepId }, payload: { runId } })

      const { nodes } = await dataOf(server.graphql(NODES, { ids: [run.id, step.id, snapshot.id] }))
      assert.deepEqual(nodes, [
        { __typename: 'Run', id: run.id, runId },
        { __typename: 'Step', id: step.id, runId, stepId },
        { __typename: 'Snapshot', id: snapshot.id, runId, ofStep: stepId },
      ])
      assert.match(`${run.id}${step.id}${snapshot.id}`, /^[\w-]+$/)
    }
  })

  it('are paged past in lists, and deleted', async () => {
    interface Runs {
      readonly runs: { readonly edges: { readonly cursor: string; readonly node: { readonly runId: string } }[] }
    }
    const found: string[] = []
    for (let after: string | null = null; ; ) {
      const text = 'query($after: String) { runs(first: 1, after: $after) { edges { cursor node { runId } } } }'
      const answer: Runs = await dataOf(server.graphql<Runs>(text, { after }))
      const [edge] = answer.runs.edges
      if (!edge) break
      found.push(edge.node.runId)
      after = edge.cursor
    }
    assert.deepEqual(found.toSorted(), STRANGE.toSorted())
    for (const runId of STRANGE) {
      const text = 'mutation($runId: String!) { deleteRun(runId: $runId) { deleted snapshotCount } }'
      const data = await dataOf(server.graphql(text, { runId }))
      assert.deepEqual(data, { deleteRun: { deleted: true, snapshotCount: 1 } })
    }
  })

  it('that cannot exist are a bad request on every write, before any SQL', async () => {
    const mutations = {
      upsertRun: 'mutation($id: String!) { upsertRun(input: { runId: $id }) { runId } }',
      upsertStep: 'mutation($id: String!) { upsertStep(input: { runId: "r", stepId: $id }) { runId } }',
      captureSnapshot: 'mutation($id: String!) { captureSnapshot(input: { runId: $id, payload: 1 }) { created } }',
      deleteRun: 'mutation($id: String!) { deleteRun(runId: $id) { deleted } }',
    }
    await using untouched = await startServer()
    for (const id of IMPOSSIBLE) {
      for (const [name, text] of Object.entries(mutations)) {
        assert.deepEqual(codesByPath(await untouched.graphql(text, { id })), { [name]: 'BAD_REQUEST' })
      }
      const input = { runId: 'r', stepId: id, payload: 1 }
      assert.deepEqual(codesByPath(await untouched.graphql(CAPTURE, { input })), { captureSnapshot: 'BAD_REQUEST' })
      const other = { runId: id, stepId: 's' }
      const text = 'mutation($input: UpsertStepInput!) { upsertStep(input: $input) { stepId } }'
      assert.deepEqual(codesByPath(await untouched.graphql(text, { input: other })), { upsertStep: 'BAD_REQUEST' })
    }
    assert.deepEqual(untouched.statements, [])
  })

  it('that cannot exist are null on every read, also where a replacement character would match', async () => {
    await capture(server, { runId: 'a\ufffd', stepId: 'a\ufffd', payload: 1 })
    for (const id of IMPOSSIBLE) {
      for (const variables of [
        { runId: id, stepId: 'a\ufffd' },
        { runId: 'a\ufffd', stepId: id },
      ]) {
        const { run, ...others } = await dataOf(server.graphql<Read>(READ, variables))
        assert.deepEqual(others, { step: null, snapshot: null })
        if (variables.runId === id) assert.equal(run, null)
        else
          assert.deepEqual(
            { ...run, id: '' },
            { id: '', runId: 'a\ufffd', step: null, latestSnapshot: { runId: 'a\ufffd' } },
          )
      }
    }
    await server.graphql('mutation($id: String!) { deleteRun(runId: $id) { deleted } }', { id: 'a\ud800' })
    const { run } = await dataOf(server.graphql('query($id: String!) { run(runId: $id) { runId } }', { id: 'a\ufffd' }))
    assert.deepEqual(run, { runId: 'a\ufffd' })
  })

  it('that are well formed but unknown are null', async () => {
    const data = await dataOf(server.graphql(READ, { runId: 'unknown', stepId: 'unknown' }))
    assert.deepEqual(data, { run: null, step: null, snapshot: null })
    for (const snapshotId of ['no-uuid', '', '00000000-0000-0000-0000-000000000000', 'a\u0000']) {
      const text = 'query($snapshotId: ID!) { snapshotById(snapshotId: $snapshotId) { seq } }'
      assert.deepEqual(await dataOf(server.graphql(text, { snapshotId })), { snapshotById: null })
    }
  })

  it('of all types answer null by node(id) when they are not there, and BAD_REQUEST when nobody made them', async () => {
    const made = ['Run:gone', 'Step:4:gonestep', 'Snapshot:00000000-0000-0000-0000-000000000000', 'Snapshot:x']
    for (const text of made) {
      const id = Buffer.from(text).toString('base64url')
      assert.deepEqual(await dataOf(server.graphql('query($id: ID!) { node(id: $id) { id } }', { id })), { node: null })
    }
    server.statements.length = 0
    const strange = ['', 'x', 'Run:gone', `${Buffer.from('Run:a').toString('base64')}==`, 'Step', '🙂', '1']
    const inside = ['Other:a', 'run:a', 'Step:9:gone', 'Step:-1:x', 'Step:x', 'Query:', ':'].map((text) =>
      Buffer.from(text).toString('base64url'),
    )
    for (const id of [...strange, ...inside]) {
      const answer = await server.graphql('query($id: ID!) { node(id: $id) { id } }', { id })
      assert.deepEqual(codesByPath(answer), { node: 'BAD_REQUEST' }, Buffer.from(id, 'base64url').toString())
      assert.deepEqual(answer.data, { node: null })
    }
    assert.deepEqual(server.statements, [])
  })
})
