import { sql } from 'kysely'
import { RUN_FIELDS, type Run } from '../../model/run.ts'
import { SNAPSHOT_METADATA, type Snapshot } from '../../model/snapshot.ts'
import type { Database, Rows } from '../connect.ts'
import { projectRun } from './runs.ts'
import { projectSnapshot } from './snapshot-columns.ts'
import { SNAPSHOTS } from './sources.ts'

/**
 * Holds a run, or lets it go. Whoever takes rows away locks the run's own first: what was told to be held is held.
 * @returns null when there is no such run.
 */
export async function setLegalHold(db: Rows, runId: string, hold: boolean): Promise<Run | null> {
  const { columns, read } = projectRun(RUN_FIELDS.all)
  const [row] = await db.rows(sql`
    update statelens_runs r set legal_hold = ${hold}, updated_at = now() where r.run_id = ${runId} returning ${columns}`)
  return row ? read(row) : null
}

export interface Approval {
  readonly source: string
  /** JSON text. */
  readonly metadata: string | null
}

/** Approves a state; a later approval takes the place of an earlier one. @returns null when there is no such snapshot. */
export async function approveSnapshot(db: Database, snapshotId: string, approval: Approval): Promise<Snapshot | null> {
  const { columns, read } = projectSnapshot(SNAPSHOT_METADATA)
  const { source, metadata } = approval
  return await db.kysely.transaction().execute(async (tx) => {
    // Its run is not deleted while it becomes golden, nor found without golden states.
    await sql`select pg_advisory_xact_lock_shared(hashtextextended(s.run_id, 0)) from ${SNAPSHOTS} and s.id = ${snapshotId}::uuid`.execute(
      tx,
    )
    const { rows } = await sql<object>`
      update state_snapshots s set is_golden = true, golden_source = ${source}, golden_metadata = ${metadata}::json, golden_at = now()
      where s.id = ${snapshotId}::uuid and exists (select from ${SNAPSHOTS} and s.id = ${snapshotId}::uuid) returning ${columns}`.execute(
      tx,
    )
    const [row] = rows
    return row ? read(Object.values(row)) : null
  })
}
