import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLogger } from '../../src/log.ts'
import { put, storedOf } from '../support/put.ts'
import { graphqlAt, startServer } from '../support/server.ts'
import { tokensFor } from '../support/tokens.ts'

const HOLD = 'mutation ($runId: String!, $hold: Boolean!) { holdRun(runId: $runId, hold: $hold) { runId legalHold } }'
const GOLDEN = `mutation ($id: ID!, $source: String!, $notes: JSON) {
  markGolden(snapshotId: $id, approvalSource: $source, approvalMetadata: $notes) {
    isGolden goldenApproval { source metadata approvedAt } } }`

describe('legal hold', () => {
  it('keeps a run and its states from being deleted by hand, until it is let go', async () => {
    await using server = await startServer()
    const { snapshotId } = storedOf(await put(server.url, '1', { runId: 'run' }))
    const hold = async (is: boolean) => (await server.graphql(HOLD, { runId: 'run', hold: is })).data
    assert.deepEqual(await hold(true), { holdRun: { runId: 'run', legalHold: true } })
    for (const text of [
      'deleteRun(runId: "run") { deleted }',
      `deleteSnapshot(snapshotId: "${snapshotId}") { deleted }`,
    ]) {
      const { data, errors } = await server.graphql(`mutation { ${text} }`)
      assert.deepEqual([data, errors?.[0]?.extensions.code], [null, 'CONFLICT'])
      assert.match(errors?.[0]?.message ?? '', /legal hold/)
    }
    // It goes on as before but for that.
    assert.equal((await put(server.url, '2', { runId: 'run' })).status, 201)
    assert.deepEqual(await hold(false), { holdRun: { runId: 'run', legalHold: false } })
    const { data } = await server.graphql('mutation { deleteRun(runId: "run") { deleted snapshotCount } }')
    assert.deepEqual(data, { deleteRun: { deleted: true, snapshotCount: 2 } })
  })

  it('is for runs that are there', async () => {
    await using server = await startServer()
    const { errors } = await server.graphql(HOLD, { runId: 'nobody', hold: true })
    assert.equal(errors?.[0]?.extensions.code, 'NOT_FOUND')
  })
})

describe('a golden state', () => {
  it('tells who approved it, when and with what notes, letter for letter', async () => {
    await using server = await startServer()
    const { snapshotId } = storedOf(await put(server.url, '1'))
    const before = await server.graphql(
      `{ snapshotById(snapshotId: "${snapshotId}") { isGolden goldenApproval { source } } }`,
    )
    assert.deepEqual(before.data, { snapshotById: { isGolden: false, goldenApproval: null } })
    const body = `{"query":${JSON.stringify(GOLDEN)},"variables":{"id":"${snapshotId.toUpperCase()}","source":"Émile \\"E\\" 🦉","notes":{"n":1.0,"z":1e400,"n":2}}}`
    const headers = { 'content-type': 'application/json' }
    const text = await (await fetch(`${server.url}/graphql`, { method: 'POST', headers, body })).text()
    assert.ok(text.includes('"metadata":{"n":1.0,"z":1e400,"n":2}'), text)
    const { data } = await server.graphql<{ snapshotById: { goldenApproval: { source: string; approvedAt: string } } }>(
      `{ snapshotById(snapshotId: "${snapshotId}") { goldenApproval { source approvedAt } } }`,
    )
    const { source, approvedAt } = data.snapshotById.goldenApproval
    assert.equal(source, 'Émile "E" 🦉')
    assert.ok(Math.abs(Date.parse(approvedAt) - Date.now()) < 600_000)
    const again = await server.graphql(GOLDEN, { id: snapshotId, source: 'again' })
    assert.deepEqual(again.data['markGolden'], {
      isGolden: true,
      goldenApproval: {
        source: 'again',
        metadata: null,
        approvedAt: (again.data['markGolden'] as { goldenApproval: { approvedAt: string } }).goldenApproval.approvedAt,
      },
    })
  })

  it('is one that is there, approved by somebody', async () => {
    await using server = await startServer()
    const { snapshotId } = storedOf(await put(server.url, '1'))
    const codeOf = async (id: string, source: string) =>
      (await server.graphql(GOLDEN, { id, source })).errors?.[0]?.extensions.code
    assert.equal(await codeOf('00000000-0000-4000-8000-000000000000', 'x'), 'NOT_FOUND')
    assert.equal(await codeOf('no uuid', 'x'), 'NOT_FOUND')
    assert.equal(await codeOf(snapshotId, ''), 'BAD_REQUEST')
    assert.equal(await codeOf(snapshotId, 'x'.repeat(1025)), 'BAD_REQUEST')
  })
})

it('holds and approvals are for administrators, each with its line in the audit log', async () => {
  await using tokens = await tokensFor(['read', 'write', 'delete'])
  const lines: Record<string, unknown>[] = []
  const log = createLogger({ output: { write: (line) => void lines.push(JSON.parse(line)) } })
  await using server = await startServer({ env: tokens.env, log })
  const authorization = `Bearer ${tokens.token('read', 'write', 'delete')}`
  const { snapshotId } = storedOf(await put(server.url, '1', { runId: 'run', headers: { authorization } }))
  const asks = [
    [HOLD, { runId: 'run', hold: true }],
    [GOLDEN, { id: snapshotId, source: 'review' }],
  ] as const
  for (const [text, variables] of asks) {
    const refused = await graphqlAt(server.url, tokens.token('read', 'write', 'delete'))(text, variables)
    assert.equal(refused.status, 403)
    assert.equal((await graphqlAt(server.url, tokens.token('admin'))(text, variables)).errors, undefined)
  }
  const told = lines.filter(({ audit }) => audit === 'held' || audit === 'golden')
  assert.deepEqual(
    told.map(({ audit, runId, hold, snapshotId: id, source }) => ({ audit, runId, hold, id, source })),
    [
      { audit: 'held', runId: 'run', hold: true, id: undefined, source: undefined },
      { audit: 'golden', runId: undefined, hold: undefined, id: snapshotId, source: 'review' },
    ],
  )
  assert.ok(told.every(({ viewer }) => typeof viewer === 'string'))
})

it('an end of a state comes by PUT as well', async () => {
  await using server = await startServer()
  const { snapshotId } = storedOf(await put(server.url, '1', { query: 'expiresAt=2031-02-03T04:05:06%2B01:00' }))
  const { data } = await server.graphql(`{ snapshotById(snapshotId: "${snapshotId}") { expiresAt } }`)
  assert.deepEqual(data, { snapshotById: { expiresAt: '2031-02-03T03:05:06Z' } })
  assert.equal((await put(server.url, '1', { query: 'expiresAt=tomorrow' })).status, 400)
})
