import { type Kysely, type RawBuilder, sql } from 'kysely'
import { AppError } from '../../errors.ts'
import type { Database } from '../connect.ts'
import type { Tables } from '../tables.ts'
import { runs, SNAPSHOTS, snapshotsOf, stepsOf } from './sources.ts'

/** Rows that a delete takes away by itself; those of a longer run go in batches. */
const AT_ONCE = 500
/** Of states in the rows, as they are stored: some tenths of a second. */
export const BATCH_BYTES = 16_777_216
/** Before rows that somebody else held are tried again. */
const PAUSE_SECONDS = 10
const FROM_THE_FIRST = sql.raw('-9223372036854775808')

/** A delete tells how many snapshots went with it, up to so many. */
export const DELETED_COUNT_MAX = 10_000

export interface Deleted {
  readonly found: boolean
  /** Null for more than `DELETED_COUNT_MAX`. */
  readonly snapshotCount: number | null
}

/**
 * Deletes one row for good; its object, where this server wrote it, is given up in the same transaction.
 * @throws AppError `CONFLICT` where its run is held.
 */
export async function deleteSnapshot(db: Database, snapshotId: string): Promise<Deleted> {
  const wanted = sql`${SNAPSHOTS} and s.id = ${snapshotId}::uuid`
  // By its id: of a row that changes meanwhile, as readers note what they find, the place would be an old one.
  const [row] = await db.rows(sql`
    with held as materialized (
      select r.legal_hold from statelens_runs r where r.run_id = (select s.run_id from ${wanted}) for share
    ), ${deletionOf(sql`${wanted} and not exists (select from held where legal_hold)`)}
    select count(*), exists (select from held where legal_hold) from gone`)
  if (row?.[1] === true) throw held()
  const snapshotCount = Number(row?.[0])
  return { found: snapshotCount > 0, snapshotCount }
}

function held(): AppError {
  return new AppError('CONFLICT', 'The run is under legal hold: nothing of it is deleted until it is let go by holdRun')
}

/**
 * Takes a run out of sight, with its steps and snapshots. A short run is gone by then; of a longer one the rest goes by `deleteBatch`.
 * Captures that are under way are waited for; those that come later begin a new run, of which nothing is deleted.
 * @throws AppError `CONFLICT` where it is held.
 */
export async function deleteRun(db: Database, runId: string): Promise<Deleted> {
  return await db.kysely.transaction().execute(async (tx) => {
    await sql`select pg_advisory_xact_lock(hashtextextended(${runId}, 0))`.execute(tx)
    // Other writers hold the row of the run.
    const { rows } = await sql<{ hold: boolean }>`
      select legal_hold as hold from statelens_runs where run_id = ${runId} for update`.execute(tx)
    if (rows[0]?.hold) throw held()
    const { snapshotCount, found } = await lookAt(tx, runId)
    if (!found) return { found, snapshotCount }
    await queueDeletions(tx, [runId])
    await tx.deleteFrom('statelens_runs').where('run_id', '=', runId).execute()
    await deleteRows(tx, runId, AT_ONCE)
    return { found, snapshotCount: snapshotCount > DELETED_COUNT_MAX ? null : snapshotCount }
  })
}

/** From now on all that these runs have is out of sight. Whoever asks has locked them. */
export async function queueDeletions(tx: Kysely<Tables>, runIds: readonly string[]): Promise<void> {
  await sql`
    insert into statelens_deletions as d (run_id, seq, ordinal)
    select asked.id, coalesce((select max(seq) from state_snapshots where run_id = asked.id), 0),
      coalesce((select max(ordinal) from statelens_steps where run_id = asked.id), 0)
    from unnest(${runIds}::text[]) as asked(id)
    on conflict (run_id) do update set seq = excluded.seq, ordinal = excluded.ordinal`.execute(tx)
}

/** Counts up to one more than is told. */
async function lookAt(tx: Kysely<Tables>, runId: string): Promise<{ snapshotCount: number; found: boolean }> {
  const { rows } = await sql<{ count: string; hasOthers: boolean }>`
    select (select count(*) from (select from ${snapshotsOf(sql`${runId}`)} limit ${DELETED_COUNT_MAX + 1}) s) as count,
      exists (select from ${runs()} and r.run_id = ${runId}) or exists (select from ${stepsOf(sql`${runId}`)}) as "hasOthers"
  `.execute(tx)
  const snapshotCount = Number(rows[0]?.count)
  return { snapshotCount, found: snapshotCount > 0 || rows[0]?.hasOthers === true }
}

export interface BatchOptions {
  /** Most rows at once. */
  readonly limit: number
  readonly signal?: AbortSignal
}

