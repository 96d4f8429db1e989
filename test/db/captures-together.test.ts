import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, describe, it } from 'node:test'
import pg from 'pg'
import type { Database } from '../../src/db/connect.ts'
import { insertSnapshot } from '../../src/db/queries/captures.ts'
import { loadInlinePayloads } from '../../src/db/queries/snapshots.ts'
import { isAppError } from '../../src/errors.ts'
import type { CaptureInput } from '../../src/model/snapshot.ts'
import { describeCapture, measureWhole, nameInput } from '../../src/snapshots/capture/capture-rules.ts'
import { eventually } from '../contract/byte-cache.ts'
import { isLockWaited, query } from '../support/rows.ts'
import { type ToldDatabase, toldDatabase } from '../support/told-database.ts'

/** A row as a capture of this payload describes it. */
function rowOf(input: CaptureInput, payload = '[1]') {
  const bytes = Buffer.from(payload)
  return { ...describeCapture(nameInput(input), measureWhole(bytes)), payload }
}

describe('captures of the same moment', () => {
  let told: ToldDatabase
  let db: Database
  let url: string
  let statements: string[]

  before(async () => {
    told = await toldDatabase()
    ;({ db, url, statements } = told)
  })
  beforeEach(() => void statements.splice(0))
  after(() => told[Symbol.asyncDispose]())

  it('are few transactions, and each is stored as it would be alone', async () => {
    const tags = [[], ['EMAIL'], ['a,b', '"', '{}', '\\'], null]
    const inputs = Array.from({ length: 40 }, (_, i) => ({
      // Not in the order that they are stored in.
      runId: `run ${(i * 7) % 40}`,
      stepId: i % 5 === 0 ? null : `step ${i % 3}`,
      idempotencyKey: i % 2 === 0 ? null : `key ${i}`,
      attempt: 1 + (i % 4),
      metadata: i % 3 === 0 ? '{"a" :  1}' : null,
      piiTags: tags[i % 4],
      isSuccessState: i % 2 === 0,
    }))
    const payloads = inputs.map((_, i) =>
      i === 20 ? `["${'x'.repeat(200_000)}"]` : `{"a" : 1.0, "\\u00e9\\"" : [${i}]}`,
    )
    const stored = await Promise.all(inputs.map((input, i) => insertSnapshot(db, rowOf(input, payloads[i]))))
    assert.equal(statements.length, Math.ceil(40 / 16))
    for (const [i, snapshot] of stored.entries()) {
      const { runId, stepId, attempt, metadata, piiTags, isSuccessState } = inputs[i] as (typeof inputs)[number]
      assert.ok(snapshot)
      assert.deepEqual(
        [
          snapshot.runId,
          snapshot.stepId,
          snapshot.attempt,
          snapshot.metadata?.toString() ?? null,
          snapshot.isSuccessState,
        ],
        [runId, stepId, attempt, metadata, isSuccessState],
      )
      assert.deepEqual(snapshot.piiTags, piiTags ?? [])
      const kept = await loadInlinePayloads(db, [snapshot.snapshotId])
      assert.equal(kept.get(snapshot.snapshotId)?.toString(), payloads[i])
    }
    assert.equal(new Set(stored.map((snapshot) => snapshot?.seq)).size, 40)
  })

  it('of which one repeats another, by its key, are one of the two', async () => {
    const same = { runId: 'twice', stepId: 'step', idempotencyKey: 'key' }
    const stored = await Promise.all(
      [same, { runId: 'once', stepId: 'step' }, same].map((input) => insertSnapshot(db, rowOf(input))),
    )
    assert.equal(statements.length, 1)
    assert.equal(stored.filter((snapshot) => snapshot?.runId === 'twice').length, 1)
    assert.equal(stored.filter((snapshot) => snapshot === null).length, 1)
    assert.equal(stored[1]?.runId, 'once')
  })

  it('are stored alone where the id is chosen, which may be that of another run', async () => {
    const ids = [randomUUID(), randomUUID()]
    await Promise.all(ids.map((snapshotId) => insertSnapshot(db, rowOf({ runId: 'named', stepId: 's', snapshotId }))))
    assert.equal(statements.length, 2)
  })

  it('fail for nobody else: what the database refuses of one', async () => {
    await query(
      url,
      `create function refuse() returns trigger language plpgsql as $$ begin
         if new.run_id = 'refused' then raise 'no'; end if; return new; end $$;
       create trigger refuse before insert on state_snapshots for each row execute function refuse()`,
    )
    const runs = ['before', 'refused', 'taken']
    const ended = await Promise.allSettled(runs.map((runId) => insertSnapshot(db, rowOf({ runId, stepId: 'step' }))))
    await query(url, 'drop trigger refuse on state_snapshots')
    assert.deepEqual(
      ended.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.ok(ended[1]?.status === 'rejected' && isAppError(ended[1].reason, 'CONFLICT'))
    const rows = await query(
      url,
      `select run_id from state_snapshots where run_id = any('{before,refused,taken}') order by 1`,
    )
    assert.deepEqual(
      rows.map((row) => row['run_id']),
      ['before', 'taken'],
    )
  })

  it('wait for nobody else: a run that is locked', async () => {
    const locking = new pg.Client(url)
    await locking.connect()
    await locking.query(`begin; select pg_advisory_xact_lock(hashtextextended('locked', 0))`)
    const captured: string[] = []
    const capturing = ['free', 'locked', 'open'].map(async (runId) => {
      await insertSnapshot(db, rowOf({ runId, stepId: 'step' }))
      captured.push(runId)
    })
    assert.ok(await eventually(async () => captured.length === 2))
    await locking.query('commit')
    await Promise.all(capturing)
    assert.deepEqual(captured.toSorted(), ['free', 'locked', 'open'])
    assert.equal(captured.at(-1), 'locked')
    await locking.end()
  })

  it('break no transaction of an old writer that makes the same runs in another order', async () => {
    const writer = new pg.Client(url)
    await writer.connect()
    // What the trigger of old writers does when they commit.
    const insert = (runId: string) => writer.query('insert into statelens_runs (run_id) values ($1)', [runId])
    await writer.query('begin')
    await insert('order b')
    const capturing = ['order a', 'order b'].map((runId) => insertSnapshot(db, rowOf({ runId, stepId: 'step' })))
    assert.ok(await eventually(() => isLockWaited(url)))
    await insert('order a')
    await writer.query('commit')
    const stored = await Promise.all(capturing)
    assert.deepEqual(
      stored.map((snapshot) => snapshot?.runId),
      ['order a', 'order b'],
    )
    const rows = await query(url, `select 1 from state_snapshots where run_id like 'order %'`)
    assert.equal(rows.length, 2)
    await writer.end()
  })
})
