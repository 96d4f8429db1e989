import assert from 'node:assert/strict'
import { query } from '../support/rows.ts'
import { sweepOnce } from '../support/store.ts'
import { FORGOTTEN_UNASKED, GIVEN_UP_ALONE } from './change-log.ts'
import type { Stage } from './play.ts'

/** A pass without any grace, beside what is under way. */
export async function playSweep({ world, weather, count }: Stage): Promise<void> {
  const over = weather.begin('sweep', null)
  const { deletedObjects } = await sweepOnce(sweptStore(world))
  over()
  count(deletedObjects > 0 ? 'sweep: deleted' : 'sweep: nothing')
}

export function sweptStore({ databaseUrl, store: { storagePath, s3 } }: Stage['world']) {
  return { databaseUrl, storagePath, ...(s3 ? { s3 } : {}) }
}

const ROWS =
  'select id, storage_uri as uri from state_snapshots where request_digest is not null and storage_uri is not null'

/** What must hold at any moment, whatever is under way. @throws AssertionError. */
export async function playAudit(stage: Stage): Promise<void> {
  const { world, foreign, count } = stage
  const { databaseUrl, store } = world
  const uris = async (text: string) => (await query<{ uri: string }>(databaseUrl, text)).map(({ uri }) => uri)
  const before = await uris(ROWS)
  const listed = await store.list()
  const after = new Set(await uris(ROWS))
  const there = new Set(listed)
  const lost = before.filter((uri) => after.has(uri) && !there.has(uri))
  assert.deepEqual(lost, [], 'I-1: rows without their objects')
  const declared = new Set(
    await uris("select storage_uri as uri from history_log where what = 'object' and after is not null"),
  )
  const undeclared = listed.filter((uri) => !declared.has(uri) && !foreign.has(uri))
  assert.deepEqual(undeclared, [], 'I-7: objects that nobody declared')
  await checkLedger(stage)
  count('audit: passed')
}

/** I-2 to I-5, as one transaction sees them. @throws AssertionError. */
export async function checkLedger({ world: { databaseUrl } }: Pick<Stage, 'world'>): Promise<void> {
  const uris = async (text: string) => await query(databaseUrl, text)
  const dangling = await uris(`select s.id from (${ROWS}) s left join statelens_objects o on o.storage_uri = s.uri
    where o.state is distinct from 'live' or o.snapshot_id <> s.id`)
  assert.deepEqual(dangling, [], 'I-2: rows whose object is not live')
  assert.deepEqual(await uris(FORGOTTEN_UNASKED), [], 'I-3: forgotten, and not given up before')
  assert.deepEqual(await uris(GIVEN_UP_ALONE), [], 'I-4: given up while its snapshot stayed')
  const doubled = await uris(`select run_id, step_id, idempotency_key from state_snapshots
    where idempotency_key is not null group by 1, 2, 3 having count(*) > 1`)
  assert.deepEqual(doubled, [], 'I-5: two snapshots of one key')
}
