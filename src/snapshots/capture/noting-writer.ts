import type { SnapshotWriter } from './writer.ts'

/** The same writer, for whoever has no request that would be told: what was written is noted before its caller goes on. */
export function createNotingWriter(writer: SnapshotWriter, note: () => Promise<unknown>): SnapshotWriter {
  async function noted<T>(writing: Promise<T>): Promise<T> {
    const written = await writing
    await note()
    return written
  }
  return {
    upsertRun: (change) => noted(writer.upsertRun(change)),
    upsertStep: (change) => noted(writer.upsertStep(change)),
    upsertSteps: (steps) => noted(writer.upsertSteps(steps)),
    capture: (input, payload, signal) => noted(writer.capture(input, payload, signal)),
    holdRun: (runId, hold) => noted(writer.holdRun(runId, hold)),
    markGolden: (...given) => noted(writer.markGolden(...given)),
    deleteSnapshot: (snapshotId) => noted(writer.deleteSnapshot(snapshotId)),
    deleteRun: (runId) => noted(writer.deleteRun(runId)),
  }
}
