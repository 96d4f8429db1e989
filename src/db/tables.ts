import type { ColumnType, Generated } from 'kysely'
import type { Instant } from '../model/instant.ts'
import type { RunStatus } from '../model/run.ts'
import type { SnapshotKind, StorageState } from '../model/snapshot.ts'
import type { StepStatus } from '../model/step.ts'

type WithDefault<T> = ColumnType<T, T | undefined, T>
/** JSON columns travel as text in both directions: nothing here parses one. */
type JsonText = string

export interface RunsTable {
  run_id: string
  workflow_name: string | null
  status: WithDefault<RunStatus>
  tags: WithDefault<JsonText>
  started_at: Instant | null
  ended_at: Instant | null
  created_at: WithDefault<Instant>
  updated_at: WithDefault<Instant>
  expires_at: Instant | null
  parent_run_id: string | null
  error: JsonText | null
  /** Number of the transaction that wrote the row last; null for what came before it was kept. */
  changed_xid: WithDefault<string | null>
  /** Nothing of it expires, and nobody deletes it. */
  legal_hold: WithDefault<boolean>
}

export interface StepsTable {
  run_id: string
  step_id: string
  step_index: number | null
  name: string | null
  kind: string | null
  status: WithDefault<StepStatus>
  attempt: WithDefault<number>
  started_at: Instant | null
  ended_at: Instant | null
  error: JsonText | null
  ordinal: Generated<string>
  changed_xid: WithDefault<string | null>
  updated_at: WithDefault<Instant>
}

/** The old system's table, widened: every column after `snapshot` is new, and nullable or defaulted. */
export interface StateSnapshotsTable {
  id: WithDefault<string>
  run_id: string
  is_success_state: boolean | null
  created_at: WithDefault<Instant>
  pii_tags: readonly string[] | null
  redaction_policy: string | null
  replay_safe: boolean | null
  content_digest: Buffer | null
  storage_uri: string | null
  snapshot: JsonText | null
  step_id: string | null
  seq: Generated<string>
  attempt: WithDefault<number>
  kind: WithDefault<SnapshotKind>
  is_golden: WithDefault<boolean>
  metadata: JsonText | null
  size_bytes: string | number | null
  content_type: WithDefault<string>
  content_encoding: WithDefault<string>
  storage_state: StorageState | null
  /** Of an object of another writer, once it was read to see. */
  json_verdict: 'VALID' | 'INVALID' | null
  /** The only version of the object that the verdict holds for. */
  json_verdict_etag: string | null
  preview: string | null
  idempotency_key: string | null
  request_digest: Buffer | null
  expires_at: Instant | null
  /** Exactly the bytes that this server captured inline. `snapshot` is the old writer's column, and `jsonb` where it was. */
  payload: JsonText | null
  /** Settled: the copy in `snapshot` is what is read, although there is a storage URI. */
  reads_inline: WithDefault<boolean>
  /** What the last verification showed; null before one. */
  integrity: 'VERIFIED' | 'MISMATCH' | 'NOT_VERIFIABLE' | null
  /** When that was first seen. */
  verified_at: Instant | null
  /** Number of the transaction that wrote the row; null for what came before it was kept. */
  changed_xid: WithDefault<string | null>
  /** Who or what approved a golden state, as its approver says it. */
  golden_source: string | null
  golden_metadata: JsonText | null
  golden_at: Instant | null
}

/** `pending` while its bytes are on the way, `live` once a snapshot names it, `doomed` until its bytes are gone. */
export type ObjectState = 'pending' | 'live' | 'doomed'

/** One row for each object that this server ever began to write: the intent comes before the bytes. */
export interface ObjectsTable {
  storage_uri: string
  snapshot_id: string
  /** Of the payload, once it is live. */
  content_digest: Buffer | null
  size_bytes: string | number | null
  /** Of the bytes as they lie in storage, in their coding; null where they were written before these were noted. */
  stored_size_bytes: string | number | null
  /** SHA-256 of the same. */
  stored_digest: Buffer | null
  /** How many of the stored bytes each of the `chunk_digests` is of; the last one of what remains. */
  chunk_size_bytes: string | number | null
  /** SHA-256 of each chunk, one behind the other: 32 bytes each. */
  chunk_digests: Buffer | null
  /** Name of the upload in parts that is to become the object, while it is under way. */
  multipart_id: string | null
  /** Of the object, where its store keeps versions. */
  version_id: string | null
  state: WithDefault<ObjectState>
  created_at: WithDefault<Instant>
  /** When the sweeper may next try to delete it. */
  not_before: WithDefault<Instant>
  attempts: WithDefault<number>
}

