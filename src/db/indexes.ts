import { type Kysely, sql } from 'kysely'
import { AppError } from '../errors.ts'
import { run, runPatiently } from './adoption/session.ts'
import { FACET } from './facets.ts'
import { HAS_ERRORS } from './queries/run-filter.ts'

const TABLES = ['state_snapshots', 'statelens_runs', 'statelens_steps'] as const

interface Index {
  readonly name: string
  readonly table: (typeof TABLES)[number]
  /** What stands behind the name of the table. */
  readonly definition: string
  readonly isUnique?: boolean
}

/** Indexes of a table that the old system made: in any other they were there before its first row. */
const ADOPTED_INDEXES: readonly Index[] = [
  { name: 'state_snapshots_seq', table: 'state_snapshots', definition: '(seq)' },
  { name: 'state_snapshots_run_seq', table: 'state_snapshots', definition: '(run_id, seq)' },
  {
    name: 'state_snapshots_step_seq',
    table: 'state_snapshots',
    definition: '(run_id, step_id, seq) where step_id is not null',
  },
  { name: 'state_snapshots_run_time', table: 'state_snapshots', definition: '(run_id, created_at, seq)' },
  {
    name: 'state_snapshots_idempotency',
    table: 'state_snapshots',
    definition: "(run_id, (coalesce(step_id, '')), idempotency_key) where idempotency_key is not null",
    isUnique: true,
  },
]
const KEY: Index = { name: 'state_snapshots_id', table: 'state_snapshots', definition: '(id)', isUnique: true }

/** Indexes that came later, of tables that may be large by then. */
export const LIST_INDEXES: readonly Index[] = [
  {
    name: 'state_snapshots_facets',
    table: 'state_snapshots',
    definition: `(run_id, ${FACET}, seq) include (size_bytes)`,
  },
  { name: 'statelens_runs_errors', table: 'statelens_runs', definition: `(${HAS_ERRORS}, created_at, run_id)` },
  {
    name: 'statelens_runs_workflow_text',
    table: 'statelens_runs',
    definition: '(workflow_name text_pattern_ops) include (created_at, run_id)',
  },
  {
    name: 'statelens_runs_id_text',
    table: 'statelens_runs',
    definition: '(run_id text_pattern_ops) include (created_at)',
  },
]

/** Of a column that came with the migration of the order of commits. */
export const CHANGE_INDEXES: readonly Index[] = [
  {
    name: 'state_snapshots_changed',
    table: 'state_snapshots',
    definition: '(changed_xid, seq) where changed_xid is not null',
  },
]

/** Of what those who watch are told: rows that were there before are none of it. */
export const EVENT_INDEXES: readonly Index[] = [
  {
    name: 'statelens_runs_changed',
    table: 'statelens_runs',
    definition: '(changed_xid, run_id) where changed_xid is not null',
  },
  {
    name: 'statelens_steps_changed',
    table: 'statelens_steps',
    definition: '(changed_xid, ordinal) where changed_xid is not null',
  },
]

/** By what retention finds what is due, and what keeps a run. */
export const RETENTION_INDEXES: readonly Index[] = [
  {
    name: 'state_snapshots_due',
    table: 'state_snapshots',
    definition: '(expires_at, seq) where expires_at is not null and not is_golden',
  },
  {
    name: 'state_snapshots_run_expires',
    table: 'state_snapshots',
    definition: '(run_id, expires_at) where expires_at is not null',
  },
  {
    name: 'state_snapshots_kept',
    table: 'state_snapshots',
    definition: '(run_id, is_golden) where is_golden or request_digest is null',
  },
  {
    name: 'statelens_runs_due',
    table: 'statelens_runs',
    definition: '(expires_at, run_id) where expires_at is not null',
  },
]

const LATER_INDEXES = [...LIST_INDEXES, ...CHANGE_INDEXES, ...EVENT_INDEXES, ...RETENTION_INDEXES]

