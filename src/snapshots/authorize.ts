import type { Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { SNAPSHOT_FIELDS } from '../model/snapshot.ts'
import type { Uploads } from './capture/uploads.ts'
import type { SnapshotWriter } from './capture/writer.ts'
import type { Readers } from './readers.ts'

const RUN_ID = SNAPSHOT_FIELDS.pick(['runId'])

/** What a viewer is about to do with a run, or with something of it. */
export type RunAction = 'read' | 'write' | 'delete'

/**
 * Decides by run, beside the scopes: whether the viewer may do that. It is asked once a request for each action and run, and for every
 * item of a list; what it throws is hidden, and fails what was asked. There may be no such run, or not yet.
 */
export type Authorize = (
  viewer: Viewer,
  action: RunAction,
  run: { readonly runId: string },
) => boolean | Promise<boolean>

/** The same for one viewer and one request. */
export type Allowed = (action: RunAction, runId: string) => Promise<boolean>

export function createAllowed(authorize: Authorize, viewer: Viewer): Allowed {
  const known = new Map<string, Promise<boolean>>()
  return (action, runId) => {
    const key = `${action} ${runId}`
    const found = known.get(key) ?? (async () => (await authorize(viewer, action, { runId })) === true)()
    known.set(key, found)
    return found
  }
}

async function requireAllowed(allowed: Allowed, action: RunAction, runId: string): Promise<void> {
  if (!(await allowed(action, runId))) throw new AppError('FORBIDDEN', 'That run is not yours to change')
}

/** The writer of somebody to whom only some runs are open. Of what he may not read he does not learn that it is there. */
function createAllowedWriter(
  writer: SnapshotWriter,
  allowed: Allowed,
  runIdOf: (snapshotId: string) => Promise<string | null>,
): SnapshotWriter {
  return {
    async upsertRun(change) {
      await requireAllowed(allowed, 'write', change.runId)
      return await writer.upsertRun(change)
    },
    async upsertStep(change) {
      await requireAllowed(allowed, 'write', change.runId)
      return await writer.upsertStep(change)
    },
    async upsertSteps(steps) {
      for (const { runId } of steps) await requireAllowed(allowed, 'write', runId)
      await writer.upsertSteps(steps)
    },
    async capture(input, payload, signal) {
      await requireAllowed(allowed, 'write', input.runId)
      return await writer.capture(input, payload, signal)
    },
    async holdRun(runId, hold) {
      await requireAllowed(allowed, 'write', runId)
      return await writer.holdRun(runId, hold)
    },
    async markGolden(snapshotId, approval) {
      const runId = await runIdOf(snapshotId)
      if (runId !== null) await requireAllowed(allowed, 'write', runId)
      return await writer.markGolden(runId === null ? '' : snapshotId, approval)
    },
    async deleteSnapshot(snapshotId) {
      const runId = await runIdOf(snapshotId)
      if (runId === null) return { deleted: false, snapshotCount: 0 }
      await requireAllowed(allowed, 'delete', runId)
      return await writer.deleteSnapshot(snapshotId)
    },
    async deleteRun(runId) {
      await requireAllowed(allowed, 'delete', runId)
      return await writer.deleteRun(runId)
    },
  }
}

/** A ticket is given to whom the run is open, and good for whoever holds it. */
function createAllowedUploads(uploads: Uploads, allowed: Allowed): Uploads {
  return {
    ...uploads,
    async begin(input) {
      await requireAllowed(allowed, 'write', input.runId)
      return await uploads.begin(input)
    },
  }
}

export interface Changes {
  readonly writer: SnapshotWriter
  readonly uploads: Uploads
}

/** Both for one viewer and one request. */
export function changesFor(
  { writer, uploads, readers }: Changes & { readonly readers: Readers },
  authorize: Authorize,
  viewer: Viewer,
): Changes {
  const allowed = createAllowed(authorize, viewer)
  const runIdOf = async (snapshotId: string) => {
    const [snapshot] = await readers
      .forViewer(viewer, undefined, 'all')
      .loadSnapshots([snapshotId.toLowerCase()], RUN_ID)
    return snapshot?.runId ?? null
  }
  return { writer: createAllowedWriter(writer, allowed, runIdOf), uploads: createAllowedUploads(uploads, allowed) }
}
