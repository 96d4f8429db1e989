import { type Kysely, sql } from 'kysely'
import type { StepOptions } from './adoption/backfill.ts'
import { run, runPatiently, withBriefLock } from './adoption/session.ts'

const INDEXED = 'The tags of all runs are here.'
/** Runs of a batch cannot be changed while it lasts: some tenths of a second. */
const BATCH = 2000

/** Notes that no run has tags that are missing here. */
export async function markTagsIndexed(db: Kysely<unknown>): Promise<void> {
  await run(db, `comment on table statelens_run_tags is '${INDEXED}'`)
}

/** Whether there are runs whose tags no list may find yet. */
export async function lacksTags(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ lacks: boolean }>`
    select to_regclass('statelens_runs') is not null
      and obj_description(to_regclass('statelens_run_tags'), 'pg_class') is distinct from ${INDEXED} as lacks`.execute(
    db,
  )
  if (!rows[0]?.lacks) return false
  const found = await sql<{ found: boolean }>`select exists (select from statelens_runs) as found`.execute(db)
  return found.rows[0]?.found === true
}

/** Takes over the tags of the runs that were there before their table, in batches; what was taken over before stays. */
export async function indexTags(db: Kysely<unknown>, { onProgress, ...waiting }: StepOptions): Promise<void> {
  const total = await estimateRuns(db)
  let last: string | null = null
  for (let done = 0; ; done += BATCH) {
    onProgress(done, Math.max(done, total))
    last = await withBriefLock(() => indexBatch(db, last), waiting)
    if (last === null) break
  }
  await markTagsIndexed(db)
  await runPatiently(db, 'drop index concurrently if exists statelens_runs_tags')
}

async function estimateRuns(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ count: string }>`
    select greatest(reltuples, 0)::bigint as count from pg_class where oid = 'statelens_runs'::regclass`.execute(db)
  return Number(rows[0]?.count)
}

/** The tags of the next runs in the order of their ids. Meanwhile these stay as they are. @returns the last id; null at the end. */
async function indexBatch(db: Kysely<unknown>, after: string | null): Promise<string | null> {
  const { rows } = await sql<{ last: string | null }>`
    with batch as (
      select run_id, created_at, tags from statelens_runs where ${after}::text is null or run_id > ${after}::text
      order by run_id limit ${BATCH} for share
    ), indexed as (
      insert into statelens_run_tags (key, value, created_at, run_id)
      select distinct t.key, t.value, b.created_at, b.run_id
      from batch b, jsonb_to_recordset(b.tags) as t(key text, value text)
      where b.tags <> '[]' and t.key is not null and t.value is not null
      on conflict do nothing
    ) select max(run_id) as last from batch`.execute(db)
  return rows[0]?.last ?? null
}
