import { type RawBuilder, sql } from 'kysely'
import type { Instant } from '../../model/instant.ts'
import type { Rows } from '../connect.ts'

type Part = RawBuilder<unknown>

/** What a pass takes for due: the moment is the database's own, of when the pass began. */
export interface Cutoff {
  readonly at: Instant
  /** How long a run lives after its last sign of life, where it says nothing itself; null for ever. */
  readonly days: number | null
}

/** Runs that say when they end, and those that are given an end. */
export const DUE_SOURCES = ['named', 'silent'] as const
export type DueSource = (typeof DUE_SOURCES)[number]

const moment = ({ at }: Cutoff) => sql`${at}::timestamptz`
/** By hours: a day of a time zone may have 23. */
const silence = ({ at, days }: Cutoff) => sql`${at}::timestamptz - make_interval(hours => ${24 * (days ?? 0)}::int)`

/**
 * Whether a run `r` is past its end. What a run without one is judged by was written with the database's clock: its row, its steps, its
 * newest state. The times that producers tell are not.
 */
/* Of a step there is a scalar: what exists or not may be looked up in a hash of all steps. */
const isPast = (cutoff: Cutoff): Record<DueSource, Part> => ({
  named: sql`r.expires_at <= ${moment(cutoff)}`,
  silent:
    cutoff.days === null
      ? sql`false`
      : sql`(r.expires_at is null and r.created_at <= ${silence(cutoff)} and r.updated_at <= ${silence(cutoff)}
          and coalesce((select s.created_at from state_snapshots s where s.run_id = r.run_id order by s.seq desc limit 1)
            <= ${silence(cutoff)}, true)
          and (select 1 from statelens_steps t where t.run_id = r.run_id and t.updated_at > ${silence(cutoff)} limit 1) is null)`,
})

/** Whether a run `r` is past its end, either way. */
export const isDue = (cutoff: Cutoff): Part => sql`(${isPast(cutoff).named} or ${isPast(cutoff).silent})`

/** Whether another writer left states in a run `r`: those have their own rules, and so has their run. */
export const HAS_FOREIGN = sql.raw(
  'exists (select from state_snapshots s where s.run_id = r.run_id and s.request_digest is null)',
)

/** Whether a run `r` has states that stay although it is past its end. */
export const hasKept = (cutoff: Cutoff): Part => sql`(
  exists (select from state_snapshots s where s.run_id = r.run_id and s.is_golden)
  or exists (select from state_snapshots s where s.run_id = r.run_id and s.expires_at > ${moment(cutoff)}))`

/** Of a state `s`: that it ends with its run. */
export const ENDS_WITH_RUN = sql.raw('s.expires_at is null and not s.is_golden and s.request_digest is not null')

/** What is to become of a run: nothing yet, nothing for a reason, some of its states are due, or all of it. */
export type Fate = 'alive' | 'held' | 'foreign' | 'partly' | 'whole'

export interface Candidate {
  readonly runId: string
  readonly fate: Fate
  /** States that end with it now; those that end by their own time are not among them. */
  readonly states: number
  /** Its rows besides: steps, where they go too. */
  readonly steps: number
}

/** Where a walk through runs goes on; null at the beginning. */
export type Place = readonly [at: Instant, id: string]

export interface CandidatePage {
  readonly candidates: readonly Candidate[]
  /** Null behind the last one. */
  readonly next: Place | null
}

export interface CandidateOptions {
  readonly source: DueSource
  readonly after: Place | null
  readonly limit: number
}

