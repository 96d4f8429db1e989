import { type Kysely, sql } from 'kysely'
import { STEPS_COPIED } from './backfill.ts'

/** What the catalog says of the table `state_snapshots`, read without a lock that anybody waits for. */
export interface SnapshotTable {
  /** Whether the old system made it. */
  readonly isAdopted: boolean
  /** Whether the table has the columns of this version, if not yet their contents. */
  readonly isWidened: boolean
  /** Whether every row is one of this version: numbered, with its size and its preview. */
  readonly isComplete: boolean
  readonly columns: readonly string[]
  /** Counted in a small table that is yet to be adopted; otherwise PostgreSQL's own estimate, null where it has none yet. */
  readonly rows: number | null
  /** With indexes and large values. */
  readonly sizeBytes: number
  /** Why it cannot be adopted; empty when it can. */
  readonly problems: readonly string[]
  /** What whoever adopts it should know. */
  readonly notes: readonly string[]
}

/** Read in a fraction of a second. */
const COUNTED_BYTES = 67_108_864
const TEXTS = ['text', 'character varying']
const OLD_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  id: ['uuid'],
  run_id: TEXTS,
  step_id: TEXTS,
  is_success_state: ['boolean'],
  created_at: ['timestamp with time zone'],
  pii_tags: ['text[]'],
  redaction_policy: TEXTS,
  replay_safe: ['boolean'],
  content_digest: ['bytea'],
  storage_uri: TEXTS,
  snapshot: ['jsonb', 'json'],
}
const NEW_COLUMNS =
  /^(?:seq|attempt|kind|is_golden|metadata|size_bytes|content_type|content_encoding|storage_state|json_verdict(?:_etag)?|preview|idempotency_key|request_digest|expires_at|payload|reads_inline|integrity|verified_at|changed_xid)$/

interface Column {
  readonly name: string
  readonly type: string
  readonly is_not_null: boolean
  /** As only `seq` is, in a table that was made here. */
  readonly is_identity: boolean
}

/** Null where there is no such table yet. */
export async function inspectSnapshotTable(db: Kysely<unknown>): Promise<SnapshotTable | null> {
  const table = (
    await sql<Table & { estimate: string; heap: string; size: string }>`
      select relkind as kind, reltuples::bigint as estimate, pg_relation_size(oid) as heap, pg_total_relation_size(oid) as size
      from pg_class where oid = to_regclass('state_snapshots')`.execute(db)
  ).rows[0]
  if (!table) return null
  const columns = (
    await sql<Column>`
      select attname as name, format_type(atttypid, null) as type, attnotnull as is_not_null,
        attidentity <> '' as is_identity
      from pg_attribute where attrelid = to_regclass('state_snapshots') and attnum > 0 and not attisdropped
      order by attnum`.execute(db)
  ).rows
  const isWidened = columns.some(({ name }) => name === 'request_digest')
  return {
    isAdopted: !columns.some(({ is_identity }) => is_identity),
    isWidened,
    isComplete: columns.some(({ name, is_not_null }) => name === 'seq' && is_not_null),
    columns: columns.map(({ name }) => name),
    rows: isWidened || Number(table.heap) > COUNTED_BYTES ? estimateOf(table) : await countRows(db),
    sizeBytes: Number(table.size),
    problems: isWidened ? [] : problemsOf(table, columns),
    notes: isWidened ? [] : notesOf(columns),
  }
}

async function countRows(db: Kysely<unknown>): Promise<number> {
  const { rows } = await sql<{ count: string }>`select count(*) from state_snapshots`.execute(db)
  return Number(rows[0]?.count)
}

function estimateOf({ estimate }: { readonly estimate: string }): number | null {
  return Number(estimate) < 0 ? null : Number(estimate)
}

interface Table {
  readonly kind: string
}

function problemsOf({ kind }: Table, columns: readonly Column[]): readonly string[] {
  const problems: string[] = []
  if (kind !== 'r') {
    problems.push(
      'state_snapshots is not a plain table (a view, or partitioned): copy its rows into one, and give that its name.',
    )
  }
  for (const name of ['run_id', 'snapshot', 'storage_uri']) {
    if (!columns.some((column) => column.name === name)) problems.push(`The column ${name} is missing.`)
  }
  for (const { name, type } of columns) {
    const types = OLD_COLUMNS[name]
    if (types && !types.includes(type)) {
      problems.push(`The column ${name} is ${type}; it must be ${types.join(' or ')}. ${wayOf(name, type)}`)
    }
    if (NEW_COLUMNS.test(name)) {
      problems.push(`The column ${name} is there already, and statelens needs that name. ${rename(name)}`)
    }
  }
  return problems
}

/** How a column becomes what it must be; each rewrites the table, and its writer has to follow. */
function wayOf(name: string, type: string): string {
  const change = (using: string, to = OLD_COLUMNS[name]?.[0]) =>
    `The way: alter table state_snapshots alter column ${name} type ${to} using ${using};`
  if (name === 'created_at' && type.startsWith('timestamp')) return change(`${name} at time zone 'UTC'`)
  if (name === 'content_digest' && TEXTS.includes(type)) return change(`decode(${name}, 'hex')`)
  if (name === 'id' && !TEXTS.includes(type)) return rename(name)
  if (name === 'pii_tags' && TEXTS.includes(type)) return change(`string_to_array(${name}, ',')`)
  if (name === 'pii_tags' || name === 'content_digest') return rename(name)
  if (OLD_COLUMNS[name]?.[0] === 'boolean' && !TEXTS.includes(type)) return change(`${name} <> 0`)
  if (name === 'snapshot') return change(`${name}::text::json`, 'json')
  return change(`${name}::${OLD_COLUMNS[name]?.[0]}`)
}

function rename(name: string): string {
  return `The way: alter table state_snapshots rename column ${name} to old_${name};`
}

function notesOf(columns: readonly Column[]): readonly string[] {
  if (columns.some(({ name }) => name === 'created_at')) return []
  return ['There is no created_at: the rows that are there get the time of the adoption, in the order they lie in.']
}

const STEP_COLUMNS: Readonly<Record<string, RegExp>> = {
  step_index: /^(?:smallint|integer|bigint|numeric)$/,
  phase: /./,
  started_at: /^timestamp/,
  completed_at: /^timestamp/,
  duration_ms: /^(?:smallint|integer|bigint|numeric|real|double precision)$/,
  success: /^boolean$/,
  error: /./,
}

/**
 * The old system's table `workflow_steps`: `absent`, `other` where its columns are not what they were known as, `new`, or `followed`
 * once its rows come over by themselves.
 */
export type StepTableState = 'absent' | 'other' | 'new' | 'followed'

export async function inspectStepTable(db: Kysely<unknown>): Promise<StepTableState> {
  const { rows } = await sql<{ name: string; type: string; is_followed: boolean }>`
    select attname as name, format_type(atttypid, null) as type, exists (
      select from pg_trigger t where tgrelid = attrelid and tgname = 'statelens_follow_steps'
        and obj_description(t.oid, 'pg_trigger') = ${STEPS_COPIED}) as is_followed
    from pg_attribute where attrelid = to_regclass('workflow_steps') and attnum > 0 and not attisdropped`.execute(db)
  const [first] = rows
  if (!first) return 'absent'
  if (first.is_followed) return 'followed'
  const names = rows.map(({ name }) => name)
  const isKnown = rows.every(({ name, type }) => STEP_COLUMNS[name]?.test(type) ?? true)
  return isKnown && names.includes('id') && names.includes('run_id') ? 'new' : 'other'
}
