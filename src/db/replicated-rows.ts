import { type Kysely, sql } from 'kysely'
import type { StepOptions } from './adoption/backfill.ts'
import { run, withBriefLock } from './adoption/session.ts'

const WHOLE = 'The rows that came past it before are completed.'
/** Some tenths of a second, and few of them have anything to be done. */
const BATCH = 2000

/** Notes that no row is left that came past the triggers before they were fired always. */
export async function markReplicatedWhole(db: Kysely<unknown>): Promise<void> {
  await run(db, `comment on trigger statelens_complete_row on state_snapshots is '${WHOLE}'`)
}

/** Whether rows may be there that came past the triggers. */
export async function lacksReplicated(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ lacks: boolean }>`
    select obj_description(oid, 'pg_trigger') is distinct from ${WHOLE} as lacks from pg_trigger
    where tgrelid = to_regclass('state_snapshots') and tgname = 'statelens_complete_row'`.execute(db)
  if (rows.length > 0 && rows[0]?.lacks !== true) return false
  const found = await sql<{ found: boolean }>`select exists (select from state_snapshots) as found`.execute(db)
  return found.rows[0]?.found === true
}

/** Ids of runs that have snapshots and no row; one look at the index for each run. */
export const STRAY_RUNS = sql`(
  with recursive ids as (
    (select run_id from state_snapshots where run_id is not null order by run_id limit 1)
    union all
    select (select s.run_id from state_snapshots s where s.run_id > i.run_id order by s.run_id limit 1)
    from ids i where i.run_id is not null
  ) select run_id from ids i where statelens_is_id(run_id)
    and not exists (select from statelens_runs r where r.run_id = i.run_id)
    and not exists (select from statelens_deletions d where d.run_id = i.run_id))`

/** Whether snapshots have no run all the same, as after a restore or a copy with the triggers turned off. */
export async function hasStrayRuns(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ isReady: boolean }>`
    select to_regclass('state_snapshots_run_seq') is not null and to_regclass('statelens_deletions') is not null as "isReady"`.execute(
    db,
  )
  if (!rows[0]?.isReady) return false
  const found = await sql<{ found: boolean }>`select exists (select from ${STRAY_RUNS} s) as found`.execute(db)
  return found.rows[0]?.found === true
}

/** Gives rows of other writers what the triggers would have given them, in batches in their order. */
export async function completeReplicated(db: Kysely<unknown>, { onProgress, ...waiting }: StepOptions): Promise<void> {
  const { rows } = await sql<{ last: string }>`select coalesce(max(seq), 0) as last from state_snapshots`.execute(db)
  const total = Number(rows[0]?.last)
  let after: string | null = '-9223372036854775808'
  while (after !== null) {
    const from: string = after
    onProgress(Math.max(0, Math.min(total, Number(from))), total)
    after = await withBriefLock(() => completeBatch(db, from), waiting)
  }
  await markReplicatedWhole(db)
}

/** @returns the last number of the batch; null at the end. */
async function completeBatch(db: Kysely<unknown>, after: string): Promise<string | null> {
  return await db.transaction().execute(async (tx) => {
    await run(tx, 'set local synchronous_commit = off')
    await run(tx, 'set local enable_seqscan = off')
    const { rows } = await sql<{ last: string | null }>`
      with batch as (
        select seq, run_id, step_id, created_at, request_digest is null as is_foreign, preview is null as is_bare
        from state_snapshots where seq > ${after}::bigint order by seq limit ${BATCH}
      ), foreign_rows as (
        select * from batch b where is_foreign and statelens_is_id(run_id)
          and not exists (select from statelens_deletions d where d.run_id = b.run_id and b.seq <= d.seq)
      ), completed as (
        update state_snapshots s set preview = statelens_preview(s.snapshot::text),
          size_bytes = coalesce(s.size_bytes,
            case when s.storage_uri is null or s.content_digest is null then octet_length(s.snapshot::text) end),
          reads_inline = s.reads_inline or s.storage_uri is not null and s.content_digest is null
        from batch b where s.seq = b.seq and b.is_foreign and b.is_bare and s.snapshot is not null
      ), runs as (
        insert into statelens_runs (run_id, created_at)
        select run_id, min(created_at) from foreign_rows group by run_id order by run_id on conflict do nothing
      ), steps as (
        insert into statelens_steps (run_id, step_id)
        select run_id, step_id from foreign_rows where statelens_is_id(step_id)
        group by run_id, step_id order by min(seq) on conflict do nothing
      ) select max(seq) as last from batch`.execute(tx)
    return rows[0]?.last ?? null
  })
}
