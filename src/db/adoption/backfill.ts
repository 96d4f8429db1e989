import { type Kysely, sql } from 'kysely'
import { markReplicatedWhole } from '../replicated-rows.ts'
import { asRefusal, refuseUnchanged } from './obstacles.ts'
import { run, type Waiting, withBriefLock } from './session.ts'

/** How far a step has come; `total` counts the same things as `done`. */
export type OnStepProgress = (done: number, total: number) => void

export interface StepOptions extends Waiting {
  readonly onProgress: OnStepProgress
}

/** Rows of a batch stay locked while it lasts: batches grow and shrink towards this time. */
const BATCH_MILLIS = 200
const FIRST_BATCH = 200
const BATCH_MAX = 5000
/** As states are stored, compressed: some tenths of a second to write as text, wherever large ones begin. */
const BATCH_BYTES = 4_194_304
/** Some thousand rows. */
const STEP_PAGES = 32

/**
 * Completes the rows that were there before the triggers: number in the order of their time, size, preview, run and step. The order
 * is read once and kept in a table beside, which shrinks with each batch: whoever starts again goes on where it ended.
 */
export async function completeRows(db: Kysely<unknown>, { onProgress, ...waiting }: StepOptions): Promise<void> {
  let total = (await restOfOrder(db)) || (await readOrder(db))
  let done = 0
  let size = FIRST_BATCH
  const unchanged = createGuard()
  while (total > done) {
    onProgress(done, total)
    const began = performance.now()
    const { taken, changed } = await withBriefLock(() => completeBatch(db, size), waiting)
    const millis = Math.max(performance.now() - began, BATCH_MILLIS / 2)
    size = Math.min(BATCH_MAX, Math.max(1, Math.round((size * BATCH_MILLIS) / millis)))
    done += taken
    unchanged.add(changed)
    // A row that another writer moved meanwhile was not where the order had it: those are ordered anew.
    if (taken === 0 || done === total) {
      const left = await readOrder(db)
      unchanged.next(left)
      total = done + left
    }
  }
  onProgress(done, total)
  await run(db, 'drop table if exists statelens_adoption_order')
  await markReplicatedWhole(db)
}

/** Ends what would go on for ever: rows of two whole orders, one after the other, of which none has changed. */
function createGuard() {
  let changedRows = 0
  let ordersInVain = 0
  return {
    add(changed: number): void {
      changedRows += changed
    },
    next(left: number): void {
      ordersInVain = changedRows > 0 ? 0 : ordersInVain + 1
      changedRows = 0
      if (left > 0 && ordersInVain === 2) refuseUnchanged(left)
    },
  }
}

/** Rows that the order of an earlier attempt still names. */
async function restOfOrder(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ found: boolean }>`
    select to_regclass('statelens_adoption_order') is not null as found`.execute(db)
  if (!rows[0]?.found) return 0
  const count = await sql<{ count: string }>`select count(*) from statelens_adoption_order`.execute(db)
  return Number(count.rows[0]?.count)
}

/** Reads the order of all rows without a number; those with one come before them. @returns how many there are. */
async function readOrder(db: Kysely<unknown>): Promise<number> {
  await db.transaction().execute(async (tx) => {
    await run(tx, 'drop table if exists statelens_adoption_order')
    await run(
      tx,
      `create table statelens_adoption_order as
        select (select coalesce(max(seq), 0) from state_snapshots
            where seq < (select seqstart from pg_sequence where seqrelid = 'state_snapshots_seq_seq'::regclass))
          + row_number() over (order by created_at, ctid) as seq, ctid as tid
        from state_snapshots where seq is null`,
    )
    await run(tx, 'alter table statelens_adoption_order add primary key (seq)')
  })
  await run(db, 'analyze statelens_adoption_order')
  return await restOfOrder(db)
}