/**
 * The indexes that are not there, or were broken off while they were made.
 * @param table what is known of the snapshots: whether the old system made it.
 */
export async function missingIndexes(
  db: Kysely<unknown>,
  { isAdopted }: { readonly isAdopted: boolean },
): Promise<readonly Index[]> {
  // To write a definition locks its table, and only the one may be another's.
  const { rows } = await sql<{ name: string; columns: string | null; is_unique: boolean }>`
    select c.relname as name, i.indisunique as is_unique,
      case when i.indrelid = to_regclass('state_snapshots') then pg_get_indexdef(i.indexrelid) end as columns
    from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid in (select to_regclass(t) from unnest(${TABLES}::text[]) t) and i.indisvalid`.execute(db)
  const isMissing = ({ name }: Index) => !rows.some((row) => row.name === name)
  const lacking = LATER_INDEXES.filter(isMissing)
  const filled = await tablesWithRows(
    db,
    lacking.map(({ table }) => table),
  )
  // A table without rows gets them from its migration.
  const later = lacking.filter(({ table }) => filled.includes(table))
  if (!isAdopted) return later
  const hasKey = rows.some(
    ({ columns, is_unique }) => is_unique && columns?.endsWith('state_snapshots USING btree (id)'),
  )
  return [...(hasKey ? [] : [KEY]), ...ADOPTED_INDEXES.filter(isMissing), ...later]
}

/** Only those that are asked about are looked into: another may be locked. */
async function tablesWithRows(db: Kysely<unknown>, asked: readonly Index['table'][]): Promise<readonly string[]> {
  const tables: string[] = []
  for (const table of new Set(asked)) {
    const { rows } = await sql<{ there: boolean }>`select to_regclass(${table}) is not null as there`.execute(db)
    if (!rows[0]?.there) continue
    const found = await sql<{ found: boolean }>`select exists (select from ${sql.table(table)}) as found`.execute(db)
    if (found.rows[0]?.found) tables.push(table)
  }
  return tables
}

/** Makes those of tables without rows, in the transaction that is under way. */
export async function createIndexesOfEmpty(db: Kysely<unknown>, indexes: readonly Index[]): Promise<void> {
  const filled = await tablesWithRows(
    db,
    indexes.map(({ table }) => table),
  )
  for (const index of indexes) if (!filled.includes(index.table)) await createIndexAtOnce(db, index)
}

/** Makes an index of an empty table, in the transaction that is under way. */
export async function createIndexAtOnce(db: Kysely<unknown>, index: Index): Promise<void> {
  await run(db, statementOf(index, ''))
}

/**
 * Makes one of them while others write. It waits for transactions that are older than itself, however long they take, and keeps
 * nobody waiting meanwhile.
 * @throws AppError `CONFLICT` when a row does not fit.
 */
export async function createIndex(db: Kysely<unknown>, index: Index): Promise<void> {
  // One process at it, not all the cores.
  await run(db, 'set max_parallel_maintenance_workers = 0')
  await runPatiently(db, `drop index concurrently if exists ${index.name}`)
  await runPatiently(db, statementOf(index, 'concurrently ')).catch((error: unknown) => {
    throw isTooLong(error) ? new AppError('CONFLICT', tooLong(index), { cause: error }) : error
  })
}

function statementOf({ name, table, definition, isUnique }: Index, way: '' | 'concurrently '): string {
  return `create ${isUnique ? 'unique ' : ''}index ${way}${name} on ${table} ${definition}`
}

/** program_limit_exceeded */
function isTooLong(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '54000'
}

function tooLong({ name, table }: Index): string {
  return `The index ${name} cannot be made: a row of ${table} has a run_id or step_id of more than some 2,600 bytes, which no \
index holds. Find them by "where octet_length(run_id) > 1000 or octet_length(step_id) > 1000", and shorten or delete them.`
}
