import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import { keepStateIndex, sweepStateIndexes } from '../../src/db/queries/state-indexes.ts'
import {
  addStateKeys,
  dropStateKeys,
  finishStateKeys,
  loadStateKeyHeads,
  loadStateKeys,
  type StateKeysName,
} from '../../src/db/queries/state-keys.ts'
import { countRows } from '../support/rows.ts'
import { openStore, type TestStore } from '../support/store.ts'

const HEAD = Buffer.from('head')
const part = (bucket: number, number = 0) => ({ bucket, part: number, pairs: Buffer.from(`${bucket} ${number}`) })

/** Of the same object each time, where the index is the same. */
const nameIn = (key: Buffer): StateKeysName => ({ key, container: 2 ** 40, seed: randomBytes(8) })

async function indexIn({ db }: TestStore): Promise<Buffer> {
  const key = randomBytes(32)
  await keepStateIndex(db, { key, snapshotId: null, version: 1, sizeBytes: 5_000_000, entries: Buffer.from('any') })
  return key
}

describe('a table of keys', () => {
  it('is found once it was written to its end, bucket by bucket', async () => {
    await using store = await openStore()
    const { db } = store
    const name = nameIn(await indexIn(store))
    await addStateKeys(db, name, [part(0), part(5), part(5, 1)])
    assert.deepEqual(await loadStateKeyHeads(db, name), [])
    await finishStateKeys(db, name, { head: HEAD, partCount: 3 })
    assert.deepEqual(await loadStateKeyHeads(db, name), [{ seed: name.seed, head: HEAD }])
    const found = await loadStateKeys(db, name, 5)
    assert.deepEqual(found.map(String).sort(), ['5 0', '5 1'])
    assert.deepEqual(await loadStateKeys(db, name, 4), [])
    assert.deepEqual(await loadStateKeyHeads(db, { ...name, container: 1 }), [])
  })

  it('takes the place of what others left of the same object, and is not finished where it lost its own', async () => {
    await using store = await openStore()
    const { db } = store
    const key = await indexIn(store)
    const [broken, first, late] = [nameIn(key), nameIn(key), nameIn(key)]
    const another = { ...nameIn(key), container: 7 }
    for (const name of [broken, first, late, another]) await addStateKeys(db, name, [part(1)])
    assert.equal(await finishStateKeys(db, first, { head: HEAD, partCount: 1 }), true)
    await addStateKeys(db, late, [part(2)])
    assert.equal(await finishStateKeys(db, late, { head: HEAD, partCount: 2 }), false)
    const heads = await loadStateKeyHeads(db, first)
    assert.deepEqual(
      heads.map(({ seed }) => seed),
      [first.seed],
    )
    assert.equal((await loadStateKeys(db, broken, 1)).length, 0)
    assert.equal((await loadStateKeys(db, another, 1)).length, 1)
    await dropStateKeys(db, late)
    assert.equal(await countRows(store.databaseUrl, 'statelens_state_keys'), 3)
  })

  it('goes with its index, and cannot be added to where that is gone', async () => {
    await using store = await openStore()
    const { db } = store
    const [name, kept] = [nameIn(await indexIn(store)), nameIn(await indexIn(store))]
    for (const each of [name, kept]) await addStateKeys(db, each, [part(1), part(2)])
    await db.rows(
      sql`update statelens_state_indexes set created_at = now() - interval '2 hours' where key = ${name.key}`,
    )
    await sweepStateIndexes(db, { after: null, limit: 10, graceSeconds: 3600 })
    assert.equal(await countRows(store.databaseUrl, 'statelens_state_keys'), 2)
    await assert.rejects(addStateKeys(db, name, [part(3)]))
  })
})
