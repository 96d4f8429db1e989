import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../../model/fields.ts'
import type { Instant } from '../../model/instant.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { StepKey } from '../../model/step.ts'
import type { Rows } from '../connect.ts'
import { defineStatement } from '../statements.ts'
import { INLINE_PAYLOAD, projectSnapshot } from './snapshot-columns.ts'
import { SNAPSHOTS, snapshotsByTime, snapshotsOf } from './sources.ts'

const snapshotById = defineStatement({
  values: ['id'],
  keyOf: (fields: Fields<Snapshot>) => fields,
  build: (fields, { id }) => sql`select ${projectSnapshot(fields).columns} from ${SNAPSHOTS} and s.id = ${id}::uuid`,
  buildMany: (fields, { id }) => sql`
    select p.position, ${projectSnapshot(fields).columns} from unnest(${id}::uuid[]) with ordinality as p(id, position)
    cross join lateral (select * from ${SNAPSHOTS} and s.id = p.id) s`,
})

/** The snapshots that exist, in any order; ids without a snapshot are left out. */
export async function loadSnapshots(db: Rows, ids: readonly string[], fields: Fields<Snapshot>): Promise<Snapshot[]> {
  const { columns, read } = projectSnapshot(fields)
  const [id] = ids
  const rows = await db.rows(
    id !== undefined && ids.length === 1
      ? snapshotById(fields, { id })
      : sql`select ${columns} from ${SNAPSHOTS} and s.id = any(${ids}::uuid[])`,
  )
  return rows.map((row) => read(row))
}

const newestOfStep = defineStatement({
  values: ['runId', 'stepId'],
  keyOf: (fields: Fields<Snapshot>) => fields,
  build: (fields, { runId, stepId }) => sql`
    select ${projectSnapshot(fields).columns} from ${snapshotsOf(sql`${runId}`)} and s.step_id = ${stepId}
    order by s.seq desc limit 1`,
  buildMany: (fields, { runId, stepId }) => newestOfSteps(fields, runId, stepId),
})

const newestOfSteps = (fields: Fields<Snapshot>, runIds: unknown, stepIds: unknown) =>
  oneEach({
    fields,
    from: sql`unnest(${runIds}::text[], ${stepIds}::text[]) with ordinality as p(run_id, step_id, position)`,
    where: sql`s.step_id = p.step_id order by s.seq desc`,
  })

/** For each step its newest snapshot, or null, in the order asked. */
export async function loadNewestOfSteps(
  db: Rows,
  keys: readonly StepKey[],
  fields: Fields<Snapshot>,
): Promise<(Snapshot | null)[]> {
  const [only] = keys
  if (only && keys.length === 1) {
    const [row] = await db.rows(newestOfStep(fields, only))
    return [row ? projectSnapshot(fields).read(row) : null]
  }
  const [runIds, stepIds] = [keys.map((key) => key.runId), keys.map((key) => key.stepId)]
  return await readEach(db, keys.length, fields, newestOfSteps(fields, runIds, stepIds))
}

/** A point of a run's history: everything at or before a moment, or a position, or both. */
export interface HistoryPoint {
  readonly at?: Instant | null
  readonly seq?: string | number | null
}

/** For each run its newest snapshot at or before the point, or null, in the order asked. */
export async function loadNewestOfRuns(
  db: Rows,
  runIds: readonly string[],
  { point: { at, seq }, fields }: { readonly point: HistoryPoint; readonly fields: Fields<Snapshot> },
): Promise<(Snapshot | null)[]> {
  const bounds = sql`${at == null ? sql`true` : sql`s.created_at <= ${at}::timestamptz`}${
    seq == null ? sql`` : sql` and s.seq <= ${seq}::bigint`
  }`
  const order = sql.raw(at == null ? 's.seq desc' : 's.created_at desc, s.seq desc')
  const query = oneEach({
    fields,
    source: at == null ? snapshotsOf : snapshotsByTime,
    from: sql`unnest(${runIds}::text[]) with ordinality as p(run_id, position)`,
    where: sql`${bounds} order by ${order}`,
  })
  return await readEach(db, runIds.length, fields, query)
}

/** For each place in a run's order the next snapshot before or after it, or null, in the order asked. */
export async function loadNeighbours(
  db: Rows,
  places: readonly Pick<Snapshot, 'runId' | 'seq'>[],
  { side, fields }: { readonly side: 'previous' | 'next'; readonly fields: Fields<Snapshot> },
): Promise<(Snapshot | null)[]> {
  const [operator, order] = side === 'next' ? [sql.raw('>'), sql.raw('asc')] : [sql.raw('<'), sql.raw('desc')]
  const query = oneEach({
    fields,
    from: sql`unnest(${places.map(({ runId }) => runId)}::text[], ${places.map(({ seq }) => String(seq))}::bigint[])
      with ordinality as p(run_id, seq, position)`,
    where: sql`s.seq ${operator} p.seq order by s.seq ${order}`,
  })
  return await readEach(db, places.length, fields, query)
}

/** The inline payloads of those that have one, copies beside an object as well, as the bytes that were stored. */
export async function loadInlinePayloads(db: Rows, ids: readonly string[]): Promise<Map<string, Buffer>> {
  const rows = await db.rows(sql`
    select s.id, ${INLINE_PAYLOAD} from ${SNAPSHOTS}
    and s.id = any(${ids}::uuid[]) and (s.payload is not null or s.snapshot is not null)`)
  return new Map(rows as [string, Buffer][])
}

/** Size in bytes of the payload that lies in the row, beside an object as well; null where there is none. */
export async function measureInlinePayload(db: Rows, snapshotId: string): Promise<number | null> {
  const [row] = await db.rows(sql`
    select octet_length(${INLINE_PAYLOAD}::text) from ${SNAPSHOTS} and s.id = ${snapshotId}::uuid`)
  const [sizeBytes] = (row ?? [null]) as [number | null]
  return sizeBytes
}

interface OneEach {
  readonly fields: Fields<Snapshot>
  /** Where they are read from; default by their numbers. */
  readonly source?: typeof snapshotsOf
  /** The places asked for, as `p` with a `position` and the `run_id`. */
  readonly from: RawBuilder<unknown>
  /** Which snapshots `s` of its run belong to a place, and in which order: the first one is taken. */
  readonly where: RawBuilder<unknown>
}

/** Each row begins with the position of its place, from 1. */
function oneEach({ fields, from, where, source = snapshotsOf }: OneEach): RawBuilder<unknown> {
  return sql`
    select p.position, ${projectSnapshot(fields).columns} from ${from}
    cross join lateral (select * from ${source(sql.raw('p.run_id'))} and ${where} limit 1) s`
}

async function readEach(
  db: Rows,
  count: number,
  fields: Fields<Snapshot>,
  query: RawBuilder<unknown>,
): Promise<(Snapshot | null)[]> {
  const { read } = projectSnapshot(fields)
  const found: (Snapshot | null)[] = Array.from({ length: count }, () => null)
  for (const row of await db.rows(query)) found[Number(row[0]) - 1] = read(row, 1)
  return found
}
