import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import { RUN_STATS_FIELDS, type RunStats } from '../../model/run.ts'
import type { Rows } from '../connect.ts'
import { FACET, facetsOf } from '../facets.ts'
import { snapshotsOf, snapshotsOfFacet, stepsOf } from './sources.ts'

const RUN_ID = sql.raw('p.run_id')
const EACH_FACET = { column: FACET, value: sql.raw('f.facet') }

/** Facet by facet, in the order of their index: PostgreSQL might look for them in every row of the run. */
const ofFacets = (facets: readonly number[] | null) =>
  sql`unnest(${facets ?? []}::int[]) as f(facet) cross join lateral (
    select from ${snapshotsOfFacet(RUN_ID, EACH_FACET)} and ${sql.raw(FACET)} <= f.facet
    order by ${sql.raw(FACET)}, s.seq offset 0) s`

/** Each by an index of its own, which has all that it takes but for the facets. */
const COUNTS: { readonly [Name in keyof RunStats]: RawBuilder<unknown> } = {
  stepCount: sql`select count(*) from ${stepsOf(RUN_ID)}`,
  snapshotCount: sql`select count(*) from ${snapshotsOf(RUN_ID)}`,
  objectCount: sql`select count(*) from ${ofFacets(facetsOf({ storageTier: 'OBJECT' }))}`,
  goldenCount: sql`select count(*) from ${ofFacets(facetsOf({ isGolden: true }))}`,
  totalBytes: sql`select coalesce(sum(s.size_bytes), 0) from ${snapshotsOf(RUN_ID)}`,
}

const UNTAGGED_BYTES = sql`${COUNTS.totalBytes} and coalesce(cardinality(s.pii_tags), 0) = 0`

export interface RunStatsOptions {
  /** Whether states with tags of personal data are left out of the bytes. */
  readonly untaggedOnly?: boolean
}

export interface RunStatsQuery extends RunStatsOptions {
  readonly runIds: readonly string[]
  readonly fields: Fields<RunStats>
}

/** One entry for each run id asked for, in that order, with the fields that were asked for. */
export async function loadRunStats(db: Rows, { runIds, fields, untaggedOnly }: RunStatsQuery): Promise<RunStats[]> {
  const names = RUN_STATS_FIELDS.chosen(fields)
  const counts = names.map((name) => sql`, (${name === 'totalBytes' && untaggedOnly ? UNTAGGED_BYTES : COUNTS[name]})`)
  const rows = await db.rows(sql`
    select p.position${sql.join(counts, sql``)} from unnest(${runIds}::text[]) with ordinality as p(run_id, position)
    order by p.position`)
  return rows.map(
    (row) => Object.fromEntries(names.map((name, i) => [name, Number(row[i + 1])])) as unknown as RunStats,
  )
}
