import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { STATE, STATE_TEXT } from '../../graphql/parts-fixture.ts'
import { begin, commit, sendAll } from '../../graphql/uploads-fixture.ts'
import { CAPTURE, dataOf, rawPost } from '../../support/answers.ts'
import { put, storedOf } from '../../support/put.ts'
import { countRows, query } from '../../support/rows.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import { sweepOnce } from '../../support/store.ts'

const INDEXES = 'statelens_state_indexes'

describe('the index of a large state', () => {
  let server: TestServer
  before(async () => {
    server = await startServer()
  })
  after(() => server[Symbol.asyncDispose]())
  beforeEach(() => query(server.databaseUrl, `delete from ${INDEXES}`))

  const indexes = () => countRows(server.databaseUrl, INDEXES)

  it('is there when a capture is acknowledged, whichever way the state came', async () => {
    storedOf(await put(server.url, STATE, { stepId: 'put' }))
    assert.equal(await indexes(), 1)
    await query(server.databaseUrl, `delete from ${INDEXES}`)
    const { status } = await rawPost(
      server.url,
      `{"query":${JSON.stringify(CAPTURE)},"variables":{"input":{"runId":"run","payload":${STATE_TEXT}}}}`,
    )
    assert.deepEqual([status, await indexes()], [200, 1])
    const other = Buffer.from(STATE_TEXT.replace('embed', 'other'))
    const ticket = await begin(server, other)
    await sendAll(ticket, other)
    await commit(server, ticket)
    assert.equal(await indexes(), 2)
  })

  it('is made of no small state, and once of equal ones, and goes with the last of them', async () => {
    storedOf(await put(server.url, Buffer.from(`"${'x'.repeat(1_048_574)}"`), { stepId: 'small' }))
    assert.equal(await indexes(), 0)
    const ids = [
      storedOf(await put(server.url, STATE, { runId: 'a' })),
      storedOf(await put(server.url, STATE, { runId: 'b' })),
    ]
    assert.equal(await indexes(), 1)
    // Earlier tests have captured the same.
    await query(server.databaseUrl, 'delete from state_snapshots where not id = any ($1)', [
      ids.map((one) => one.snapshotId),
    ])
    for (const [one, count] of [
      [ids[0], 1],
      [ids[1], 0],
    ] as const) {
      await server.app.writer.deleteSnapshot(one?.snapshotId ?? '')
      await sweepOnce(server)
      assert.equal(await indexes(), count)
    }
  })

  it('is made by a verification where it is missing', async () => {
    const { snapshotId } = storedOf(await put(server.url, STATE, { stepId: 'verified' }))
    await query(server.databaseUrl, `delete from ${INDEXES}`)
    const verify = `{ snapshotById(snapshotId: "${snapshotId}") { integrity(verify: true) } }`
    assert.deepEqual(await dataOf(server.graphql(verify)), { snapshotById: { integrity: 'VERIFIED' } })
    assert.equal(await indexes(), 1)
  })

  it('is no reason for a capture to fail or to wait where it cannot be kept', async () => {
    await query(server.databaseUrl, `alter table ${INDEXES} add constraint never check (version = 0)`)
    try {
      const { snapshotId } = storedOf(await put(server.url, STATE, { stepId: 'unkept' }))
      assert.equal(await indexes(), 0)
      const asked = `{ snapshotById(snapshotId: "${snapshotId}") { at(pointer: "/twice") { raw } } }`
      assert.deepEqual(await dataOf(server.graphql(asked)), { snapshotById: { at: { raw: '2' } } })
    } finally {
      await query(server.databaseUrl, `alter table ${INDEXES} drop constraint never`)
    }
  })
})
