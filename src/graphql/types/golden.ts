import { builder } from '../builder.ts'
import { changing } from '../loader.ts'
import { metadataText } from './capture.ts'
import { SnapshotRef } from './snapshot.ts'

builder.mutationField('markGolden', (t) =>
  t.field({
    type: SnapshotRef,
    description: 'Approves a state as a reference: from then on it does not expire, nor does its run.',
    args: {
      snapshotId: t.arg.id({ required: true, description: 'UUID.' }),
      approvalSource: t.arg.string({
        required: true,
        description: 'By whom or what it is approved: a person, a review, a test. At most 1 KiB.',
      }),
      approvalMetadata: t.arg({ type: 'JSON', description: 'Notes of any shape, at most 64 KiB.' }),
    },
    resolve: async (_root, { snapshotId, approvalSource: source, approvalMetadata }, context) => {
      const approval = { source, metadata: metadataText(approvalMetadata) }
      const snapshot = await changing(context, context.writer.markGolden(snapshotId, approval))
      context.audit?.golden({ viewer: context.viewer, snapshotId: snapshot.snapshotId, source })
      return snapshot
    },
  }),
)
