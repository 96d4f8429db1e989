import { type RawBuilder, sql } from 'kysely'

/*
 * Where every statement reads from, as the part behind `from`, to which more conditions can be added by `and`. This is the one place
 * that knows which rows are out of sight: those of a run that was deleted, up to a number, as long as no sweeper has taken them away.
 */

type Part = RawBuilder<unknown>
type Numbered = 'seq' | 'ordinal'

/** What the number of a row is above when nothing was deleted. */
const ALWAYS = sql.raw('-9223372036854775808')

/** Looked up once for a run that is known, and then a bound of its index: what was deleted is not even walked over. */
const deletedUpTo = (column: Numbered, runId: Part) =>
  sql`coalesce((select d.${sql.raw(column)} from statelens_deletions d where d.run_id = ${runId}), ${ALWAYS})`

const isDeleted = (column: Numbered, alias: string) =>
  sql.raw(
    `exists (select from statelens_deletions d where d.run_id = ${alias}.run_id and ${alias}.${column} <= d.${column})`,
  )

/** Runs `r`, or under another name. The row of a run goes as soon as it is deleted. */
export const runs = (alias = 'r') => sql.raw(`statelens_runs ${alias} where true`)

/** Steps `t` of any run. */
export const STEPS = sql`statelens_steps t where not ${isDeleted('ordinal', 't')}`

/** Steps `t` of one run. */
export const stepsOf = (runId: Part) =>
  sql`statelens_steps t where t.run_id = ${runId} and t.ordinal > ${deletedUpTo('ordinal', runId)}`

/** Snapshots `s` of any run. */
export const SNAPSHOTS = sql`state_snapshots s where not ${isDeleted('seq', 's')}`

/** Snapshots `s` of one run. */
export const snapshotsOf = (runId: Part) =>
  sql`state_snapshots s where s.run_id = ${runId} and s.seq > ${deletedUpTo('seq', runId)}`

/**
 * The same for who reads them in the order of their time. The number must be no bound there: PostgreSQL 18 takes that for a leap from
 * each time to the next, and for so dear that it rather reads the whole run.
 */
export const snapshotsByTime = (runId: Part) =>
  sql`state_snapshots s where s.run_id = ${runId} and s.seq + 0 > ${deletedUpTo('seq', runId)}`

/** The same for who reads them in the order of their numbers within a facet, an expression of which `value` is wanted. */
export const snapshotsOfFacet = (runId: Part, facet: { readonly column: string; readonly value: Part }) =>
  sql`state_snapshots s where s.run_id = ${runId}
    and (${sql.raw(facet.column)}, s.seq) > (${facet.value}, ${deletedUpTo('seq', runId)})`

/*
 * The same for who reads steps and snapshots of the same run in one statement, or many snapshots one by one: what was deleted is
 * looked up once, as `gone`.
 */

export const joinDeleted = (runId: Part) => sql` left join statelens_deletions gone on gone.run_id = ${runId}`

/** Steps `t` of one run for which `joinDeleted` stands before. */
export const stepsNotGone = (runId: Part) =>
  sql`statelens_steps t where t.run_id = ${runId} and t.ordinal > coalesce(gone.ordinal, ${ALWAYS})`

/** Snapshots `s` of such a run. */
export const snapshotsNotGone = (runId: Part) =>
  sql`state_snapshots s where s.run_id = ${runId} and s.seq > coalesce(gone.seq, ${ALWAYS})`
