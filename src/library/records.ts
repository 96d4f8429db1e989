import { toRfc3339 } from '../model/instant.ts'
import type { Run } from '../model/run.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Step } from '../model/step.ts'
import type { RunRecord, SnapshotRecord, StepRecord } from './api.ts'

export function toRunRecord(run: Run): RunRecord {
  const { startedAt, endedAt, createdAt, updatedAt, expiresAt } = run
  return {
    ...run,
    startedAt: startedAt && toRfc3339(startedAt),
    endedAt: endedAt && toRfc3339(endedAt),
    createdAt: toRfc3339(createdAt),
    updatedAt: toRfc3339(updatedAt),
    expiresAt: expiresAt && toRfc3339(expiresAt),
  }
}

export function toStepRecord({ ordinal: _ordinal, newest: _newest, startedAt, endedAt, ...step }: Step): StepRecord {
  return { ...step, startedAt: startedAt && toRfc3339(startedAt), endedAt: endedAt && toRfc3339(endedAt) }
}

export function toSnapshotRecord(snapshot: Snapshot): SnapshotRecord {
  const { snapshotId, runId, stepId, attempt, seq, kind, createdAt, isSuccessState, isGolden, replaySafe } = snapshot
  const { piiTags, redactionPolicy, metadata, sizeBytes, digest, contentType, storageState, preview } = snapshot
  const { expiresAt } = snapshot
  const own = { snapshotId, runId, stepId, attempt, seq, kind, isSuccessState, isGolden, replaySafe }
  const seen = { piiTags, redactionPolicy, sizeBytes, digest, contentType, storageState, preview }
  return {
    ...own,
    ...seen,
    createdAt: toRfc3339(createdAt),
    expiresAt: expiresAt && toRfc3339(expiresAt),
    metadata: metadata === null ? null : JSON.parse(metadata.toString()),
  }
}
