import { brandWithType } from '@pothos/core'
import type { GraphQLResolveInfo } from 'graphql'
import { decodeGlobalId, decodeStepKey, type NodeType } from '../../model/ids.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { costing } from '../cost.ts'
import { loadRun, loadSnapshot, loadStep, runNeeds, snapshotNeeds, stepNeeds } from '../loaders.ts'
import { type Selection, selectionOf } from '../look-ahead.ts'
import { RunRef } from './run.ts'
import { SnapshotRef } from './snapshot.ts'
import { StepRef } from './step.ts'

interface Loadable {
  readonly ref: Parameters<typeof brandWithType>[1]
  /** The selection names fields of other types too: what is none of this type's is passed over. */
  load(id: string, context: Context, selection: Selection): Promise<object | null>
}

const LOADABLE: Readonly<Record<NodeType, Loadable>> = {
  Run: { ref: RunRef, load: (id, context, selection) => loadRun(context).load(id, runNeeds(selection)) },
  Step: {
    ref: StepRef,
    load: (id, context, selection) => loadStep(context).load(decodeStepKey(id), stepNeeds(selection)),
  },
  Snapshot: {
    ref: SnapshotRef,
    load: (id, context, selection) => loadSnapshot(context).load(id, snapshotNeeds(selection)),
  },
}

/** Rejects with `BAD_REQUEST` for what is no id of this server. */
async function loadNode(globalId: string, context: Context, info: GraphQLResolveInfo): Promise<object | null> {
  const { typename, id } = decodeGlobalId(globalId)
  const { ref, load } = LOADABLE[typename]
  const node = await load(id, context, selectionOf(info))
  // The interface asks what it has before it.
  if (node) brandWithType(node, ref)
  return node
}

builder.queryFields((t) => ({
  node: t.field({
    type: builder.nodeInterfaceRef(),
    nullable: true,
    description: 'Anything by its global id; null when it is not there.',
    args: { id: t.arg.id({ required: true, description: 'Global id.' }) },
    resolve: (_root, { id }, context, info) => loadNode(id, context, info),
  }),
  nodes: t.field({
    type: [builder.nodeInterfaceRef()],
    nullable: { list: false, items: true },
    description:
      'The same for many ids, in the order asked; null for each that is not there, or is no id: that with an error.',
    args: { ids: t.arg.idList({ required: true, description: 'Global ids.' }) },
    extensions: costing({ items: ({ ids }: { readonly ids: readonly string[] }) => ids.length }),
    // Each on its own: one that fails takes no other with it.
    resolve: (_root, { ids }, context, info) => ids.map((id) => loadNode(id, context, info)),
  }),
}))
