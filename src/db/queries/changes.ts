import { type RawBuilder, sql } from 'kysely'
import type { RunStatus } from '../../model/run.ts'
import { type Seen, seenBy, unseenBy } from '../../model/seen.ts'
import type { Rows, StatementOptions } from '../connect.ts'
import { transactionTable } from '../unsettled.ts'
import { runs, snapshotsOf, stepsOf } from './sources.ts'

type Part = RawBuilder<unknown>

/** What kinds of rows change, in the order in which those of one transaction are read. */
export const CHANGE_KINDS = ['run', 'step', 'snapshot'] as const
export type ChangeKind = (typeof CHANGE_KINDS)[number]

/** A row that was written, by what finds it again. */
export interface Change {
  readonly kind: ChangeKind
  /** Of the transaction; null for what was there before that was noted. */
  readonly xid: bigint | null
  /** Orders rows of a kind: the id of a run, the number of a step or a snapshot. */
  readonly key: string
  readonly runId: string
  readonly stepId: string | null
  readonly snapshotId: string | null
}

/** What a statement saw, and of which history. */
export interface Moment {
  /** Names what numbers transactions: another one after a failover, and in a copy of the database elsewhere. Empty on a standby. */
  readonly cluster: string
  readonly seen: Seen
  /** The same as PostgreSQL writes it. */
  readonly snapshot: string
}

export interface ChangePage {
  readonly now: Moment
  readonly changes: readonly Change[]
  /** Whether nothing is left behind it. */
  readonly isLast: boolean
}

/** pg_control_system and the name of the log file are what everybody may ask for. */
const CLUSTER = `(select system_identifier from pg_control_system()) || '.'
  || case when pg_is_in_recovery() then '' else left(pg_walfile_name(pg_current_wal_lsn()), 8) end
  || '.' || (select oid from pg_database where datname = current_database())`
const MOMENT = `pg_current_snapshot()::text, ${CLUSTER}, null::uuid`
/** One row before all others, whatever is found. */
const NOW = sql.raw(`select -1, null::xid8, null::text, ${MOMENT}, 0::bigint`)
const FOUND = sql.raw('c(kind, xid, key, run_id, step_id, id, number)')

/** The moment itself. */
export async function readMoment(db: Rows, options?: StatementOptions): Promise<Moment> {
  return momentOf((await db.rows(NOW, options))[0] ?? [])
}

function momentOf([, , , snapshot, cluster]: readonly unknown[]): Moment {
  const [system = '', timeline = '', database = ''] = String(cluster).split('.')
  return {
    cluster: timeline === '' ? '' : `${system}.${timeline}.${database}`,
    seen: seenBy(String(snapshot)),
    snapshot: String(snapshot),
  }
}

function pageOf([first = [], ...rows]: readonly (readonly unknown[])[], limit: number): ChangePage {
  const changes = rows.map(
    ([kind, xid, key, runId, stepId, id]): Change => ({
      kind: CHANGE_KINDS[Number(kind)] ?? 'run',
      xid: xid === null ? null : BigInt(String(xid)),
      key: String(key),
      runId: String(runId),
      stepId: stepId as string | null,
      snapshotId: id as string | null,
    }),
  )
  return { now: momentOf(first), changes, isLast: changes.length < limit }
}

export interface RunState {
  /** Null where it is not there. */
  readonly status: RunStatus | null
  /** Number of the transaction that wrote it last. */
  readonly xid: bigint | null
  /** Whether there was one that has been deleted since yesterday. */
  readonly isDeleted: boolean
}

export interface HistoryPage extends ChangePage {
  readonly run: RunState
}

export interface ChangesOptions extends StatementOptions {
  readonly since: Seen
  /** The end of a round that has begun, as PostgreSQL writes it, and the last change of it that was read. */
  readonly round: { readonly snapshot: string; readonly last: Change } | null
  readonly kinds: readonly ChangeKind[]
  readonly limit: number
}

/**
 * What was committed since then, in the order of the transactions: rows that are there, in their newest state. Nothing is lost or told
 * twice, however late somebody commits, and nothing waits for who has not.
 */
export async function readChanges(db: Rows, options: ChangesOptions): Promise<ChangePage> {
  const { since, round, kinds, limit, signal } = options
  const parts = kinds.map((kind) => sql`(${changesOf(kind, options)})`)
  const rows = await db.rows(
    sql`with upto as materialized (select coalesce(${round?.snapshot ?? null}::pg_snapshot, pg_current_snapshot()) as s),
      u as materialized (select first, last from ${transactionTable(unseenBy(since), 'x')})
    ${NOW} union all (select * from (${sql.join(parts, sql` union all `)}) ${FOUND} order by xid, kind, number, key limit ${limit})`,
    { signal },
  )
  return pageOf(rows, limit)
}