export type UploadState = 'open' | 'committed' | 'refused'

/** One row for each upload that does not come by a capture, from its ticket until its time is over. */
export interface UploadsTable {
  upload_id: string
  snapshot_id: string
  /** Null where the content was stored already. */
  storage_uri: string | null
  multipart_id: string | null
  /** What the capture says of its snapshot. */
  input: JsonText
  size_bytes: string | number
  content_digest: Buffer
  state: WithDefault<UploadState>
  expires_at: Instant
  created_at: WithDefault<Instant>
  /** When the sweeper may next look at it. */
  not_before: Instant
  attempts: WithDefault<number>
}

/** A run that was deleted while rows of it are still there. What comes after it under the same id is another run. */
export interface DeletionsTable {
  run_id: string
  /** The last snapshot that was deleted with it. */
  seq: string
  /** The last step. */
  ordinal: string
  /** Up to here the snapshots are gone, but for some that were held by others. */
  done_seq: Generated<string>
  created_at: WithDefault<Instant>
  /** When its rows may next be taken away. */
  not_before: WithDefault<Instant>
}

/** The tags of all runs, in the order of the runs; kept by triggers. A run itself shows those of its own column. */
export interface RunTagsTable {
  key: string
  value: string
  created_at: Instant
  run_id: string
}

/** What is left of a deleted snapshot for a day, so that a late retry of its capture does not bring it back. */
export interface TombstonesTable {
  snapshot_id: string
  run_id: string
  step_id: string | null
  idempotency_key: string | null
  deleted_at: WithDefault<Instant>
}

/** The folder that the objects of `file://` lie in, known by its mark. */
export interface StoresTable {
  scheme: string
  id: string
  is_used: WithDefault<boolean>
  created_at: WithDefault<Instant>
}

/** What one server does at a time for all of them. */
export interface PassesTable {
  name: string
  /** Whoever does it now; his turn ends with `held_until` unless he renews it. */
  holder: string | null
  held_until: WithDefault<Instant>
  /** When the last one ended, and how. */
  ended_at: Instant | null
  report: JsonText | null
}

/** By what places of a state above 1 MiB are found. States have it as long as anybody has the state; it can be made anew from it. */
export interface StateIndexesTable {
  /** SHA-256 of the payload; of what names one version of it where another writer may replace it. */
  key: Buffer
  /** Whose object it is, where that is another writer's; null while a live object of ours with this content keeps it. */
  snapshot_id: string | null
  /** Of its form: another one is as good as none. */
  version: number
  /** Of the payload. */
  size_bytes: string | number
  entries: Buffer
  created_at: WithDefault<Instant>
}

/** Where the keys of an object in such a state are, which its index does not keep: parts of buckets by hashes of keys. */
export interface StateKeysTable {
  /** Of the index. */
  key: Buffer
  /** Where the object starts, in bytes. */
  container: string | number
  /** Of the hashes; each table that is made has one of its own. */
  seed: Buffer
  /** -1 for the head, which is written last. */
  bucket: number
  part: number
  pairs: Buffer
}

export interface Tables {
  statelens_runs: RunsTable
  statelens_run_tags: RunTagsTable
  statelens_steps: StepsTable
  state_snapshots: StateSnapshotsTable
  statelens_objects: ObjectsTable
  statelens_deletions: DeletionsTable
  statelens_tombstones: TombstonesTable
  statelens_uploads: UploadsTable
  statelens_stores: StoresTable
  statelens_passes: PassesTable
  statelens_state_indexes: StateIndexesTable
  statelens_state_keys: StateKeysTable
}
