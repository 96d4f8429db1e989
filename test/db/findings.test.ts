import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { sql } from 'kysely'
import { createMemoryCache } from '../../src/cache/memory.ts'
import {
  recordJsonVerdict,
  recordStorageState,
  recordVerification,
  settleOnCopy,
  settleOnObject,
} from '../../src/db/queries/snapshot-findings.ts'
import { loadSnapshots } from '../../src/db/queries/snapshots.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../../src/model/snapshot.ts'
import { createStateIndexes } from '../../src/snapshots/indexes/state-indexes.ts'
import { createStoredReads } from '../../src/snapshots/upkeep/stored-reads.ts'
import { createVerifier } from '../../src/snapshots/upkeep/verifier.ts'
import { createPayloads } from '../../src/snapshots/views/payloads.ts'
import { openObjects } from '../support/objects.ts'
import { openStore, type TestStore, withBackends } from '../support/store.ts'

const BYTES = '{"state":1}'
const URI = 'file:///one.json'
const digestOf = (text: string) => createHash('sha256').update(text).digest()

/** A row as another writer leaves it, with an object and perhaps a copy. */
async function insertRow({ db }: TestStore, copy: string | null): Promise<string> {
  const [row] = await db.rows(sql`
    insert into state_snapshots (run_id, storage_uri, content_digest, snapshot)
    values ('run', ${URI}, ${digestOf(BYTES)}, ${copy}) returning id`)
  return String(row?.[0])
}

async function load({ db }: TestStore, id: string): Promise<Snapshot> {
  const [snapshot] = await loadSnapshots(db, [id], SNAPSHOT_METADATA)
  assert.ok(snapshot)
  return snapshot
}

/** What the old writer may do to a row while somebody looks at its payload. */
const REWRITES: Readonly<Record<string, string>> = {
  digest: "content_digest = sha256('other')",
  'no digest': 'content_digest = null',
  place: "storage_uri = 'file:///other.json'",
  'no place': "storage_uri = null, snapshot = '2'",
}

const rewrite = ({ db }: TestStore, id: string, change = '') =>
  db.rows(sql`update state_snapshots set ${sql.raw(change)} where id = ${id}::uuid`)

describe('what was found of a payload', () => {
  it('data 1.9: is not recorded on a row that was written anew meanwhile', async () => {
    await using store = await openStore()
    const { db } = store
    const verified = { storageState: 'AVAILABLE', integrity: 'VERIFIED', sizeBytes: 11 } as const
    for (const [name, change] of Object.entries(REWRITES)) {
      for (const [what, record] of Object.entries({
        verification: (seen: Snapshot) => recordVerification(db, seen, verified),
        missing: (seen: Snapshot) => recordStorageState(db, seen, 'MISSING'),
        verdict: (seen: Snapshot) => recordJsonVerdict(db, seen, { isJson: false, etag: 'x' }),
        object: (seen: Snapshot) => settleOnObject(db, seen, 11),
        copy: (seen: Snapshot) => settleOnCopy(db, seen),
      })) {
        const id = await insertRow(store, '1')
        const seen = await load(store, id)
        await rewrite(store, id, change)
        const before = await load(store, id)
        await record(seen)
        assert.deepEqual(await load(store, id), before, `${what} after another ${name}`)
        // What was seen of the row as it is now is recorded.
        await record(before)
        if (before.storageUri !== null && before.digest !== null)
          assert.notDeepEqual(await load(store, id), before, what)
      }
    }
  })

  it('data 1.9: is not called verified for a digest that nobody compared', async () => {
    await using store = await openStore()
    using objects = openObjects(store)
    await objects.put(URI, BYTES)
    const id = await insertRow(store, null)
    // The old writer changes the row as soon as its object is being read.
    const storage = withBackends(store.storage, (backend) => ({
      ...backend,
      async get(uri, options) {
        await rewrite(store, id, REWRITES['digest'])
        return await backend.get(uri, options)
      },
    }))
    const cache = createMemoryCache({ maxBytes: 1024, maxEntryBytes: 1, ttlSeconds: 1 })
    const { db } = store
    const payloads = createPayloads({ db, storage, cache })
    const verifier = createVerifier({ db, payloads, reads: createStoredReads({ db, indexes: createStateIndexes(db) }) })
    assert.equal((await verifier.verify(await load(store, id))).integrity, 'VERIFIED')
    const { integrity, storageState } = await load(store, id)
    assert.deepEqual({ integrity, storageState }, { integrity: 'NOT_CHECKED', storageState: 'UNKNOWN' })
    assert.equal((await verifier.verify(await load(store, id))).integrity, 'MISMATCH')
    assert.equal((await load(store, id)).integrity, 'MISMATCH')
  })

  it('data 2.4: costs no write where it was known', async () => {
    await using store = await openStore()
    const id = await insertRow(store, null)
    const versionOf = () => store.db.rows(sql`select xmin from state_snapshots where id = ${id}::uuid`)
    const first = { storageState: 'AVAILABLE', integrity: 'VERIFIED', sizeBytes: 11 } as const
    await recordVerification(store.db, await load(store, id), first)
    const version = await versionOf()
    await recordVerification(store.db, await load(store, id), first)
    assert.deepEqual(await versionOf(), version)
    await recordVerification(store.db, await load(store, id), { ...first, integrity: 'MISMATCH' })
    assert.notDeepEqual(await versionOf(), version)
  })
})
