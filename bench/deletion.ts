import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createDatabase } from '../src/db/connect.ts'
import { deleteRun } from '../src/db/queries/deletions.ts'
import { parsePage } from '../src/model/page.ts'
import { SNAPSHOT_METADATA } from '../src/model/snapshot.ts'
import { createReader } from '../src/snapshots/reader.ts'
import { sweepDeletions } from '../src/snapshots/upkeep/deletion-sweep.ts'
import { printBars } from './lib/bars.ts'
import { startDatabase, withClient } from './lib/database.ts'
import { describeMachine, endPart, note, print } from './lib/report.ts'
import { withSession } from './lib/session.ts'

/*
 * What it takes to delete a long run: `npm run bench:delete`. How soon it is acknowledged and out of sight, how long its rows take to
 * go, and what somebody who reads the run that begins anew notices of it.
 */
const { values } = parseArgs({
  options: {
    snapshots: { type: 'string', default: '800000' },
    objects: { type: 'string', default: '50000' },
    write: { type: 'boolean', default: false },
  },
})
const snapshots = Number(values.snapshots)
const objects = Number(values.objects)
const RUN = 'long run'

async function fill(url: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('set synchronous_commit = off')
    await client.query('insert into statelens_runs (run_id) values ($1)', [RUN])
    await client.query(
      `insert into state_snapshots (run_id, step_id, request_digest, payload, storage_uri, size_bytes, preview)
       select $1, 'step ' || i / 10, '\\x00', case when i > $3::int then '{"state":"of a step"}'::json end,
         case when i <= $3::int then 'file:///' || i end, 21, '{"state":"of a step"}' from generate_series(1, $2::int) i`,
      [RUN, snapshots, objects],
    )
    await client.query(
      `insert into statelens_objects (storage_uri, snapshot_id, state)
       select storage_uri, id, 'live' from state_snapshots where storage_uri is not null`,
    )
    await client.query(
      'insert into statelens_steps (run_id, step_id) select distinct run_id, step_id from state_snapshots',
    )
    await client.query('vacuum analyze')
  })
}

await withSession(async (session) => {
  const url = await startDatabase(session)
  await fill(url)
  note(`${snapshots.toLocaleString('en')} snapshots of one run`)
  const db = createDatabase({ url })
  await session.defer(() => db.close())
  const reader = createReader(db)
  const options = {
    page: parsePage('any', { first: 20 }, []),
    filter: {},
    order: 'SEQ_ASC',
    fields: SNAPSHOT_METADATA,
  } as const
  const began = performance.now()
  await deleteRun(db, RUN)
  const acknowledged = performance.now() - began
  const [seen] = await reader.pageSnapshots([{ runId: RUN }], options)
  const over = new AbortController()
  const reads: number[] = []
  const reading = (async () => {
    while (!over.signal.aborted) {
      const at = performance.now()
      await reader.pageSnapshots([{ runId: RUN }], options)
      reads.push(performance.now() - at)
      await setTimeout(50)
    }
  })()
  const swept = performance.now()
  await sweepDeletions({ db })
  const seconds = (performance.now() - swept) / 1000
  over.abort()
  await reading
  const left = await withClient(url, async (client) => {
    const { rows } = await client.query<{ count: number }>(
      `select (select count(*) from state_snapshots)::int + (select count(*) from statelens_steps)::int
        + (select count(*) from statelens_deletions)::int
        + (select count(*) from statelens_objects where state <> 'doomed')::int as count`,
    )
    return rows[0]?.count ?? Number.NaN
  })
  print(await describeMachine(['PostgreSQL and the deletion on the same cores']))
  print(
    `\n${snapshots.toLocaleString('en')} snapshots, ${objects.toLocaleString('en')} with objects, gone in ${seconds.toFixed(1)} s.\n`,
  )
  printBars([
    { bar: 'delete.acknowledged', values: [acknowledged] },
    { bar: 'delete.in-sight', values: [seen?.items.length ?? Number.NaN] },
    { bar: 'delete.longest-page', values: [Math.max(...reads)] },
    { bar: 'delete.left', values: [left] },
  ])
  await endPart('delete', values)
})
