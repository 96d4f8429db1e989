import { type RawBuilder, sql } from 'kysely'
import type { RunFilter, RunOrder, Tag } from '../../model/run.ts'
import type { List, Slice } from '../keyset.ts'
import { runs } from './sources.ts'

type Part = RawBuilder<unknown>

/** 1 for a run that failed, else 0. It is the text of an index: another text needs another index, under another name. */
export const HAS_ERRORS = "(case when error is not null or status in ('FAILED', 'TIMED_OUT') then 1 else 0 end)"

/** Runs that an index gives in their order. Of several tags it is the first one's; the others, and a search, are looked up for each. */
export function runList(filter: RunFilter, order: RunOrder): List {
  return {
    alias: 'r',
    key: [
      { expression: 'r.created_at', type: 'timestamptz' },
      { expression: 'r.run_id', type: 'text' },
    ],
    direction: order === 'CREATED_ASC' ? 'asc' : 'desc',
    slice: (slice) => sliceOf(filter, slice),
  }
}

function sliceOf(filter: RunFilter, slice: Slice): Part {
  const [tag, ...others] = filter.tags ?? []
  if (tag) return withRuns(ofTag(tag), { ...filter, tags: others }, slice)
  const { status, ...rest } = filter
  const { bounds, order, limit } = slice
  const plain = (ofStatus: Part) =>
    sql`select * from ${runs()}${ofStatus}${runConditions(rest, 'r')}${timeConditions(rest)}${bounds} ${order} limit ${limit}`
  if (status == null) return plain(sql``)
  // Each status has its order in the index; all of them together have none.
  return sql`select r.* from unnest(${[...new Set(status)]}::text[]) as f(status)
    cross join lateral (${plain(sql` and r.status = f.status`)}) r ${order} limit ${limit}`
}

/** A slice of runs that are found by something else: `r` has their order, and all else is looked up in the runs themselves. */
export function withRuns(found: Part, filter: RunFilter, { bounds, order, limit }: Slice): Part {
  const { status, ...rest } = filter
  const ofStatus = status == null ? sql`` : sql` and status = any(${status}::text[])`
  return sql`select x.* from (${found}) r
    cross join lateral (select * from ${runs('x')} and x.run_id = r.run_id${ofStatus}${runConditions(rest, 'x')}) x
    where true${timeConditions(rest)}${bounds} ${order} limit ${limit}`
}

/** The runs of a tag, with their order. */
export const ofTag = ({ key, value }: Tag) =>
  sql`select created_at, run_id from statelens_run_tags where key = ${key} and value = ${value}`

/** `and …`: what is looked up in a run that goes by this alias, and needs no other name for its columns. */
export function runConditions({ workflowName, parentRunId, hasErrors, search, tags }: RunFilter, alias: string): Part {
  return sql.join(
    [
      workflowName != null && sql` and workflow_name = ${workflowName}`,
      parentRunId != null && sql` and parent_run_id = ${parentRunId}`,
      hasErrors != null && sql` and ${sql.raw(HAS_ERRORS)} = ${hasErrors ? 1 : 0}`,
      search && sql` and (starts_with(${sql.raw(alias)}.run_id, ${search}) or starts_with(workflow_name, ${search}))`,
      ...(tags ?? []).map(
        ({ key, value }) => sql` and exists (select from statelens_run_tags g
          where g.run_id = ${sql.raw(alias)}.run_id and g.key = ${key} and g.value = ${value})`,
      ),
    ].filter((part) => typeof part === 'object' && part !== null),
    sql``,
  )
}

/** Of what gives the order, which has the time as well. */
function timeConditions({ createdFrom, createdBefore }: RunFilter): Part {
  const from = createdFrom == null ? sql`` : sql` and r.created_at >= ${createdFrom}::timestamptz`
  return createdBefore == null ? from : sql`${from} and r.created_at < ${createdBefore}::timestamptz`
}
