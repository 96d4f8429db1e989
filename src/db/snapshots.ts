import { type RawBuilder, sql } from 'kysely'
import type { Fields } from '../model/fields.ts'
import { type Page, type PageRequest, toPage } from '../model/page.ts'
import type { Instant } from '../model/run.ts'
import {
  type JsonVerdict,
  SMALL_PAYLOAD_BYTES,
  SNAPSHOT_FIELDS,
  type Snapshot,
  type SnapshotFilter,
  type SnapshotOrder,
  type StorageState,
} from '../model/snapshot.ts'
import type { StepKey } from '../model/step.ts'
import { defineColumns } from './columns.ts'
import type { Database } from './connect.ts'
import { groupByParent, type KeyColumn, keyset } from './keyset.ts'

/** Columns of the table `state_snapshots s`. Rows of the old writer leave the newer columns out, hence the defaults. */
export const projectSnapshot = defineColumns<Snapshot>(SNAPSHOT_FIELDS, {
  snapshotId: { expression: 's.id' },
  runId: { expression: 's.run_id' },
  stepId: { expression: 's.step_id' },
  attempt: { expression: 's.attempt' },
  seq: { expression: 's.seq', parse: toInteger },
  kind: { expression: 's.kind' },
  createdAt: { expression: 's.created_at' },
  isSuccessState: { expression: 'coalesce(s.is_success_state, false)' },
  isGolden: { expression: 's.is_golden' },
  replaySafe: { expression: 'coalesce(s.replay_safe, false)' },
  piiTags: { expression: "coalesce(s.pii_tags, '{}')" },
  redactionPolicy: { expression: 's.redaction_policy' },
  metadata: { expression: 's.metadata' },
  sizeBytes: { expression: 's.size_bytes', parse: Number },
  digest: { expression: "'sha256:' || encode(s.content_digest, 'hex')" },
  contentType: { expression: 's.content_type' },
  contentEncoding: { expression: 's.content_encoding' },
  storageUri: { expression: 's.storage_uri' },
  storageState: {
    expression: "coalesce(s.storage_state, case when s.storage_uri is null then 'AVAILABLE' else 'UNKNOWN' end)",
  },
  preview: { expression: 's.preview' },
  expiresAt: { expression: 's.expires_at' },
  isOwn: { expression: 's.request_digest is not null' },
  jsonVerdict: { expression: "s.json_verdict || ' ' || s.json_verdict_etag", parse: toJsonVerdict },
  inlinePayload: {
    expression: `case when s.storage_uri is null and s.size_bytes <= ${SMALL_PAYLOAD_BYTES} then s.snapshot end`,
  },
})

/** Joins the newest snapshot `s` of the step `t`, if it has one. */
export const NEWEST_OF_STEP = sql.raw(`left join lateral (
  select * from state_snapshots s where s.run_id = t.run_id and s.step_id = t.step_id order by s.seq desc limit 1
) s on true`)

/** A 64-bit integer as JavaScript has it: a number where that is exact. */
function toInteger(text: string): number | string {
  const number = Number(text)
  return Number.isSafeInteger(number) ? number : text
}

function toJsonVerdict(text: string): JsonVerdict {
  const [verdict = ''] = text.split(' ', 1)
  return { isJson: verdict === 'VALID', etag: text.slice(verdict.length + 1) }
}

const KEY: readonly KeyColumn[] = [{ expression: 's.seq', type: 'bigint' }]

/** Whose snapshots are listed: a run's, or a step's. */
export type SnapshotParent = { readonly runId: string; readonly stepId?: string }

/** The snapshots that exist, in any order; ids without a snapshot are left out. */
export async function loadSnapshots(
  db: Database,
  ids: readonly string[],
  fields: Fields<Snapshot>,
): Promise<Snapshot[]> {
  const { columns, read } = projectSnapshot(fields)
  const rows = await db.rows(sql`select ${columns} from state_snapshots s where s.id = any(${ids}::uuid[])`)
  return rows.map((row) => read(row))
}

/** For each step its newest snapshot, or null, in the order asked. */
export async function loadNewestOfSteps(
  db: Database,
  keys: readonly StepKey[],
  fields: Fields<Snapshot>,
): Promise<(Snapshot | null)[]> {
  const [only] = keys
  if (only && keys.length === 1) {
    const { columns, read } = projectSnapshot(fields)
    const [row] = await db.rows(sql`
      select ${columns} from state_snapshots s where s.run_id = ${only.runId} and s.step_id = ${only.stepId}
      order by s.seq desc limit 1`)
    return [row ? read(row) : null]
  }
  return await oneEach(db, keys.length, {
    fields,
    from: sql`unnest(${keys.map((key) => key.runId)}::text[], ${keys.map((key) => key.stepId)}::text[])
      with ordinality as p(run_id, step_id, position)`,
    where: sql`s.run_id = p.run_id and s.step_id = p.step_id order by s.seq desc`,
  })
}

/** A point of a run's history: everything at or before a moment, or a position, or both. */
export interface HistoryPoint {
  readonly at?: Instant | null
  readonly seq?: string | number | null
}

/** For each run its newest snapshot at or before the point, or null, in the order asked. */
export async function loadNewestOfRuns(
  db: Database,
  runIds: readonly string[],
  { point: { at, seq }, fields }: { readonly point: HistoryPoint; readonly fields: Fields<Snapshot> },
): Promise<(Snapshot | null)[]> {
  const bounds = sql`${at == null ? sql`` : sql` and s.created_at <= ${at}::timestamptz`}${
    seq == null ? sql`` : sql` and s.seq <= ${seq}::bigint`
  }`
  const order = sql.raw(at == null ? 's.seq desc' : 's.created_at desc, s.seq desc')
  return await oneEach(db, runIds.length, {
    fields,
    from: sql`unnest(${runIds}::text[]) with ordinality as p(run_id, position)`,
    where: sql`s.run_id = p.run_id${bounds} order by ${order}`,
  })
}

