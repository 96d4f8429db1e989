import { sql } from 'kysely'
import type { Instant } from '../../model/instant.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Rows } from '../connect.ts'
import { SNAPSHOTS } from './sources.ts'

/** What is kept of a snapshot that no reader is shown. */
export interface KeptBeside {
  /** That its producer gave its capture. */
  readonly idempotencyKey: string | null
  /** Of its object, as it lies in storage, in bytes. */
  readonly storedBytes: number | null
}

/** By the id of the snapshot. */
export async function loadKeptBeside(
  db: Rows,
  snapshotIds: readonly string[],
): Promise<ReadonlyMap<string, KeptBeside>> {
  const rows = await db.rows(sql`
    select s.id, s.idempotency_key,
      (select o.stored_size_bytes from statelens_objects o where o.storage_uri = s.storage_uri)
    from ${SNAPSHOTS} and s.id = any(${snapshotIds}::uuid[])`)
  return new Map(
    rows.map(([id, key, storedBytes]) => [
      String(id),
      {
        idempotencyKey: key === null ? null : String(key),
        storedBytes: storedBytes === null ? null : Number(storedBytes),
      },
    ]),
  )
}

/** Of a run that was created elsewhere. */
export async function restoreRun(
  db: Rows,
  { runId, createdAt, legalHold }: { readonly runId: string; readonly createdAt: Instant; readonly legalHold: boolean },
): Promise<void> {
  await db.rows(sql`
    update statelens_runs set created_at = ${createdAt}::timestamptz, legal_hold = ${legalHold}
    where run_id = ${runId} and created_at is distinct from ${createdAt}::timestamptz`)
}

/** Of a golden state, as its approver said it. */
export interface Approval {
  readonly source: string
  /** JSON text. */
  readonly metadata: string | null
  readonly approvedAt: Instant | null
}

/** Of a snapshot that was captured elsewhere. What was changed since it was brought here stays. */
export async function restoreSnapshot(
  db: Rows,
  moved: Pick<Snapshot, 'snapshotId' | 'createdAt' | 'isGolden'> & { readonly approval?: Approval | null },
): Promise<void> {
  await db.rows(sql`
    update state_snapshots set created_at = ${moved.createdAt}::timestamptz, is_golden = ${moved.isGolden},
      golden_source = ${moved.approval?.source ?? null}, golden_metadata = ${moved.approval?.metadata ?? null},
      golden_at = ${moved.approval?.approvedAt ?? null}::timestamptz
    where id = ${moved.snapshotId}::uuid and created_at is distinct from ${moved.createdAt}::timestamptz`)
}
