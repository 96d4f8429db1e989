import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Database } from '../connect.ts'
import type { Tables } from '../tables.ts'
import { BATCH_BYTES, deleteRows, deletion, queueDeletions } from './deletions.ts'
import {
  type Cutoff,
  dueStates,
  ENDS_WITH_RUN,
  HAS_FOREIGN,
  hasKept,
  isDue,
  type Place,
  type StateOptions,
} from './due.ts'

/** How many states of a run went. */
export interface Expired {
  readonly runId: string
  readonly states: number
  /** Whether the run itself went too. */
  readonly isRun: boolean
}

export interface ExpiredBatch {
  readonly expired: readonly Expired[]
  /** Where the next batch goes on; null where nothing is left. */
  readonly next: Place | null
}

/**
 * Deletes the next states that end by their own time. What others hold is left for a later pass; so is what became held or golden since,
 * for both lock the row that says so.
 * @throws AppError `DATABASE_TIMEOUT` when the batch was too large.
 */
export async function expireStates(db: Database, cutoff: Cutoff, options: StateOptions): Promise<ExpiredBatch> {
  const rows = await db.rows(sql`
    with due as materialized (${dueStates(cutoff, options)} for update of s skip locked),
    sized as materialized (
      select * from (select *, sum(bytes) over (order by expires_at, seq) - bytes as before from due) d where before < ${BATCH_BYTES}
    ),
    open as materialized (
      select r.run_id from statelens_runs r where r.run_id in (select run_id from sized) and not r.legal_hold for share skip locked
    ),
    ${deletion(sql`select tid from sized join open using (run_id)`)}
    select last.expires_at, last.seq, (select count(*) from sized)::float8, g.run_id, g.states from (select 1) one
      left join lateral (select expires_at, seq from sized order by expires_at desc, seq desc limit 1) last on true
      left join lateral (select run_id, count(*)::float8 as states from gone group by run_id) g on true`)
  const [at, seq] = rows[0] ?? []
  return {
    expired: rows.flatMap(([, , , runId, states]) =>
      runId == null ? [] : [{ runId: String(runId), states: Number(states), isRun: false }],
    ),
    // Rows that others held are not among them: only where none is left is it the end.
    next: seq == null ? null : [String(at), String(seq)],
  }
}

/** Deletes the next states that end with a run which itself stays, for the sake of others. @returns how many. */
export async function expireStatesOfRun(db: Database, cutoff: Cutoff, runId: string, limit: number): Promise<number> {
  const rows = await db.rows(sql`
    with open as materialized (
      select r.run_id from statelens_runs r
      where r.run_id = ${runId} and not r.legal_hold and ${isDue(cutoff)} and not ${HAS_FOREIGN} for share skip locked
    ),
    due as materialized (
      select s.ctid as tid, s.seq, coalesce(pg_column_size(s.payload), 0) + coalesce(pg_column_size(s.snapshot), 0) as bytes
      from state_snapshots s where s.run_id = (select run_id from open) and ${ENDS_WITH_RUN}
      order by s.seq limit ${limit} for update of s skip locked
    ),
    ${deletion(sql`select tid from (select tid, sum(bytes) over (order by seq) - bytes as before from due) d where before < ${BATCH_BYTES}`)}
    select count(*)::float8 from gone`)
  return Number(rows[0]?.[0])
}

/**
 * Takes runs out of sight that are past their end, with what they have, as `deleteRun` does; those of up to `limit` rows in all are gone by
 * then. A run that somebody captures for is left for a later pass, as is one that came to have something to keep.
 */
export async function expireRuns(
  db: Database,
  cutoff: Cutoff,
  { runIds, limit }: { readonly runIds: readonly string[]; readonly limit: number },
): Promise<readonly string[]> {
  return await db.kysely.transaction().execute(async (tx) => {
    const locked = await idsOf(
      tx,
      sql`with asked as materialized (
          select r.run_id as "runId" from statelens_runs r where r.run_id = any(${runIds}) and not r.legal_hold
          order by r.run_id for update skip locked
        ) select "runId" from asked where pg_try_advisory_xact_lock(hashtextextended("runId", 0))`,
    )
    if (locked.length === 0) return []
    // Anew, now that nobody can change it: what was committed before the locks is seen.
    const due = await idsOf(
      tx,
      sql`select r.run_id as "runId" from statelens_runs r
        where r.run_id = any(${locked}) and ${isDue(cutoff)} and not ${HAS_FOREIGN} and not ${hasKept(cutoff)}`,
    )
    if (due.length === 0) return []
    await queueDeletions(tx, due)
    await tx
      .deleteFrom('statelens_runs')
      .where('run_id', 'in', [...due])
      .execute()
    const [only] = due
    if (due.length === 1 && only !== undefined) await deleteRows(tx, only, limit)
    else await deleteSmallRuns(tx, due)
    return due
  })
}

/** All rows of several runs, which are few; what is too large for a batch stays in the queue. */
async function deleteSmallRuns(tx: Kysely<Tables>, runIds: readonly string[]): Promise<void> {
  const ofThem = sql`statelens_deletions d where d.run_id = any(${runIds})`
  await sql`with ${deletion(sql`
    select tid from (
      select s.ctid as tid, sum(coalesce(pg_column_size(s.payload), 0) + coalesce(pg_column_size(s.snapshot), 0))
        over (order by s.run_id, s.seq rows unbounded preceding) as upto
      from state_snapshots s, ${ofThem} and s.run_id = d.run_id and s.seq <= d.seq
    ) sized where upto <= ${BATCH_BYTES}`)} select`.execute(tx)
  const left = sql`exists (select from state_snapshots s where s.run_id = d.run_id and s.seq <= d.seq)`
  await sql`delete from statelens_steps t using ${ofThem} and t.run_id = d.run_id and t.ordinal <= d.ordinal and not ${left}`.execute(
    tx,
  )
  await sql`delete from ${ofThem} and not ${left}
    and not exists (select from statelens_steps t where t.run_id = d.run_id and t.ordinal <= d.ordinal)`.execute(tx)
}

async function idsOf(tx: Kysely<Tables>, statement: RawBuilder<unknown>): Promise<readonly string[]> {
  const { rows } = await sql<{ runId: string }>`${statement}`.execute(tx)
  return rows.map(({ runId }) => runId)
}