const TABLES: Readonly<Record<ChangeKind, { readonly columns: string; readonly table: string; readonly key: string }>> =
  {
    run: {
      columns: '0, c.changed_xid, c.run_id, c.run_id, null::text, null::uuid, 0::bigint',
      table: 'statelens_runs',
      key: 'run_id',
    },
    step: {
      columns: '1, c.changed_xid, c.ordinal::text, c.run_id, c.step_id, null::uuid, c.ordinal',
      table: 'statelens_steps',
      key: 'ordinal',
    },
    snapshot: {
      columns: '2, c.changed_xid, c.seq::text, c.run_id, c.step_id, c.id, c.seq',
      table: 'state_snapshots',
      key: 'seq',
    },
  }

function changesOf(kind: ChangeKind, { round, limit }: ChangesOptions): Part {
  const { columns, table, key } = TABLES[kind]
  // A number from another cluster may be one that this one has not come to.
  return sql`select ${sql.raw(columns)} from u cross join lateral (
    select * from ${sql.raw(table)} where changed_xid >= u.first
      and changed_xid < least(u.last, (select pg_snapshot_xmax(s) from upto))
      and pg_visible_in_snapshot(changed_xid, (select s from upto))${round ? behind(kind, round.last) : sql``}
    order by changed_xid, ${sql.raw(key)} limit ${limit}) c`
}

/** `and …`: behind a change that was read, in the order of transactions, kinds and keys. */
function behind(kind: ChangeKind, last: Change): Part {
  const xid = sql`${String(last.xid)}::text::xid8`
  const [own, others] = [CHANGE_KINDS.indexOf(kind), CHANGE_KINDS.indexOf(last.kind)]
  if (own !== others) return own < others ? sql` and changed_xid > ${xid}` : sql` and changed_xid >= ${xid}`
  const key = kind === 'run' ? sql`${last.key}` : sql`${last.key}::bigint`
  return sql` and (changed_xid, ${sql.raw(TABLES[kind].key)}) > (${xid}, ${key})`
}

export interface HistoryOptions extends StatementOptions {
  readonly runId: string
  /** Null: from its beginning. */
  readonly since: Seen | null
  /** Where it ends; null: with what the statement sees. */
  readonly upTo: Seen | null
  /** The last one that was read. */
  readonly after: { readonly kind: ChangeKind; readonly key: string } | null
  readonly kinds: readonly ChangeKind[]
  readonly limit: number
}

/** The rows of one run that changed between two moments: the run, its steps, and its snapshots, each in their order. And how far it is. */
export async function readHistory(db: Rows, options: HistoryOptions): Promise<HistoryPage> {
  const { runId, kinds, after, limit, signal } = options
  const begin = after ? CHANGE_KINDS.indexOf(after.kind) : 0
  const parts = kinds
    .filter((kind) => CHANGE_KINDS.indexOf(kind) >= begin && !(after?.kind === 'run' && kind === 'run'))
    .map((kind) => sql`(${historyOf(kind, options)})`)
  const rows = await db.rows(
    sql`select -1, r.changed_xid, r.status, ${sql.raw(MOMENT)},
        (exists (select from statelens_deletions d where d.run_id = p.run_id))::int::bigint
      from (select ${runId}::text as run_id) p left join statelens_runs r on r.run_id = p.run_id
      union all (select * from (${sql.join(parts, sql` union all `)}) ${FOUND} order by kind, number limit ${limit})`,
    { signal },
  )
  const [, xid, status, , , , isDeleted] = rows[0] as [unknown, string | null, RunStatus | null, ...string[]]
  const run = { status, xid: xid === null ? null : BigInt(xid), isDeleted: status === null && isDeleted === '1' }
  return { ...pageOf(rows, limit), run }
}

function historyOf(kind: ChangeKind, { runId, since, upTo, after, limit }: HistoryOptions): Part {
  const { columns, key } = TABLES[kind]
  const bound = after?.kind === kind ? sql` and ${sql.raw(key)} > ${after.key}::bigint` : sql``
  const between = sql`${since ? sql` and ${among(since)}` : sql``}${upTo ? sql` and not ${among(upTo)}` : sql``}`
  const source = {
    run: sql`${runs()} and r.run_id = ${runId}`,
    step: stepsOf(sql`${runId}`),
    snapshot: snapshotsOf(sql`${runId}`),
  }
  return sql`select ${sql.raw(columns)} from (
    select * from ${source[kind]}${bound}${between} order by ${sql.raw(key)} limit ${limit}) c`
}

/** Whether a row was written by a transaction that was not seen then. One of another cluster, that this has not come to, counts as old. */
function among(seen: Seen): Part {
  return sql`(changed_xid is not null and changed_xid < pg_snapshot_xmax(pg_current_snapshot()) and exists (
    select from ${transactionTable(unseenBy(seen), 'x')} where changed_xid >= x.first and changed_xid < x.last))`
}

/** Of runs that were there, those that are not any more. */
export async function findGoneRuns(db: Rows, runIds: readonly string[], options?: StatementOptions): Promise<string[]> {
  const rows = await db.rows(
    sql`select p.run_id from unnest(${runIds}::text[]) as p(run_id)
      where not exists (select from ${runs()} and r.run_id = p.run_id)`,
    options,
  )
  return rows.map(([runId]) => String(runId))
}