/** For each place in a run's order the next snapshot before or after it, or null, in the order asked. */
export async function loadNeighbours(
  db: Database,
  places: readonly Pick<Snapshot, 'runId' | 'seq'>[],
  { side, fields }: { readonly side: 'previous' | 'next'; readonly fields: Fields<Snapshot> },
): Promise<(Snapshot | null)[]> {
  const [operator, order] = side === 'next' ? [sql.raw('>'), sql.raw('asc')] : [sql.raw('<'), sql.raw('desc')]
  return await oneEach(db, places.length, {
    fields,
    from: sql`unnest(${places.map(({ runId }) => runId)}::text[], ${places.map(({ seq }) => String(seq))}::bigint[])
      with ordinality as p(run_id, seq, position)`,
    where: sql`s.run_id = p.run_id and s.seq ${operator} p.seq order by s.seq ${order}`,
  })
}

export interface SnapshotPageOptions {
  readonly page: PageRequest
  readonly filter: SnapshotFilter
  readonly order: SnapshotOrder
  readonly fields: Fields<Snapshot>
}

/** One page for each parent, in that order. Parents are all runs or all steps. */
export async function pageSnapshots(
  db: Database,
  parents: readonly SnapshotParent[],
  { page, filter, order, fields }: SnapshotPageOptions,
): Promise<Page<Snapshot>[]> {
  const direction = order === 'SEQ_DESC' ? 'desc' : 'asc'
  const { bounds, order: orderBy, orderColumns, limit } = keyset(KEY, page, direction)
  const { columns, read } = projectSnapshot(fields)
  const ofStep = parents[0]?.stepId === undefined ? sql`` : sql` and s.step_id = p.step_id`
  const rows = await db.rows(sql`
    select p.position, ${columns}
    from unnest(${parents.map(({ runId }) => runId)}::text[], ${parents.map(({ stepId }) => stepId ?? null)}::text[])
      with ordinality as p(run_id, step_id, position)
    cross join lateral (
      select * from state_snapshots s where s.run_id = p.run_id${ofStep}${conditions(filter)}${bounds}
      ${orderBy} limit ${limit}
    ) s order by p.position, ${orderColumns}`)
  const toSnapshot = (row: readonly unknown[]) => read(row, 1)
  return groupByParent(parents.length, rows).map((group) => toPage(group.map(toSnapshot), page))
}

function conditions(filter: SnapshotFilter) {
  const { kind, stepId, isGolden, isSuccessState, storageTier, createdFrom, createdBefore } = filter
  return sql.join(
    [
      kind && sql` and s.kind = any(${kind}::text[])`,
      stepId != null && sql` and s.step_id = ${stepId}`,
      isGolden != null && sql` and s.is_golden = ${isGolden}`,
      isSuccessState != null && sql` and coalesce(s.is_success_state, false) = ${isSuccessState}`,
      storageTier === 'INLINE' && sql` and s.storage_uri is null`,
      storageTier === 'OBJECT' && sql` and s.storage_uri is not null`,
      createdFrom != null && sql` and s.created_at >= ${createdFrom}::timestamptz`,
      createdBefore != null && sql` and s.created_at < ${createdBefore}::timestamptz`,
    ].filter((part) => typeof part === 'object' && part !== null),
    sql``,
  )
}

/** The inline payloads of those that have one, as the bytes that were stored. */
export async function loadInlinePayloads(db: Database, ids: readonly string[]): Promise<Map<string, Buffer>> {
  const rows = await db.rows(sql`
    select id, snapshot from state_snapshots where id = any(${ids}::uuid[]) and snapshot is not null`)
  return new Map(rows as [string, Buffer][])
}

/** Records what reading the payload showed. */
export async function recordStorageState(db: Database, snapshotId: string, state: StorageState): Promise<void> {
  await db.kysely
    .updateTable('state_snapshots')
    .set({ storage_state: state })
    .where('id', '=', snapshotId)
    .where((where) => where.or([where('storage_state', 'is', null), where('storage_state', '<>', state)]))
    .execute()
}

/** Records whether a version of the object is JSON. */
export async function recordJsonVerdict(
  db: Database,
  snapshotId: string,
  { isJson, etag }: JsonVerdict,
): Promise<void> {
  await db.kysely
    .updateTable('state_snapshots')
    .set({ json_verdict: isJson ? 'VALID' : 'INVALID', json_verdict_etag: etag })
    .where('id', '=', snapshotId)
    .execute()
}

interface OneEach {
  readonly fields: Fields<Snapshot>
  /** The places asked for, as `p` with a `position`. */
  readonly from: RawBuilder<unknown>
  /** Which snapshots `s` belong to a place, and in which order: the first one is taken. */
  readonly where: RawBuilder<unknown>
}

async function oneEach(db: Database, count: number, { fields, from, where }: OneEach): Promise<(Snapshot | null)[]> {
  const { columns, read } = projectSnapshot(fields)
  const rows = await db.rows(sql`
    select p.position, ${columns} from ${from}
    cross join lateral (select * from state_snapshots s where ${where} limit 1) s`)
  const found: (Snapshot | null)[] = Array.from({ length: count }, () => null)
  for (const row of rows) found[Number(row[0]) - 1] = read(row, 1)
  return found
}
