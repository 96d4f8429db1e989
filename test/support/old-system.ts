import { query } from './rows.ts'

/** The tables that databases of the old system hold, as its own migrations left them. */
export const OLD_TABLES = {
  /** The first shape: a snapshot of a run. */
  first: `create table state_snapshots (
    id uuid primary key,
    run_id text not null,
    is_success_state boolean not null,
    created_at timestamptz not null,
    pii_tags text[],
    redaction_policy text,
    replay_safe boolean,
    content_digest bytea,
    storage_uri text,
    snapshot jsonb
  )`,
  /** The newer shape: a snapshot of a step, and no more. */
  second: 'create table state_snapshots (run_id text, step_id text, snapshot jsonb, storage_uri text)',
  steps: `create table workflow_steps (
    id text primary key,
    run_id text not null,
    step_index bigint,
    phase text,
    started_at timestamptz,
    completed_at timestamptz,
    duration_ms double precision,
    success boolean,
    error text
  )`,
} as const

/** The old writer's statement, with the values that it always gave. */
export const OLD_INSERT = `insert into state_snapshots
  (id, run_id, is_success_state, created_at, pii_tags, redaction_policy, replay_safe, content_digest, storage_uri, snapshot)
  values (coalesce($1::uuid, gen_random_uuid()), $2, $3, coalesce($4::timestamptz, now()), $5, $6, $7, $8, $9, $10)`

/** The old reader's statement. */
export const OLD_SELECT = `select id, run_id, is_success_state, created_at, pii_tags, redaction_policy, replay_safe, content_digest,
  storage_uri, snapshot from state_snapshots where run_id = $1 order by created_at desc`

export interface OldRow {
  readonly id?: string
  readonly runId: string
  readonly isSuccessState?: boolean
  readonly createdAt?: string
  readonly piiTags?: readonly string[]
  readonly redactionPolicy?: string
  readonly replaySafe?: boolean
  readonly digest?: Buffer
  readonly storageUri?: string
  /** JSON text. */
  readonly snapshot?: string
}

/** Values for `OLD_INSERT`. */
export function oldValues(row: OldRow): readonly unknown[] {
  const { id = null, runId, isSuccessState = false, createdAt = null, piiTags = null, redactionPolicy = null } = row
  const { replaySafe = null, digest = null, storageUri = null, snapshot = null } = row
  return [id, runId, isSuccessState, createdAt, piiTags, redactionPolicy, replaySafe, digest, storageUri, snapshot]
}

/** Inserts a row the way the old writer did. */
export async function insertOldRow(url: string, row: OldRow): Promise<void> {
  await query(url, OLD_INSERT, oldValues(row))
}
