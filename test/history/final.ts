import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { expireUploads } from '../graphql/uploads-fixture.ts'
import { openObjects } from '../support/objects.ts'
import { query } from '../support/rows.ts'
import { sweepOnce } from '../support/store.ts'
import { checkLedger, sweptStore } from './audit.ts'
import { digestOf } from './contents.ts'
import { exchange } from './exchange.ts'
import type { Attempt, State } from './model.ts'
import type { Stage } from './play.ts'
import { auditAtRest, playGc } from './retention.ts'

interface Row {
  readonly id: string
  readonly run_id: string
  readonly step_id: string
  readonly key: string | null
  readonly uri: string | null
  readonly digest: string | null
}

const ROWS = `select id, run_id, step_id, idempotency_key as key, storage_uri as uri,
  'sha256:' || encode(content_digest, 'hex') as digest from state_snapshots`
const PASSES = 20
const CLOCK_MARGIN_MS = 200
/** Most errors without a cause, of all that was done: a machine that is busy brings some. */
const UNEXPLAINED_SHARE = 0.01
const UNEXPLAINED_LEAST = 3

/**
 * What is left when all is over: every acknowledged state with its digest, no row that nobody sent, and nothing besides.
 * @returns how many states were read and hashed. @throws AssertionError.
 */
export async function checkAll(stage: Stage): Promise<number> {
  const { world, model } = stage
  await world.startAll()
  for (const { replica } of world.members) assert.equal(await replica.stop(), 0, 'A server did not end well')
  model.settleDeletions()
  await untilAllEnd(stage)
  await playGc(stage)
  await sweepAll(stage)
  await auditAtRest(stage)
  await checkLedger(stage)
  await checkStore(stage)
  const there = await checkRows(stage)
  await world.startAll()
  await readAll(stage, there)
  assert.deepEqual(world.deaths, [], 'A server ended by itself')
  const { unexplained } = stage.weather
  const done = [...stage.counts.values()].reduce((sum, count) => sum + count, 0)
  const isFew = unexplained.length <= Math.max(UNEXPLAINED_LEAST, done * UNEXPLAINED_SHARE)
  assert.ok(isFew, `Errors without a cause: ${unexplained.join('; ')}`)
  return there.length
}

/** What has an end of its own comes to it. */
async function untilAllEnd({ model }: Stage): Promise<void> {
  const last = Math.max(...model.states().map(({ endsAt }) => endsAt ?? 0))
  await delay(Math.max(0, last + CLOCK_MARGIN_MS - performance.now()))
}

/** As after a day: every upload is over, and all that is to go is due. */
async function sweepAll({ world }: Stage): Promise<void> {
  const { databaseUrl } = world
  const left = `select storage_uri from statelens_objects where state <> 'live' union all select run_id from statelens_deletions
    union all select upload_id::text from statelens_uploads`
  for (let pass = 0; pass < PASSES; pass++) {
    await expireUploads(databaseUrl)
    for (const table of ['statelens_deletions', 'statelens_objects']) {
      await query(databaseUrl, `update ${table} set not_before = now() - interval '1 second'`)
    }
    await sweepOnce(sweptStore(world))
    if ((await query(databaseUrl, left)).length === 0) return
  }
  assert.deepEqual(await query(databaseUrl, left), [], 'The sweeper does not come to its end')
}

/** I-6, I-7: the store has what live rows name and what is not ours, byte for byte, and nothing else. */
async function checkStore({ world, foreign }: Stage): Promise<void> {
  const live = await query<{ uri: string }>(world.databaseUrl, 'select storage_uri as uri from statelens_objects')
  const wanted = [...live.map(({ uri }) => uri), ...foreign.keys()].toSorted()
  assert.deepEqual(await world.store.list(), wanted, 'I-7: the store and the ledger differ')
  assert.deepEqual(await world.store.leftovers(), [], 'Parts of puts are left')
  using objects = openObjects(world.store)
  for (const [uri, bytes] of foreign) assert.ok(bytes.equals(await objects.get(uri)), `I-6: ${uri} was changed`)
}

/** @returns the states that must be there. */
async function checkRows({ world, model }: Stage): Promise<readonly State[]> {
  const rows = new Map((await query<Row & { id: string }>(world.databaseUrl, ROWS)).map((row) => [row.id, row]))
  const start = performance.now()
  const states = model.states()
  const there = states.filter((state) => rows.has(state.snapshotId))
  const lost = states.filter((state) => !rows.has(state.snapshotId) && model.fate(state, start) === 'there')
  assert.deepEqual(lost, [], 'I-1: acknowledged states are gone')
  const stayed = there.filter((state) => model.fate(state, start) === 'gone' || model.lives.mustBeOver(state))
  assert.deepEqual(stayed, [], 'Deleted or expired states are there')
  for (const { snapshotId } of states) rows.delete(snapshotId)
  const unknown = model.attempts.filter(({ outcome }) => outcome === 'unknown')
  for (const row of rows.values()) claim(row, unknown)
  return there
}

/** A row that nobody was told of is one of those whose outcome nobody knows. */
function claim(row: Row, unknown: Attempt[]): void {
  const index = unknown.findIndex(
    ({ way, runId, stepId, key, digest }) =>
      runId === row.run_id &&
      stepId === row.step_id &&
      key === row.key &&
      // Other programs write no digest.
      (way === 'old writer' ? null : digest) === row.digest,
  )
  assert.notEqual(index, -1, `A row that nobody sent: ${JSON.stringify(row)}`)
  unknown.splice(index, 1)
}

const READERS = 8
const RETRIES = 20
const PAUSE_MS = 500

/** I-1 by the front door, all servers in turn. */
async function readAll({ world }: Stage, states: readonly State[]): Promise<void> {
  const urls = world.members.map(({ replica }) => replica.url)
  const left = states.entries()
  const read = async () => {
    for (const [index, { snapshotId, digest }] of left) {
      const body = await readPatiently(`${urls[index % urls.length]}/snapshots/${snapshotId}/payload`)
      assert.equal(digestOf(body), digest, `I-1: ${snapshotId} has other bytes`)
    }
  }
  await Promise.all(Array.from({ length: READERS }, read))
}

/** A machine that is busy may answer that it is; then it is asked again, as a client does. */
async function readPatiently(url: string): Promise<Buffer> {
  for (let retry = 0; ; retry++) {
    const reply = await exchange({ url })
    if (reply.kind === 'answer' && reply.status === 200) return reply.body
    const isBusy = reply.kind === 'answer' && reply.status >= 503
    const told = reply.kind === 'answer' ? `${reply.status} ${reply.body}` : reply.why
    assert.ok(isBusy && retry < RETRIES, `I-1: ${url} cannot be read: ${told.slice(0, 500)}`)
    await delay(PAUSE_MS)
  }
}
