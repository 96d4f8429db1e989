import { buffer } from 'node:stream/consumers'
import { type GraphQLResolveInfo, responsePathAsArray } from 'graphql'
import { AppError } from '../../errors.ts'
import { idOfType } from '../../model/ids.ts'
import {
  type GoldenApproval,
  SMALL_PAYLOAD_BYTES,
  type Snapshot,
  type SnapshotKind,
  type STORAGE_TIERS,
  type StorageState,
  storageTierOf,
} from '../../model/snapshot.ts'
import { refuseAbove } from '../../snapshots/views/payload-bytes.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { costing, PART, PARTS } from '../cost.ts'
import {
  loadNeighbour,
  loadNewestOfStep,
  loadSnapshot,
  loadStep,
  requireRun,
  snapshotNeeds,
  stepNeeds,
} from '../loaders.ts'
import { selectionOf } from '../look-ahead.ts'
import { type RawJson, rawJson } from '../raw-json.ts'
import { RunRef } from './run.ts'
import { StepRef } from './step.ts'

/** A snapshot on its way through one answer. */
export interface SnapshotNode extends Snapshot {
  /** False where the query asked to read through to storage. */
  readonly useCache?: boolean
}

export const SnapshotKindRef = builder.enumType('SnapshotKind', {
  description: 'What part a state plays in its step.',
  values: {
    INPUT: { description: 'What the step began with.' },
    CHECKPOINT: { description: 'Where it stood on the way.' },
    OUTPUT: { description: 'What it ended with.' },
    ERROR: { description: 'Where it stood when it failed.' },
  } satisfies Record<SnapshotKind, object>,
})

export const StorageTierRef = builder.enumType('StorageTier', {
  description: 'Where a payload lies.',
  values: {
    INLINE: { description: 'In PostgreSQL.' },
    OBJECT: { description: 'In object storage, behind a storage URI.' },
  } satisfies Record<(typeof STORAGE_TIERS)[number], object>,
})

const StorageStateRef = builder.enumType('StorageState', {
  description: 'What the last read of the payload showed.',
  values: {
    AVAILABLE: { description: 'It was there.' },
    MISSING: { description: 'Its object was gone.' },
    CORRUPT: { description: 'Its bytes were not those that were captured.' },
    UNKNOWN: { description: 'Nobody has read it yet.' },
  } satisfies Record<StorageState, object>,
})

const GoldenApprovalRef = builder.objectRef<GoldenApproval>('GoldenApproval').implement({
  description: 'How a state became a reference.',
  fields: (t) => ({
    source: t.exposeString('source', { description: 'By whom or what, in the words of the approver.' }),
    metadata: t.field({
      type: 'JSON',
      nullable: true,
      description: "The approver's notes, as they were given.",
      resolve: ({ metadata }) => (metadata === null ? null : rawJson(metadata)),
    }),
    approvedAt: t.expose('approvedAt', { type: 'DateTime', description: 'When; of several times the last.' }),
  }),
})

export const SnapshotRef = builder.objectRef<SnapshotNode>('Snapshot')

