import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Authorize } from '../../src/snapshots/authorize.ts'
import { send } from '../support/http.ts'
import { put, storedOf } from '../support/put.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { codesTold, WAYS, watchBy } from '../support/watching.ts'

/** Runs whose id has an `a` may be read and written by anybody, and nothing be deleted but `a1`. */
const authorize: Authorize = async (_viewer, action, { runId }) =>
  action === 'delete' ? runId === 'a1' : runId.includes('a')

describe('an application around that decides by run', () => {
  let server: TestServer
  let open: TestServer
  const ids = new Map<string, string>()

  before(async () => {
    open = await startServer()
    for (const runId of ['a1', 'b1', 'a2', 'b2', 'b3', 'b4', 'a3', 'b5']) {
      await open.graphql(
        `mutation { upsertRun(input: {runId: "${runId}", parentRunId: "${runId === 'a2' ? 'b1' : 'a1'}"}) { id } }`,
      )
      ids.set(runId, storedOf(await put(open.url, `"of ${runId}"`, { runId })).snapshotId)
    }
    server = await startServer({ authorize, store: open })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await open[Symbol.asyncDispose]()
  })

  it('has lists hold only what it allows, in pages that are full, both ways', async () => {
    const page = async (args: string) => {
      const { data } = await server.graphql<{
        runs: {
          nodes: { runId: string }[]
          totalCount: null
          pageInfo: { endCursor: string; startCursor: string; hasNextPage: boolean; hasPreviousPage: boolean }
        }
      }>(
        `{ runs(orderBy: CREATED_ASC, ${args}) { nodes { runId } totalCount pageInfo { endCursor startCursor hasNextPage hasPreviousPage } } }`,
      )
      const { nodes, totalCount, pageInfo } = data.runs
      assert.equal(totalCount, null)
      return { ids: nodes.map(({ runId }) => runId), ...pageInfo }
    }
    const first = await page('first: 2')
    assert.deepEqual([first.ids, first.hasNextPage, first.hasPreviousPage], [['a1', 'a2'], true, false])
    const second = await page(`first: 2, after: "${first.endCursor}"`)
    assert.deepEqual([second.ids, second.hasNextPage], [['a3'], false])
    const last = await page('last: 2')
    assert.deepEqual([last.ids, last.hasPreviousPage, last.hasNextPage], [['a2', 'a3'], true, false])
    assert.deepEqual((await page(`last: 2, before: "${last.startCursor}"`)).ids, ['a1'])
    assert.deepEqual((await page('first: 100')).ids, ['a1', 'a2', 'a3'])
  })

  it('has everything of the others be as if it were not there, by every way', async () => {
    const id = ids.get('b1')
    const queries = [
      '{ x: run(runId: "b1") { runId } }',
      '{ x: run(runId: "b1") { steps { nodes { stepId } } } }',
      '{ x: step(runId: "b1", stepId: "step") { stepId } }',
      '{ x: snapshot(runId: "b1", stepId: "step") { payload } }',
      `{ x: snapshotById(snapshotId: "${id}") { payload } }`,
      `{ x: node(id: "${Buffer.from(`Snapshot:${id}`).toString('base64url')}") { id } }`,
    ]
    for (const query of queries)
      assert.deepEqual(await server.graphql(query), { status: 200, data: { x: null }, errors: undefined })
    const entities = await server.graphql(
      '{ _entities(representations: [{__typename: "Run", runId: "b1"}, {__typename: "Run", runId: "a1"}]) { ... on Run { runId } } }',
    )
    assert.deepEqual(entities.data, { _entities: [null, { runId: 'a1' }] })
    const parent = await server.graphql('{ run(runId: "a2") { parentRun { runId } latestSnapshot { payload } } }')
    assert.deepEqual(parent.data, { run: { parentRun: null, latestSnapshot: { payload: 'of a2' } } })
    assert.equal((await send(server.url, { target: `/snapshots/${id}/payload` })).status, 404)
    assert.equal((await send(server.url, { target: `/snapshots/${ids.get('a1')}/payload` })).status, 200)
  })

  it('has nothing be compared with what is not there, or looked into', async () => {
    const [mine, other] = [ids.get('a2'), ids.get('b1')]
    for (const [base, against] of [
      ['a2', 'b1'],
      ['b1', 'a2'],
      ['b1', 'b1'],
    ]) {
      const query = `{ compareRuns(baseRunId: "${base}", otherRunId: "${against}") { steps { totalCount } } }`
      assert.deepEqual(await server.graphql(query), { status: 200, data: { compareRuns: null }, errors: undefined })
    }
    const diff = await server.graphql(
      `{ s: snapshotById(snapshotId: "${mine}") { diff(from: "${other}") { identical } } }`,
    )
    assert.deepEqual([diff.data, diff.errors?.[0]?.extensions.code], [{ s: { diff: null } }, 'NOT_FOUND'])
    for (const [target, status] of [
      [`/snapshots/${other}/value`, 404],
      [`/snapshots/${other}/diff`, 404],
      [`/snapshots/${mine}/diff?from=${other}`, 404],
      [`/snapshots/${other}/diff?from=${mine}`, 404],
      [`/snapshots/${mine}/value`, 200],
      [`/snapshots/${mine}/diff`, 200],
    ] as const)
      assert.equal((await send(server.url, { target })).status, status, target)
  })

  it('has the events of what it allows be watched, run by run', async () => {
    const FIELDS = '{ __typename ... on RunUpdated { run { runId parentRun { runId } } } }'
    for (const way of WAYS) {
      for (const [field, codes] of [
        ['runEvents(runId: "b1")', ['FORBIDDEN']],
        ['replayRun(runId: "b1")', ['FORBIDDEN']],
        ['runsUpdated', ['FORBIDDEN']],
        ['runsUpdated(filter: {search: "a"})', ['FORBIDDEN']],
        ['runEvents(runId: "a2")', []],
      ] as const) {
        await using watching = await watchBy(way, server.url, `subscription { ${field} ${FIELDS} }`)
        assert.deepEqual(codesTold(await watching.until('CaughtUp')), codes, `${way} ${field}`)
        assert.ok(!watching.text().includes('"b1"'), watching.text())
      }
    }
  })

  it('is asked before anything is changed, by every way', async () => {
    const input = (fields: string) => `input: {runId: "b9", ${fields}}`
    const digest = `sha256:${'0'.repeat(64)}`
    const mutations = [
      `upsertRun(${input('status: FAILED')}) { id }`,
      `upsertStep(${input('stepId: "s"')}) { id }`,
      `captureSnapshot(${input('payload: 1')}) { created }`,
      `beginSnapshotUpload(${input(`digest: "${digest}", sizeBytes: 5`)}) { uploadId }`,
      'deleteRun(runId: "a2") { deleted }',
      `deleteSnapshot(snapshotId: "${ids.get('a2')}") { deleted }`,
    ]
    for (const mutation of mutations) {
      const { errors } = await server.graphql(`mutation { ${mutation} }`)
      assert.deepEqual(
        errors?.map(({ extensions }) => extensions.code),
        ['FORBIDDEN'],
        mutation,
      )
    }
    assert.equal((await put(server.url, '1', { runId: 'b9' })).status, 403)
    // Of what he may not read, nobody learns that it is there.
    const hidden = await server.graphql(`mutation { deleteSnapshot(snapshotId: "${ids.get('b1')}") { deleted } }`)
    assert.deepEqual(hidden.data, { deleteSnapshot: { deleted: false } })
    const left = await open.graphql(
      '{ b9: run(runId: "b9") { id } a2: run(runId: "a2") { status latestSnapshot { payload } } b1: run(runId: "b1") { latestSnapshot { payload } } }',
    )
    assert.deepEqual(left.data, {
      b9: null,
      a2: { status: 'UNKNOWN', latestSnapshot: { payload: 'of a2' } },
      b1: { latestSnapshot: { payload: 'of b1' } },
    })
    const done = await server.graphql(
      'mutation { captureSnapshot(input: {runId: "a1", payload: 2}) { created } deleteRun(runId: "a1") { deleted } }',
    )
    assert.deepEqual(done.data, { captureSnapshot: { created: true }, deleteRun: { deleted: true } })
  })
})