/** The next runs that may be past their end, in the order of an index, and what is to become of each. */
export async function loadCandidates(db: Rows, cutoff: Cutoff, options: CandidateOptions): Promise<CandidatePage> {
  const { source, after, limit } = options
  const key = sql.raw(source === 'named' ? 'r.expires_at' : 'r.created_at')
  const bound = source === 'named' ? sql`r.expires_at <= ${moment(cutoff)}` : sql`r.created_at <= ${silence(cutoff)}`
  const behind = after ? sql` and (${key}, r.run_id) > (${after[0]}::timestamptz, ${after[1]})` : sql``
  const rows = await db.rows(sql`
    select c.run_id, c.fate, case c.fate
        when 'whole' then (select count(*) from state_snapshots s where s.run_id = c.run_id)
          - (select count(*) from state_snapshots s where s.run_id = c.run_id and s.expires_at is not null)
        when 'partly' then (select count(*) from state_snapshots s where s.run_id = c.run_id and ${ENDS_WITH_RUN})
        else 0 end::float8,
      case c.fate when 'whole' then (select count(*) from statelens_steps t where t.run_id = c.run_id) else 0 end::float8, c.key
    from (
      select r.run_id, ${key} as key, case when not ${isPast(cutoff)[source]} then 'alive' when r.legal_hold then 'held'
        when ${HAS_FOREIGN} then 'foreign' when ${hasKept(cutoff)} then 'partly' else 'whole' end as fate
      from (select * from statelens_runs r where ${bound}${behind} order by ${key}, r.run_id limit ${limit}) r offset 0
    ) c order by c.key, c.run_id`)
  const candidates = rows.map(([runId, fate, states, steps]) => ({
    runId: String(runId),
    fate: fate as Fate,
    states: Number(states),
    steps: Number(steps),
  }))
  const last = rows.length === limit ? rows.at(-1) : undefined
  return { candidates, next: last ? [String(last[4]), String(last[0])] : null }
}

export type StateOptions = Omit<CandidateOptions, 'source'>

/** The next states `s` that end by their own time, in the order of an index: of any run, but never of another writer. */
export const dueStates = (cutoff: Cutoff, { after, limit }: StateOptions): Part => sql`
  select s.ctid as tid, s.run_id, s.expires_at, s.seq,
    coalesce(pg_column_size(s.payload), 0) + coalesce(pg_column_size(s.snapshot), 0) as bytes
  from state_snapshots s
  where s.expires_at is not null and not s.is_golden and s.request_digest is not null and s.expires_at <= ${moment(cutoff)}
    ${after ? sql`and (s.expires_at, s.seq) > (${after[0]}::timestamptz, ${after[1]}::bigint)` : sql``}
  order by s.expires_at, s.seq limit ${limit}`

/** How many of the next ones belong to runs that are not held. */
export async function countDueStates(
  db: Rows,
  cutoff: Cutoff,
  options: StateOptions,
): Promise<{ readonly states: number; readonly next: Place | null }> {
  const [row = []] = await db.rows(sql`
    with due as materialized (${dueStates(cutoff, options)})
    select (select count(*) from due join statelens_runs r using (run_id) where not r.legal_hold)::float8,
      (select count(*) from due)::float8, last.expires_at, last.seq
    from (select 1) one left join lateral (select expires_at, seq from due order by expires_at desc, seq desc limit 1) last on true`)
  const [states, seen, at, seq] = row
  return { states: Number(states), next: Number(seen) < options.limit ? null : [String(at), String(seq)] }
}

export interface Totals {
  readonly runs: number
  readonly states: number
}

/** More rows than this are not counted, but taken as the statistics have them. */
const COUNTED_MAX = 200_000

/** How many rows there are, about. */
export async function loadTotals(db: Rows): Promise<Totals> {
  const count = (table: string) =>
    sql.raw(`(select case when n < ${COUNTED_MAX} then n else greatest(n, reltuples) end::float8
    from (select count(*) as n from (select from ${table} limit ${COUNTED_MAX}) t) c, pg_class where oid = '${table}'::regclass)`)
  const [row = []] = await db.rows(sql`select ${count('statelens_runs')}, ${count('state_snapshots')}`)
  return { runs: Number(row[0]), states: Number(row[1]) }
}