builder.node(SnapshotRef, {
  description: 'One captured state. Selecting anything but the payload reads no payload.',
  id: { resolve: ({ snapshotId }) => snapshotId, description: 'Global id.' },
  fields: (t) => ({
    snapshotId: t.exposeID('snapshotId', { description: 'UUID.' }),
    runId: t.exposeString('runId', { description: "The run's own id." }),
    stepId: t.exposeString('stepId', {
      nullable: true,
      description: "The step's own id; null for a state of the run alone.",
    }),
    attempt: t.exposeInt('attempt', { description: 'Attempt of the step; counts from 1.' }),
    seq: t.expose('seq', { type: 'BigInt', description: 'Orders the snapshots of a run; gaps are normal.' }),
    kind: t.expose('kind', { type: SnapshotKindRef, description: 'What part it plays.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was captured.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When it need not be kept any longer: from then on it may be gone at any time, and until then it stays. Null where it goes with its run.',
    }),
    isSuccessState: t.exposeBoolean('isSuccessState', {
      description: 'Whether its producer calls it a state of success.',
    }),
    isGolden: t.exposeBoolean('isGolden', {
      description: 'Whether it was approved as a reference: then it does not expire.',
    }),
    goldenApproval: t.expose('goldenApproval', {
      type: GoldenApprovalRef,
      nullable: true,
      description: 'Who approved it, and when; null where nobody did, or it was golden before this server knew it.',
      extensions: costing(PART),
    }),
    replaySafe: t.exposeBoolean('replaySafe', { description: 'Whether a run may start again from it.' }),
    piiTags: t.stringList({
      description: 'Kinds of personal data in it, in the words of its producer.',
      extensions: costing(PARTS),
      resolve: ({ piiTags }) => [...piiTags],
    }),
    redactionPolicy: t.exposeString('redactionPolicy', {
      nullable: true,
      description: 'Policy by which it is masked for whoever may not have it whole.',
    }),
    metadata: t.field({
      type: 'JSON',
      nullable: true,
      description: "The producer's notes, as they were captured.",
      resolve: ({ metadata }) => (metadata === null ? null : rawJson(metadata)),
    }),
    sizeBytes: t.expose('sizeBytes', {
      type: 'BigInt',
      nullable: true,
      description: 'Of the payload, in bytes; null for whoever may not have it whole.',
    }),
    digest: t.exposeString('digest', {
      nullable: true,
      description:
        '`sha256:<64 hex>`, as the row says; `digestOf` tells of what. Null for whoever may not have the payload whole.',
    }),
    contentType: t.exposeString('contentType', { description: 'Media type of the payload.' }),
    contentEncoding: t.exposeString('contentEncoding', {
      description: 'How the stored bytes are encoded; `identity` if not.',
    }),
    storageTier: t.field({ type: StorageTierRef, description: 'Where the payload lies.', resolve: storageTierOf }),
    storageState: t.expose('storageState', { type: StorageStateRef, description: 'What the last read showed.' }),
    storageUri: t.string({
      nullable: true,
      description: 'Only with the scope `storage:read`; null for an inline payload.',
      resolve: ({ storageUri }, _args, { viewer }) => (viewer.scopes.has('storage:read') ? storageUri : null),
    }),
    preview: t.exposeString('preview', {
      nullable: true,
      description:
        'The beginning of the payload, at most 1 KiB, made when it was captured; up to the first masked place for whoever may not have it whole.',
    }),
    payload: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'The state itself. Above maxBytes or the limit of the server: null and PAYLOAD_TOO_LARGE, never a part of it.',
      args: { maxBytes: t.arg.int({ description: 'Most bytes that the caller takes.' }) },
      resolve: (snapshot, { maxBytes }, context, info) =>
        readAlong(snapshot, maxBytes, context) ?? readPayload(snapshot, { maxBytes, context, info }),
    }),
    run: t.field({
      type: RunRef,
      description: 'The run that it belongs to.',
      resolve: ({ runId }, _args, context, info) => requireRun(runId, context, info),
    }),
    step: t.field({
      type: StepRef,
      nullable: true,
      description: 'The step that it belongs to; null for a state of the run alone.',
      resolve: ({ runId, stepId }, _args, context, info) =>
        stepId === null ? null : loadStep(context).load({ runId, stepId }, stepNeeds(selectionOf(info))),
    }),
    previous: t.field({
      type: SnapshotRef,
      nullable: true,
      description: 'The one captured before it in the run.',
      resolve: (snapshot, _args, context, info) =>
        loadNeighbour(context, { side: 'previous', fields: snapshotNeeds(selectionOf(info)) }).load(snapshot),
    }),
    next: t.field({
      type: SnapshotRef,
      nullable: true,
      description: 'The one captured after it in the run.',
      resolve: (snapshot, _args, context, info) =>
        loadNeighbour(context, { side: 'next', fields: snapshotNeeds(selectionOf(info)) }).load(snapshot),
    }),
  }),
})

