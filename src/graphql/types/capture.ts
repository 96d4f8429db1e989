import { AppError } from '../../errors.ts'
import { encodeGlobalId, isUuid, requireText } from '../../model/ids.ts'
import type { Captured } from '../../model/snapshot.ts'
import type { DeleteResult } from '../../snapshots/capture/writer.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import type { JsonText } from '../json-text.ts'
import { changing } from '../loader.ts'
import { SnapshotKindRef, SnapshotRef } from './snapshot.ts'

const METADATA_MAX_BYTES = 65_536

type InputFields = Parameters<Parameters<typeof builder.inputType<'I', never>>[1]['fields']>[0]

/** What a producer may say of a state, whichever way its bytes come. */
export function captureFields(t: InputFields) {
  return {
    runId: t.string({ required: true, description: "The run's own id; the run is created where it is not there yet." }),
    stepId: t.string({ description: "The step's own id; created likewise. Left out for a state of the run alone." }),
    attempt: t.int({ description: 'Attempt of the step; counts from 1.' }),
    kind: t.field({ type: SnapshotKindRef, description: 'What part it plays; CHECKPOINT where it is left out.' }),
    snapshotId: t.id({ description: 'UUID to store it under; made where it is left out.' }),
    idempotencyKey: t.string({
      description: 'Makes a retry safe: the same capture under the same key is stored once.',
    }),
    metadata: t.field({ type: 'JSON', description: 'Notes of any shape, at most 64 KiB.' }),
    isSuccessState: t.boolean({ description: 'Whether it is a state of success.' }),
    replaySafe: t.boolean({ description: 'Whether a run may start again from it.' }),
    piiTags: t.stringList({ description: 'Kinds of personal data in it.' }),
    redactionPolicy: t.string({
      description: 'Policy by which it is masked for whoever may not have it whole: only with piiTags.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description:
        'When it need not be kept any longer, whatever becomes of its run; left out where it goes with its run.',
    }),
  }
}

const CaptureSnapshotInput = builder.inputType('CaptureSnapshotInput', {
  description: 'A state to keep, and what is known of it.',
  fields: (t) => ({
    ...captureFields(t),
    payload: t.field({
      type: 'JSON',
      description:
        'The state: any JSON, null included. Of a variable the text is kept as it was sent, every byte of it; of a literal in the query the values, numbers with all their digits. Up to 2.5 MiB with all else that is sent: what is larger goes by PUT /runs/{runId}/steps/{stepId}/snapshot.',
    }),
  }),
})

export const CaptureSnapshotPayload = builder.objectRef<Captured>('CaptureSnapshotPayload').implement({
  description: 'What was stored.',
  fields: (t) => ({
    snapshot: t.expose('snapshot', { type: SnapshotRef, description: 'The snapshot, without its payload.' }),
    created: t.exposeBoolean('created', { description: 'False when the same capture was stored before.' }),
  }),
})

interface Deletion extends DeleteResult {
  readonly deletedId: string
}

const DeletePayload = builder.objectRef<Deletion>('DeletePayload').implement({
  description: 'What was deleted.',
  fields: (t) => ({
    deleted: t.exposeBoolean('deleted', { description: 'False when it was not there.' }),
    deletedId: t.exposeID('deletedId', {
      description:
        'Global id of what is not there any more, whether it was before or not: clients take it out of their caches.',
    }),
    snapshotCount: t.exposeInt('snapshotCount', {
      nullable: true,
      description: 'Snapshots that are gone with it; null where there are more than 10,000.',
    }),
  }),
})

builder.mutationFields((t) => ({
  captureSnapshot: t.field({
    type: CaptureSnapshotPayload,
    description:
      'Stores a state. Each capture is a new snapshot, unless its snapshotId or idempotencyKey was seen before.',
    args: { input: t.arg({ type: CaptureSnapshotInput, required: true, description: 'The state.' }) },
    resolve: (_root, { input: { payload, metadata, ...input } }, context) => {
      if (payload === undefined) throw new AppError('BAD_REQUEST', 'payload is missing; null is a payload too')
      const { writer, signal } = context
      return changing(
        context,
        writer.capture({ ...input, metadata: metadataText(metadata) }, Buffer.from(textOf(payload)), signal),
      )
    },
  }),
  deleteSnapshot: t.field({
    type: DeletePayload,
    description: 'Deletes a snapshot and the payload that this server stored for it.',
    args: { snapshotId: t.arg.id({ required: true, description: 'UUID.' }) },
    resolve: (_root, { snapshotId }, context) =>
      named(
        encodeGlobalId('Snapshot', snapshotId.toLowerCase()),
        isUuid(snapshotId)
          ? told(context, { snapshotId }, context.writer.deleteSnapshot(snapshotId))
          : { deleted: false, snapshotCount: 0 },
      ),
  }),
  deleteRun: t.field({
    type: DeletePayload,
    description: 'Deletes a run with its steps, its snapshots and their payloads.',
    args: { runId: t.arg.string({ required: true, description: "The run's own id." }) },
    resolve: (_root, { runId }, context) =>
      named(encodeGlobalId('Run', runId), told(context, { runId }, context.writer.deleteRun(runId))),
  }),
}))

async function told(
  context: Context,
  what: { readonly runId?: string; readonly snapshotId?: string },
  deletion: Promise<DeleteResult>,
): Promise<DeleteResult> {
  const result = await changing(context, deletion)
  context.audit?.deleted({ ...what, viewer: context.viewer, deleted: result.deleted })
  return result
}

async function named(deletedId: string, deletion: DeleteResult | Promise<DeleteResult>): Promise<Deletion> {
  return { ...(await deletion), deletedId }
}

/** Null where there is none. @throws AppError `BAD_REQUEST` when it is too long, `INVALID_PAYLOAD` when it is nested too deeply. */
export function metadataText(metadata: JsonText | null | undefined): string | null {
  return metadata == null ? null : requireText('metadata', metadata.jsonText, METADATA_MAX_BYTES)
}

function textOf(payload: JsonText | null): string {
  return payload === null ? 'null' : payload.jsonText
}