async function completeBatch(
  db: Kysely<unknown>,
  size: number,
): Promise<{ readonly taken: number; readonly changed: number }> {
  return await db.transaction().execute(async (tx) => {
    // A batch that a crash takes back is done again: no need to wait for the disk.
    await run(tx, 'set local synchronous_commit = off')
    // By their place, one by one: any other plan would read the whole table for each batch.
    for (const plan of ['seqscan', 'hashjoin', 'mergejoin', 'material']) await run(tx, `set local enable_${plan} = off`)
    const { rows } = await sql<{ taken: string; changed: string }>`
      with next as (
        select o.seq, coalesce(pg_column_size(s.snapshot), 0) as bytes
        from statelens_adoption_order o left join state_snapshots s on s.ctid = o.tid order by o.seq limit ${size}
      ), batch as (
        delete from statelens_adoption_order
        where seq in (select seq from (select seq, sum(bytes) over (order by seq) - bytes as before from next) n
          where before < ${BATCH_BYTES}) returning seq, tid
      ), completed as (
        update state_snapshots s set seq = b.seq, id = coalesce(s.id, gen_random_uuid()),
          created_at = coalesce(s.created_at, now()),
          preview = statelens_preview(s.snapshot::text),
          size_bytes = case when s.storage_uri is null or s.content_digest is null then octet_length(s.snapshot::text) end,
          reads_inline = s.storage_uri is not null and s.content_digest is null and s.snapshot is not null
        from batch b where s.ctid = b.tid and s.seq is null
        returning s.run_id, s.step_id, s.created_at, s.seq
      ), runs as (
        insert into statelens_runs (run_id, created_at)
        select run_id, min(created_at) from completed where statelens_is_id(run_id) group by run_id order by run_id
        on conflict do nothing
      ), steps as (
        insert into statelens_steps (run_id, step_id)
        select run_id, step_id from completed where statelens_is_id(run_id) and statelens_is_id(step_id)
        group by run_id, step_id order by min(seq) on conflict do nothing
      ) select (select count(*) from batch) as taken, (select count(*) from completed) as changed`
      .execute(tx)
      .catch((error: unknown) => {
        throw asRefusal(error)
      })
    return { taken: Number(rows[0]?.taken), changed: Number(rows[0]?.changed) }
  })
}

/** Follows the table of the old system's steps from now on, and takes over those that are there. Counts pages of the table. */
export async function followSteps(db: Kysely<unknown>, { onProgress, ...waiting }: StepOptions): Promise<void> {
  // Before the copy: a row that changes while it goes on is followed as well.
  await withBriefLock(() => replaceStepTrigger(db), waiting)
  const pages = await pagesOfSteps(db)
  for (let page = 0; page < pages; page += STEP_PAGES) {
    await withBriefLock(() => copySteps(db, page), waiting)
    onProgress(Math.min(page + STEP_PAGES, pages), pages)
  }
  await withBriefLock(
    () => run(db, `comment on trigger statelens_follow_steps on workflow_steps is '${STEPS_COPIED}'`),
    waiting,
  )
}

/** What the trigger's comment says once the rows before it were taken over. */
export const STEPS_COPIED = 'The steps that were there before are copied.'

async function replaceStepTrigger(db: Kysely<unknown>): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await run(tx, 'drop trigger if exists statelens_follow_steps on workflow_steps')
    await run(
      tx,
      `create constraint trigger statelens_follow_steps after insert or update on workflow_steps
        deferrable initially deferred for each row execute function statelens_follow_steps()`,
    )
    // Rows that come by replication as well.
    await run(tx, 'alter table workflow_steps enable always trigger statelens_follow_steps')
  })
}

async function pagesOfSteps(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ pages: string }>`
    select pg_relation_size('workflow_steps') / current_setting('block_size')::bigint as pages`.execute(db)
  return Number(rows[0]?.pages)
}

async function copySteps(db: Kysely<unknown>, page: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await run(tx, 'set local synchronous_commit = off')
    // By their place: any other plan would read the whole table for each batch.
    await run(tx, 'set local enable_seqscan = off')
    await sql`
      select statelens_follow_step(to_jsonb(w)) from workflow_steps w
      where w.ctid >= ${`(${page},0)`}::tid and w.ctid < ${`(${page + STEP_PAGES},0)`}::tid
      order by w.ctid`.execute(tx)
  })
}