interface PayloadRequest {
  readonly maxBytes: number | null | undefined
  readonly context: Context
  readonly info: GraphQLResolveInfo
}

/** A payload that came along with its row, where the caller and the server allow one of its size. */
function readAlong(
  { inlinePayload, sizeBytes }: SnapshotNode,
  maxBytes: number | null | undefined,
  { payloadMaxBytes, telemetry }: Context,
): RawJson | null {
  if (inlinePayload == null || sizeBytes === null || sizeBytes > payloadMaxBytes) return null
  if (maxBytes != null && sizeBytes > maxBytes) return null
  telemetry.payloadBytes('out', inlinePayload.length, WHOLE_INLINE)
  return rawJson(inlinePayload)
}

const WHOLE_INLINE = { tier: 'inline', way: 'whole' } as const
const WHOLE_OBJECT = { tier: 'object', way: 'whole' } as const

/**
 * Small payloads of rows are read with the rest of the answer; all others are opened one after the other while it is written, so
 * that one answer holds few places of storage at once.
 */
async function readPayload(snapshot: SnapshotNode, { maxBytes, context, info }: PayloadRequest): Promise<RawJson> {
  const { payloads, payloadMaxBytes, viewer, signal, telemetry } = context
  if (maxBytes != null && maxBytes < 0) throw new AppError('BAD_REQUEST', 'maxBytes counts from 0')
  const { sizeBytes, storageUri, useCache } = snapshot
  const limit = Math.min(maxBytes ?? Number.POSITIVE_INFINITY, payloadMaxBytes)
  const open = async () =>
    payloads.openJson(await payloads.resolve(snapshot, { viewer, useCache, signal }), {
      maxBytes: limit,
      useCache,
      signal,
    })
  refuseAbove(limit, sizeBytes)
  if (storageUri !== null || sizeBytes === null || sizeBytes > SMALL_PAYLOAD_BYTES) {
    const place = { nodes: info.fieldNodes, path: responsePathAsArray(info.path) }
    const of = storageUri === null ? WHOLE_INLINE : WHOLE_OBJECT
    return rawJson({ sizeBytes, open, ...place, onSent: (bytes) => telemetry.payloadBytes('out', bytes, of) })
  }
  const { body } = await open()
  const bytes = Buffer.isBuffer(body) ? body : await buffer(body)
  telemetry.payloadBytes('out', bytes.length, WHOLE_INLINE)
  return rawJson(bytes)
}

builder.queryFields((t) => ({
  snapshot: t.field({
    type: SnapshotRef,
    nullable: true,
    description: 'The newest snapshot of a step; null when it has none.',
    args: {
      runId: t.arg.string({ required: true, description: "The run's own id." }),
      stepId: t.arg.string({ required: true, description: "The step's own id." }),
      useCache: t.arg.boolean({ defaultValue: true, description: 'False reads the payload through to storage.' }),
    },
    resolve: async (_root, { runId, stepId, useCache }, context, info) => {
      const snapshot = await loadNewestOfStep(context).load({ runId, stepId }, snapshotNeeds(selectionOf(info)))
      return snapshot && useCache === false ? { ...snapshot, useCache } : snapshot
    },
  }),
  snapshotById: t.field({
    type: SnapshotRef,
    nullable: true,
    description: 'One snapshot by its UUID; null when it is not there.',
    args: { snapshotId: t.arg.id({ required: true, description: 'UUID.' }) },
    resolve: (_root, { snapshotId }, context, info) =>
      loadSnapshot(context).load(snapshotId, snapshotNeeds(selectionOf(info))),
  }),
}))

builder.asEntity(SnapshotRef, {
  key: [builder.selection<{ id: string }>('id'), builder.selection<{ snapshotId: string }>('snapshotId')],
  // Async: a key that cannot be read fails for its own reference, not for the whole list.
  resolveReference: async (reference, context, info) =>
    loadSnapshot(context).load(
      'snapshotId' in reference ? reference.snapshotId : idOfType('Snapshot', reference.id),
      snapshotNeeds(selectionOf(info)),
    ),
})
