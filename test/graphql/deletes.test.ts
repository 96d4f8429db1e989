import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isAppError } from '../../src/errors.ts'
import { eventually } from '../contract/byte-cache.ts'
import { CAPTURE, capture, codesByPath, codesOf, dataOf, payloadBytes, payloadOf, uriOf } from '../support/answers.ts'
import { describeWith } from '../support/describe-with.ts'
import { filesBelow, type Objects, openObjects, s3Env } from '../support/objects.ts'
import { countRows, insertForeign, query } from '../support/rows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type S3Service, s3 } from '../support/services.ts'
import { sweepOnce } from '../support/store.ts'

const LARGE = payloadOf(1_200_000)

const DELETE = 'mutation($id: ID!) { deleteSnapshot(snapshotId: $id) { deleted snapshotCount } }'
const DELETE_RUN = 'mutation($runId: String!) { deleteRun(runId: $runId) { deleted snapshotCount } }'
const FIND = `query($id: ID!) { snapshotById(snapshotId: $id) { seq payload }
  run(runId: "run") { latestSnapshot { snapshotId } stats { snapshotCount } } }`

describe('deletes', () => testDeletes())
await describeWith('deletes in S3', s3, testDeletes)

function testDeletes(service?: S3Service): void {
  const start = () => startServer({ env: service ? s3Env(service) : {} })

  it('take a snapshot away at once, from the cache as well, and its object with the next sweep', async () => {
    await using server = await start()
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    for (const payload of [LARGE, { small: true }]) {
      const captured = await capture(server, { runId: 'run', stepId: 'step', payload })
      const { snapshotId } = captured.snapshot
      await payloadBytes(server, snapshotId)
      const deletion = await dataOf(server.graphql(DELETE, { id: snapshotId }))
      assert.deepEqual(deletion, { deleteSnapshot: { deleted: true, snapshotCount: 1 } })
      const { data } = await server.graphql(FIND, { id: snapshotId })
      assert.deepEqual(data, {
        snapshotById: null,
        run: { latestSnapshot: null, stats: { snapshotCount: 0 } },
      })
      const gone = await fetch(`${server.url}/snapshots/${snapshotId}/payload`)
      assert.equal(gone.status, 404)
      if (captured.snapshot.storageUri !== null) await becomesMissing(objects, uriOf(captured))
    }
    await allSwept(server)
  })

  it('name what is gone as every client knows it, also where it was gone before', async () => {
    await using server = await start()
    const { snapshot } = await capture(server, { runId: 'a/run:1', payload: 1 })
    const known = await dataOf(
      server.graphql('query($id: ID!) { snapshotById(snapshotId: $id) { id run { id } } }', {
        id: snapshot.snapshotId,
      }),
    )
    const { id: snapshotId, run } = known['snapshotById'] as { id: string; run: { id: string } }
    const text = `mutation($id: ID!, $runId: String!) {
      deleteSnapshot(snapshotId: $id) { deletedId } deleteRun(runId: $runId) { deletedId }
    }`
    for (const id of [snapshot.snapshotId, snapshot.snapshotId.toUpperCase()]) {
      const answer = await dataOf(server.graphql(text, { id, runId: 'a/run:1' }))
      assert.deepEqual(answer, { deleteSnapshot: { deletedId: snapshotId }, deleteRun: { deletedId: run.id } })
    }
  })

  it('are no error when there is nothing left to delete', async () => {
    await using server = await start()
    const { snapshot } = await capture(server, { runId: 'run', payload: LARGE })
    for (const deleted of [true, false, false]) {
      const answer = await dataOf(server.graphql(DELETE, { id: snapshot.snapshotId }))
      assert.deepEqual(answer, { deleteSnapshot: { deleted, snapshotCount: deleted ? 1 : 0 } })
    }
    for (const deleted of [true, false]) {
      const answer = await dataOf(server.graphql(DELETE_RUN, { runId: 'run' }))
      assert.deepEqual(answer, { deleteRun: { deleted, snapshotCount: 0 } })
    }
    for (const id of ['no-uuid', '00000000-0000-0000-0000-000000000000']) {
      const answer = await dataOf(server.graphql(DELETE, { id }))
      assert.deepEqual(answer, { deleteSnapshot: { deleted: false, snapshotCount: 0 } })
    }
  })

  it('of a run take its steps, its snapshots and their objects, and leave other runs alone', async () => {
    await using server = await start()
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const large = await capture(server, { runId: 'run', stepId: 'a', payload: LARGE })
    await capture(server, { runId: 'run', stepId: 'b', payload: 1 })
    await capture(server, { runId: 'run', payload: 2 })
    const other = await capture(server, { runId: 'other', stepId: 'a', payload: { ...LARGE, other: 1 } })
    const deletion = await dataOf(server.graphql(DELETE_RUN, { runId: 'run' }))
    assert.deepEqual(deletion, { deleteRun: { deleted: true, snapshotCount: 3 } })
    const text =
      '{ run(runId: "run") { runId } step(runId: "run", stepId: "a") { stepId } runs { edges { node { runId } } } }'
    assert.deepEqual(await dataOf(server.graphql(text)), {
      run: null,
      step: null,
      runs: { edges: [{ node: { runId: 'other' } }] },
    })
    await becomesMissing(objects, uriOf(large))
    assert.equal((await objects.get(uriOf(other))).length, other.snapshot.sizeBytes)
    await capture(server, { runId: 'run', stepId: 'a', payload: 'begun anew' })
    assert.equal(await countRows(server.databaseUrl, 'state_snapshots'), 2)
  })

  it('of a foreign row leave an object of another snapshot, and one that this server never wrote', async () => {
    await using server = await start()
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const owner = await capture(server, { runId: 'run', stepId: 'step', payload: LARGE })
    const storageUri = uriOf(owner).replace(/[^/]*$/, 'foreign.json')
    await objects.put(storageUri, '"foreign"')
    for (const uri of [uriOf(owner), storageUri]) {
      const id = await insertForeign(server.databaseUrl, { runId: 'foreign', storageUri: uri })
      await dataOf(server.graphql(DELETE, { id }))
      await insertForeign(server.databaseUrl, { runId: 'foreign', storageUri: uri })
    }
    await dataOf(server.graphql(DELETE_RUN, { runId: 'foreign' }))
    await sweepOnce({ databaseUrl: server.databaseUrl, storagePath: server.storagePath, s3: service })
    assert.equal((await objects.get(uriOf(owner))).toString(), JSON.stringify(LARGE))
    assert.equal((await objects.get(storageUri)).toString(), '"foreign"')
    const text = '{ snapshot(runId: "run", stepId: "step", useCache: false) { payload } }'
    assert.deepEqual(await dataOf(server.graphql(text)), { snapshot: { payload: LARGE } })
    await objects.remove(storageUri)
  })

  it('sweep what an upload that never finished left, once the grace is over', async () => {
    await using server = await start()
    using objects = openObjects({ storagePath: server.storagePath, s3: service })
    const kept = await capture(server, { runId: 'run', payload: LARGE })
    const storageUri = uriOf(kept).replace(/[^/]*$/, 'left.json')
    await objects.put(storageUri, '"left"')
    await query(server.databaseUrl, 'insert into statelens_objects (storage_uri, snapshot_id) values ($1, $2)', [
      storageUri,
      kept.snapshot.snapshotId,
    ])
    const store = { databaseUrl: server.databaseUrl, storagePath: server.storagePath, s3: service }
    assert.equal((await sweepOnce(store, { graceSeconds: 3600 })).deletedObjects, 0)
    assert.equal((await objects.get(storageUri)).toString(), '"left"')
    assert.equal((await sweepOnce(store)).deletedObjects, 1)
    await assert.rejects(objects.get(storageUri), { code: 'OBJECT_MISSING' })
    assert.equal((await objects.get(uriOf(kept))).length, kept.snapshot.sizeBytes)
  })
}

