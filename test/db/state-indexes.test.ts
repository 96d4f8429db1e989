import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import {
  hasStateIndex,
  keepStateIndex,
  loadStateIndexes,
  type StateIndex,
  sweepStateIndexes,
} from '../../src/db/queries/state-indexes.ts'
import { insertForeign } from '../support/rows.ts'
import { openStore, type TestStore } from '../support/store.ts'

const VERSION = 1

function indexOf(options: Partial<StateIndex> = {}): StateIndex {
  const entries = randomBytes(2000)
  return { key: randomBytes(32), snapshotId: null, version: VERSION, sizeBytes: 5_000_000, entries, ...options }
}

/** How many are left after a sweep of all of them. */
async function sweepAll({ db }: TestStore, limit: number, graceSeconds = 0): Promise<number> {
  let after: Buffer | null = null
  do after = await sweepStateIndexes(db, { after, limit, graceSeconds })
  while (after !== null)
  const [row] = await db.rows(sql`select count(*)::int from statelens_state_indexes`)
  return Number(row?.[0])
}

const captured = (store: TestStore) =>
  store.writer().capture({ runId: 'run' }, Buffer.from(JSON.stringify(randomBytes(20).toString('hex'))))

const keyOf = (digest: string | null) => Buffer.from((digest ?? '').slice('sha256:'.length), 'hex')

describe('the index of a state', () => {
  it('is kept once, in the form that this version reads', async () => {
    await using store = await openStore()
    const { db } = store
    const index = indexOf()
    await keepStateIndex(db, index)
    await keepStateIndex(db, { ...index, entries: Buffer.from('damaged') })
    await keepStateIndex(db, index)
    const [found, none] = await loadStateIndexes(db, [index.key, randomBytes(32)], VERSION)
    assert.deepEqual([found, none], [{ sizeBytes: index.sizeBytes, entries: index.entries }, null])
    assert.deepEqual(await loadStateIndexes(db, [index.key], VERSION + 1), [null])
    assert.equal(await hasStateIndex(db, index, VERSION + 1), false)
    await keepStateIndex(db, { ...index, version: VERSION + 1, entries: Buffer.from('newer') })
    const [newer] = await loadStateIndexes(db, [index.key], VERSION + 1)
    assert.deepEqual(newer?.entries, Buffer.from('newer'))
    assert.equal(await hasStateIndex(db, index, VERSION), false)
  })

  it('goes with the last object that has its content, and stays while there is one', async () => {
    await using store = await openStore()
    const payload = Buffer.from('"the same"')
    const [first, second] = [
      await store.writer().capture({ runId: 'run' }, payload),
      await store.writer().capture({ runId: 'run' }, payload),
    ]
    const key = keyOf(first.snapshot.digest)
    await keepStateIndex(store.db, indexOf({ key }))
    for (const [one, isKept] of [
      [first, true],
      [second, false],
    ] as const) {
      await store.writer().deleteSnapshot(one.snapshot.snapshotId)
      await store.sweep()
      assert.equal(await hasStateIndex(store.db, { key, snapshotId: null }, VERSION), isKept)
    }
  })

  it('is swept in batches where its state is gone or never came, once it is old enough', async () => {
    await using store = await openStore()
    const { snapshot } = await captured(store)
    await keepStateIndex(store.db, indexOf({ key: keyOf(snapshot.digest) }))
    const snapshotId = await insertForeign(store.databaseUrl, { storageUri: 'file:///foreign.json' })
    await keepStateIndex(store.db, indexOf({ snapshotId }))
    for (let i = 0; i < 7; i++) await keepStateIndex(store.db, indexOf())
    assert.equal(await sweepAll(store, 3, 3600), 9, 'their snapshots may be about to come')
    assert.equal(await sweepAll(store, 3), 2)
    await store.db.rows(sql`delete from state_snapshots where id = ${snapshotId}::uuid`)
    assert.equal(await sweepAll(store, 3), 1)
  })
})
