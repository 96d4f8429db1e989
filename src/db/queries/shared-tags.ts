import { type RawBuilder, sql } from 'kysely'
import type { Tag } from '../../model/run.ts'
import { type ListOrder, type Slice, sliceParts } from '../keyset.ts'

/** Some tenths of a second. */
const STEPS_MAX = 20_000

/**
 * A recursive table `steps` that finds the runs with all of the tags, in the order of the list: at each step the next run of the next
 * tag, from where the one before has come. So what has one tag alone is leapt over, and not read. Runs are where `agreed` is the
 * number of the tags. It ends when there are no more, or at `isCut`.
 */
export function stepsThroughTags(tags: readonly Tag[], inOrder: ListOrder, slice: Slice): RawBuilder<unknown> {
  const { bounds, order } = sliceParts(inOrder, slice)
  const isUpward = (slice.reading === 'backward') !== (inOrder.direction === 'asc')
  const [first] = tags
  const next = (list: readonly string[]) => sql`(${list}::text[])[(z.step + 1) % ${tags.length}::int + 1]`
  return sql`steps (created_at, run_id, agreed, step) as (
    (select r.created_at, r.run_id, 1, 0 from statelens_run_tags r
      where r.key = ${first?.key} and r.value = ${first?.value}${bounds} ${order} limit 1)
    union all
    select n.created_at, n.run_id, case when (n.created_at, n.run_id) = (z.created_at, z.run_id) then z.agreed + 1 else 1 end, z.step + 1
    from steps z cross join lateral (
      select r.created_at, r.run_id from statelens_run_tags r
      where r.key = ${next(tags.map(({ key }) => key))} and r.value = ${next(tags.map(({ value }) => value))}
        and (r.created_at, r.run_id) ${sql.raw(isUpward ? '>=' : '<=')} (z.created_at, z.run_id)
        and (z.agreed < ${tags.length}::int or (r.created_at, r.run_id) <> (z.created_at, z.run_id))${bounds} ${order} limit 1
    ) n where z.step < ${STEPS_MAX}::int
  )`
}

/** Whether the table `steps` ended before all was seen; reads it to its end. */
export const isCut = sql`exists (select from steps where step = ${STEPS_MAX}::int)`