describe('a delete while others work', () => {
  it('never lets a deleted payload be read again, however reads and the delete interleave', async () => {
    await using server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '10' } })
    for (let round = 0; round < 10; round++) {
      const { snapshot } = await capture(server, { runId: 'run', payload: { round, state: 'x'.repeat(100) } })
      const read = () =>
        server.graphql('query($id: ID!) { snapshotById(snapshotId: $id) { payload } }', { id: snapshot.snapshotId })
      const before = [read(), read(), read()]
      await dataOf(server.graphql(DELETE, { id: snapshot.snapshotId }))
      assert.deepEqual((await read()).data, { snapshotById: null })
      for (const answer of await Promise.all(before)) {
        // Read before the delete, at its moment, or after it.
        assert.ok(['', 'OBJECT_MISSING'].includes(Object.values(codesByPath(answer)).join()))
      }
    }
  })

  it('of a run leaves nothing half: captures at the same time are deleted, or begin the run anew', async () => {
    await using server = await startServer({ env: { SNAPSHOT_INLINE_MAX_BYTES: '10' } })
    const captures = Array.from({ length: 20 }, async (_, i) => {
      const input = { runId: 'run', stepId: `${i}`, payload: { i, state: 'x'.repeat(100) } }
      const answer = await server.graphql(CAPTURE, { input })
      // Whose snapshot was deleted before it could be answered is told so.
      assert.ok(['', 'CONFLICT', 'NOT_FOUND'].includes(codesOf(answer).join()), JSON.stringify(answer))
    })
    const deletes = Array.from({ length: 5 }, () => dataOf(server.graphql(DELETE_RUN, { runId: 'run' })))
    await Promise.all([...captures, ...deletes])
    const [counts] = await query<{ lost: string; dangling: string }>(
      server.databaseUrl,
      `select (select count(*) from state_snapshots s left join statelens_steps t using (run_id, step_id)
          left join statelens_runs r using (run_id) where t.step_id is null or r.run_id is null) as lost,
        (select count(*) from state_snapshots s left join statelens_objects o using (storage_uri)
          where o.state is distinct from 'live') as dangling`,
    )
    assert.deepEqual(counts, { lost: '0', dangling: '0' })
    const snapshots = await countRows(server.databaseUrl, 'state_snapshots')
    assert.ok(await eventually(async () => (await filesBelow(server.storagePath)).length === snapshots))
  })
})

/** The server sweeps in the background after each delete. */
async function becomesMissing(objects: Objects, storageUri: string): Promise<void> {
  const isMissing = () =>
    objects.get(storageUri).then(
      () => false,
      (error) => isAppError(error, 'OBJECT_MISSING'),
    )
  assert.ok(await eventually(isMissing))
}

async function allSwept({ databaseUrl }: TestServer): Promise<void> {
  assert.ok(await eventually(async () => (await countRows(databaseUrl, 'statelens_objects')) === 0))
}