/**
 * Takes away the next rows of deleted runs; after all of them, what is left of deletions from more than a day ago. Several at once
 * share the work, each run being one's at a time. What is done stays done.
 * @returns whether nothing is left that could be taken now. @throws the signal's reason before it begins; AppError `DATABASE_TIMEOUT`
 * when the batch was too large.
 */
export async function deleteBatch(db: Database, { limit, signal }: BatchOptions): Promise<{ readonly done: boolean }> {
  signal?.throwIfAborted()
  return await db.kysely.transaction().execute(async (tx) => {
    const { rows } = await sql<{ runId: string }>`
      select run_id as "runId" from statelens_deletions where not_before <= now()
      order by created_at limit 1 for update skip locked`.execute(tx)
    const [next] = rows
    if (!next) return { done: (await forgetTombstones(tx, limit)) < limit }
    await deleteRows(tx, next.runId, limit)
    return { done: false }
  })
}

/** Of a run whose deletion is this transaction's own: snapshots first, then steps, then the deletion itself. */
export async function deleteRows(tx: Kysely<Tables>, runId: string, limit: number): Promise<void> {
  const ofDeletion = sql`from statelens_deletions d where d.run_id = ${runId}`
  // The rows are walked once, for those that are gone stay in the index as long as anybody may see them.
  const batch = sql`
    select tid from (
      select tid, sum(bytes) over (order by seq) - bytes as before from (
        select s.ctid as tid, s.seq, coalesce(pg_column_size(s.payload), 0) + coalesce(pg_column_size(s.snapshot), 0) as bytes
        from state_snapshots s where s.run_id = ${runId} and s.seq > (select done_seq ${ofDeletion})
          and s.seq <= (select seq ${ofDeletion}) order by s.seq limit ${limit} for update skip locked
      ) next
    ) sized where before < ${BATCH_BYTES}`
  const snapshots = await countOf(
    tx,
    sql`with ${deletion(batch)}, progress as (
      update statelens_deletions set done_seq = coalesce((select max(seq) from gone), done_seq) where run_id = ${runId})
    select count(*) from gone`,
  )
  const rest = sql`select from state_snapshots s where s.run_id = ${runId} and s.seq <= d.seq`
  const steps = await countOf(
    tx,
    sql`
    with next as (
      select t.ctid as tid from statelens_steps t join statelens_deletions d on d.run_id = t.run_id
      where t.run_id = ${runId} and t.ordinal <= d.ordinal and not exists (${rest} and s.seq > d.done_seq)
      limit ${limit} for update of t skip locked
    ), gone as (delete from statelens_steps where ctid = any (array(select tid from next)) returning 1)
    select count(*) from gone`,
  )
  const isOver = await countOf(
    tx,
    sql`
    with over as (
      delete ${ofDeletion} and not exists (${rest})
        and not exists (select from statelens_steps t where t.run_id = ${runId} and t.ordinal <= d.ordinal) returning 1
    ) select count(*) from over`,
  )
  if (snapshots + steps + isOver > 0) return
  // What is left is held by others.
  await sql`
    update statelens_deletions set done_seq = ${FROM_THE_FIRST}, not_before = now() + make_interval(secs => ${PAUSE_SECONDS})
    where run_id = ${runId}`.execute(tx)
}

/**
 * What stands behind `with` to delete snapshots by their places: `gone` are those that went. One that was changed since the statement
 * began is not among them, and is there for the next batch.
 */
export function deletion(places: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`next as (${places}), ${deletionOf(sql`state_snapshots s where s.ctid = any (array(select tid from next))`)}`
}

/**
 * The same for snapshots `s` behind `from`. A late retry of a capture of ours must not bring it back: so a trace stays. The objects are
 * given up by the table itself, whoever deletes.
 */
function deletionOf(snapshots: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`gone as (
      delete from ${snapshots}
      returning id, run_id, step_id, idempotency_key, seq, request_digest
    ), tombstones as (
      insert into statelens_tombstones (snapshot_id, run_id, step_id, idempotency_key)
      select id, run_id, step_id, idempotency_key from gone where request_digest is not null
      on conflict (snapshot_id) do update set deleted_at = now()
    )`
}

/** A capture that is tried again after a day is a new one. */
async function forgetTombstones(tx: Kysely<Tables>, limit: number): Promise<number> {
  return await countOf(
    tx,
    sql`
    with gone as (
      delete from statelens_tombstones where ctid = any (array(
        select ctid from statelens_tombstones where deleted_at < now() - interval '1 day'
        order by deleted_at limit ${limit} for update skip locked)) returning 1
    ) select count(*) from gone`,
  )
}

async function countOf(tx: Kysely<Tables>, statement: RawBuilder<unknown>): Promise<number> {
  const { rows } = await sql<{ count: string }>`${statement}`.execute(tx)
  return Number(rows[0]?.count)
}
