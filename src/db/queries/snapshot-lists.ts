import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import type { Page, PageRequest } from '../../model/page.ts'
import type { Snapshot, SnapshotFilter, SnapshotOrder } from '../../model/snapshot.ts'
import type { Rows } from '../connect.ts'
import { FACET, facetsOf } from '../facets.ts'
import { groupByParent, type List, pageParts, type Slice } from '../keyset.ts'
import { projectSnapshot } from './snapshot-columns.ts'
import { snapshotsOf } from './sources.ts'

/** Whose snapshots are listed: a run's, or a step's. */
export type SnapshotParent = { readonly runId: string; readonly stepId?: string }

export interface SnapshotPageOptions {
  readonly page: PageRequest
  readonly filter: SnapshotFilter
  readonly order: SnapshotOrder
  readonly fields: Fields<Snapshot>
}

/** One page for each parent, in that order. Parents are all runs or all steps. */
export async function pageSnapshots(
  db: Rows,
  parents: readonly SnapshotParent[],
  { page, filter, order, fields }: SnapshotPageOptions,
): Promise<Page<Snapshot>[]> {
  const isOfStep = parents[0]?.stepId !== undefined
  const parts = pageParts(
    snapshotList({ filter, order, isOfStep, hasCursor: page.after !== null || page.before !== null }),
    page,
  )
  const { columns, read } = projectSnapshot(fields)
  const rows = await db.rows(sql`
    select p.position, ${parts.select}, ${columns}
    from unnest(${parents.map(({ runId }) => runId)}::text[], ${parents.map(({ stepId }) => stepId ?? null)}::text[])
      with ordinality as p(run_id, step_id, position)${parts.from}
    order by p.position, ${parts.order}`)
  return groupByParent(parents.length, rows).map((group) => {
    const { items, ...ends } = parts.read(group, 1)
    return { ...ends, items: items.map((row) => read(row, 1 + parts.width)) }
  })
}

interface SnapshotListOptions {
  readonly filter: SnapshotFilter
  readonly order: SnapshotOrder
  readonly isOfStep: boolean
  readonly hasCursor: boolean
}

/** The snapshots of the run, or of the step, that stands in `p`. */
function snapshotList({ filter, order, isOfStep, hasCursor }: SnapshotListOptions): List {
  const direction = order === 'SEQ_DESC' ? 'desc' : 'asc'
  const ofParent = sql`${snapshotsOf(sql.raw('p.run_id'))}${isOfStep ? sql` and s.step_id = p.step_id` : sql``}`
  // A cursor is such a bound by itself.
  const from = sql`${ofParent}${conditions(filter)}${hasCursor || isOfStep ? sql`` : timeBound(filter, direction)}`
  const facets = facetsOf(filter)
  // A step has few snapshots, and an index of its own.
  const isFaceted = facets !== null && !isOfStep && filter.stepId == null
  const plain = ({ bounds, order: by, limit }: Slice, ofFacet: RawBuilder<unknown>) =>
    sql`select * from ${from}${ofFacet}${bounds} ${by} limit ${limit}`
  return {
    alias: 's',
    key: [{ expression: 's.seq', type: 'bigint' }],
    direction,
    slice(slice) {
      if (facets === null) return plain(slice, sql``)
      if (!isFaceted) return plain(slice, sql` and ${sql.raw(FACET)} = any(${facets}::int[])`)
      return sql`select s.* from unnest(${facets}::int[]) as f(facet)
        cross join lateral (${plain(slice, sql` and ${sql.raw(FACET)} = f.facet`)}) s ${slice.order} limit ${slice.limit}`
    },
  }
}

function conditions({ stepId, createdFrom, createdBefore }: SnapshotFilter) {
  return sql.join(
    [
      stepId != null && sql` and s.step_id = ${stepId}`,
      createdFrom != null && sql` and s.created_at >= ${createdFrom}::timestamptz`,
      createdBefore != null && sql` and s.created_at < ${createdBefore}::timestamptz`,
    ].filter((part) => typeof part === 'object'),
    sql``,
  )
}

/**
 * The number of the first snapshot of a time, on the side that the list is read from: without it, all that lie outside would be
 * walked over. As a rule numbers rise with time, and then the page begins there. Read from the index by time alone; the addition
 * keeps PostgreSQL from looking for the least number in the order of the numbers.
 */
function timeBound({ createdFrom, createdBefore, stepId }: SnapshotFilter, direction: 'asc' | 'desc') {
  const [edge, operator, aggregate] =
    direction === 'asc' ? [createdFrom, sql.raw('>='), sql.raw('min')] : [createdBefore, sql.raw('<='), sql.raw('max')]
  if (edge == null || stepId != null) return sql``
  const ofTime = conditions({ createdFrom, createdBefore })
  return sql` and s.seq ${operator} (select ${aggregate}(s.seq + 0) from ${snapshotsOf(sql.raw('p.run_id'))}${ofTime})`
}
