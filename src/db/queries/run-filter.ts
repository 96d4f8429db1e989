import { type RawBuilder, sql } from 'kysely'
import type { RunFilter, RunOrder, Tag } from '../../model/run.ts'
import { type List, type ListOrder, type Prefix, type Slice, sliceParts } from '../keyset.ts'
import { runs } from './sources.ts'

type Part = RawBuilder<unknown>

/** 1 for a run that failed, else 0. It is the text of an index: another text needs another index, under another name. */
export const HAS_ERRORS = "(case when error is not null or status in ('FAILED', 'TIMED_OUT') then 1 else 0 end)"

/** By time; under the alias `r` stands what has the order, a run or its tag. */
export function runOrder(order: RunOrder): ListOrder {
  return {
    key: [
      { expression: 'r.created_at', type: 'timestamptz' },
      { expression: 'r.run_id', type: 'text' },
    ],
    direction: order === 'CREATED_ASC' ? 'asc' : 'desc',
  }
}

/** Runs by an index that has them in their order. Whatever else the filter asks for is looked up in each. */
export function runList(filter: RunFilter, order: RunOrder): List {
  const inOrder = runOrder(order)
  return { alias: 'r', ...inOrder, slice: (slice) => sliceOf(filter, inOrder, withTimes(slice, filter, inOrder)) }
}

function sliceOf(filter: RunFilter, inOrder: ListOrder, slice: Slice): Part {
  const [tag, ...others] = filter.tags ?? []
  if (tag) return sliceOfTag(tag, { ...filter, tags: others }, { inOrder, slice })
  const indexed = onlyIndexed(filter)
  const plain = (conditions: RunFilter, prefix?: Prefix) => {
    const { bounds, order } = sliceParts(inOrder, slice, prefix)
    return sql`select * from ${runs()}${runConditions(conditions, 'r')}${bounds} ${order} limit ${slice.limit}`
  }
  if (!indexed) return plain(filter)
  const [ofFirst, ...ofOthers] = indexed.prefixes.map((prefix) => plain(indexed.rest, prefix))
  if (!ofFirst) return sql`select * from ${runs()} and false`
  if (ofOthers.length === 0) return ofFirst
  // Each status has its order in the index; all of them together have none.
  const all = sql.join(
    [ofFirst, ...ofOthers].map((part) => sql`(${part})`),
    sql` union all `,
  )
  return sql`select r.* from (${all}) r ${sliceParts(inOrder, slice).order} limit ${slice.limit}`
}

interface Indexed {
  readonly prefixes: readonly Prefix[]
  /** What is to be looked up beside it. */
  readonly rest: RunFilter
}

/** The one condition that has an index in the order of the list. Among several PostgreSQL chooses, by what it knows of their sizes. */
function onlyIndexed({ status, workflowName, parentRunId, hasErrors, ...rest }: RunFilter): Indexed | null {
  const choices = [
    status && [...new Set(status)].map((one): Prefix => ({ column: 'r.status', value: sql`${one}` })),
    workflowName != null && [{ column: 'r.workflow_name', value: sql`${workflowName}` }],
    parentRunId != null && [{ column: 'r.parent_run_id', value: sql`${parentRunId}` }],
    hasErrors != null && [{ column: HAS_ERRORS, value: sql`${hasErrors ? 1 : 0}` }],
  ].filter((choice) => typeof choice === 'object')
  const [prefixes] = choices
  return prefixes && choices.length === 1 ? { prefixes, rest } : null
}

/** Who counts need not know the runs themselves. */
function sliceOfTag(tag: Tag, others: RunFilter, options: RunsInOrder): Part {
  const { reading, limit } = options.slice
  if (reading === 'any' && !hasConditions(others)) return sql`${ofTag(tag)} order by created_at, run_id limit ${limit}`
  return withRuns(ofTag(tag), others, options)
}

/** Times as places in the list, where no cursor lies within them already. */
export function withTimes(slice: Slice, { createdFrom, createdBefore }: RunFilter, { direction }: ListOrder): Slice {
  const from = createdFrom == null ? null : { cursor: [createdFrom], isWithin: true }
  const before = createdBefore == null ? null : { cursor: [createdBefore], isWithin: false }
  const [start, end] = direction === 'asc' ? [from, before] : [before, from]
  return { ...slice, start: slice.start ?? start, end: slice.end ?? end }
}

export interface RunsInOrder {
  readonly inOrder: ListOrder
  readonly slice: Slice
}

/** A slice of runs that are found by something else, which has their order. */
export function withRuns(found: Part, filter: RunFilter, { inOrder, slice }: RunsInOrder): Part {
  const { bounds, order } = sliceParts(inOrder, slice)
  return sql`select x.* from (${found}) r
    cross join lateral (select * from ${runs('x')} and x.run_id = r.run_id${runConditions(filter, 'x')}) x
    where true${bounds} ${order} limit ${slice.limit}`
}

/** The runs of a tag, with their order. */
export const ofTag = ({ key, value }: Tag) =>
  sql`select created_at, run_id from statelens_run_tags where key = ${key} and value = ${value}`

export function hasConditions({ tags, ...others }: RunFilter): boolean {
  return (tags?.length ?? 0) > 0 || Object.values(others).some((value) => value != null)
}

/** `and …`: all that can be looked up in a run that goes by this alias, and needs no other name for its columns. */
export function runConditions(filter: RunFilter, alias: string): Part {
  const { status, workflowName, parentRunId, hasErrors, search, tags, createdFrom, createdBefore } = filter
  const runId = sql.raw(`${alias}.run_id`)
  return sql.join(
    [
      status != null && sql` and status = any(${status}::text[])`,
      workflowName != null && sql` and workflow_name = ${workflowName}`,
      parentRunId != null && sql` and parent_run_id = ${parentRunId}`,
      hasErrors != null && sql` and ${sql.raw(HAS_ERRORS)} = ${hasErrors ? 1 : 0}`,
      createdFrom != null && sql` and ${sql.raw(alias)}.created_at >= ${createdFrom}::timestamptz`,
      createdBefore != null && sql` and ${sql.raw(alias)}.created_at < ${createdBefore}::timestamptz`,
      search && sql` and (starts_with(${runId}, ${search}) or starts_with(workflow_name, ${search}))`,
      // Asked for each run, whatever PostgreSQL thinks of their number.
      ...(tags ?? []).map(
        ({ key, value }) => sql` and (select true from statelens_run_tags g
          where g.run_id = ${runId} and g.key = ${key} and g.value = ${value})`,
      ),
    ].filter((part) => typeof part === 'object' && part !== null),
    sql``,
  )
}
