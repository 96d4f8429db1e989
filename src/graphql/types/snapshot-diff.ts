import { AppError } from '../../errors.ts'
import type { Change } from '../../json/diff/diff.ts'
import { type DiffSummary, MEMBERS_MAX } from '../../json/diff/summary.ts'
import { idOfType, isUuid } from '../../model/ids.ts'
import { MAX_PAGE_SIZE } from '../../model/page.ts'
import type { Asked } from '../../snapshots/views/parts.ts'
import { DIFF_LIMITS } from '../../snapshots/views/state-diff.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { costing } from '../cost.ts'
import { askDiff, type ChangesArgs, type DiffNode, pageOfChanges } from '../diffs.ts'
import { loadNeighbour, loadSnapshot, STATE_NEEDS, snapshotNeeds } from '../loaders.ts'
import { selectionOf } from '../look-ahead.ts'
import type { PartNode } from '../parts.ts'
import { JsonNodeRef } from './json-node.ts'
import { StepComparisonRef } from './run-comparison.ts'
import { SnapshotRef } from './snapshot.ts'

/** A page of changes reads as much as so many other places; the other fields less. */
const PARTS_OF_PAGE = 50
const PARTS_OF_LOOK = 10

const DiffOpRef = builder.enumType('DiffOp', {
  description: 'What became of a value.',
  values: {
    ADDED: { description: 'It is new.' },
    REMOVED: { description: 'It is gone.' },
    CHANGED: { description: 'It is another value.' },
    MOVED: { description: 'It is the same, at another place in its array.' },
  } satisfies Record<Change['op'], object>,
})

const DiffStatusRef = builder.enumType('DiffStatus', {
  description: 'What became of a member of an object.',
  values: {
    EQUAL: { description: 'It has the same value.' },
    CHANGED: {
      description:
        'It has another value; of a very large one that says the same in other words this may be told as well.',
    },
    ADDED: { description: 'It is new.' },
    REMOVED: { description: 'It is gone.' },
  } satisfies Record<DiffSummary['status'], object>,
})

const DiffSummaryRef = builder.objectRef<DiffSummary>('DiffSummary').implement({
  description: 'What became of a member of an object.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Its key, unescaped.' }),
    pointer: t.field({ type: 'JSONPointer', description: 'Where it is, or was.', resolve: ({ pointer }) => pointer }),
    status: t.expose('status', { type: DiffStatusRef, description: 'What became of it.' }),
    fromSizeBytes: t.field({
      type: 'BigInt',
      nullable: true,
      description: 'Size of its text before, in bytes; null when it is new.',
      resolve: ({ fromSizeBytes }) => fromSizeBytes,
    }),
    toSizeBytes: t.field({
      type: 'BigInt',
      nullable: true,
      description: 'The same now; null when it is gone.',
      resolve: ({ toSizeBytes }) => toSizeBytes,
    }),
  }),
})

/** One change on its way through one answer. */
export interface ChangeNode extends Pick<Change, 'op' | 'pointer' | 'fromPointer'> {
  readonly before: PartNode | null
  readonly after: PartNode | null
}

const DiffChangeRef = builder.objectRef<ChangeNode>('DiffChange').implement({
  description: 'One value that is not what it was, or not where it was.',
  fields: (t) => ({
    op: t.expose('op', { type: DiffOpRef, description: 'What became of it.' }),
    pointer: t.field({
      type: 'JSONPointer',
      description: 'Where it is in the new state; of what is gone, where it was in the old one.',
      resolve: ({ pointer }) => pointer,
    }),
    fromPointer: t.field({
      type: 'JSONPointer',
      nullable: true,
      description: 'Where it was in the old state; null where that is the same.',
      resolve: ({ fromPointer }) => fromPointer,
    }),
    before: t.expose('before', {
      type: JsonNodeRef,
      nullable: true,
      description: 'The old value; null when it is new.',
    }),
    after: t.expose('after', {
      type: JsonNodeRef,
      nullable: true,
      description: 'The new value; null when it is gone.',
    }),
  }),
})

interface Told {
  readonly isTruncated: boolean
  readonly isApproximate: boolean
  readonly bytesRead: number
}

/** What the resolver adds to a connection, of which its type knows nothing. */
const toldOf = (page: object) => page as Told

const DiffChangeConnection = builder.connectionObject(
  {
    type: DiffChangeRef,
    name: 'DiffChangeConnection',
    description: 'A page of changes.',
    fields: (t) => ({
      truncated: t.boolean({
        description: 'Whether this page ended early, by what it had read or by its time: go on with endCursor.',
        resolve: (page) => toldOf(page).isTruncated,
      }),
      approximate: t.boolean({
        description: 'Whether there was so much to align that fewer changes might have told the same.',
        resolve: (page) => toldOf(page).isApproximate,
      }),
      bytesRead: t.field({
        type: 'BigInt',
        description: 'What was read of both states, in bytes.',
        resolve: (page) => toldOf(page).bytesRead,
      }),
    }),
  },
  { name: 'DiffChangeEdge', description: 'A change at its place.' },
)

const SnapshotDiffRef = builder.objectRef<DiffNode>('SnapshotDiff').implement({
  description:
    'What leads from one state to another. Objects are the same whatever their order, numbers by their value, strings unescaped, and of equal keys the last counts.',
  fields: (t) => ({
    from: t.field({
      type: SnapshotRef,
      nullable: true,
      description: 'The old state; null where there is none.',
      resolve: ({ from }, _args, context, info) =>
        from && loadSnapshot(context).load(from.snapshotId, snapshotNeeds(selectionOf(info))),
    }),
    to: t.field({
      type: SnapshotRef,
      nullable: true,
      description: 'The new state.',
      resolve: async ({ to }, _args, context, info) => {
        const found = await loadSnapshot(context).load(to.snapshotId, snapshotNeeds(selectionOf(info)))
        if (!found) throw new AppError('NOT_FOUND', 'The snapshot was deleted')
        return found
      },
    }),
    identical: t.boolean({
      description:
        'Whether both have the same value. Known by digests or indexes where it is; false as well where so much is written in other words that one request cannot tell.',
      extensions: costing({ parts: PARTS_OF_LOOK }),
      resolve: (node, _args, context) => askDiff(node, context, (diff) => diff.isIdentical(DIFF_LIMITS)),
    }),
    summary: t.field({
      type: [DiffSummaryRef],
      nullable: true,
      description:
        'What became of each member, in the order of the new object; null where not both are objects, or too much is in them.',
      extensions: costing({ items: 2 * MEMBERS_MAX, isNode: false, parts: PARTS_OF_LOOK }),
      resolve: async (node, _args, context) => {
        const summary = await askDiff(node, context, (diff) => diff.summary())
        return summary && [...summary]
      },
    }),
    changes: t.field({
      type: DiffChangeConnection,
      nullable: true,
      description:
        'All changes, in the order of the new state; what is gone stands at its old place. A page may end early: hasNextPage tells.',
      extensions: costing({
        isNode: false,
        parts: PARTS_OF_PAGE,
        page: ({ first }: ChangesArgs) => Math.min(Math.max(first ?? MAX_PAGE_SIZE, 0), MAX_PAGE_SIZE),
      }),
      args: {
        first: t.arg.int({ defaultValue: MAX_PAGE_SIZE, description: 'The first so many: 0 to 100.' }),
        after: t.arg.string({ description: 'Only those after this cursor.' }),
      },
      resolve: (node, args, context) => pageOfChanges(node, args, context),
    }),
  }),
})

builder.objectFields(SnapshotRef, (t) => ({
  diff: t.field({
    type: SnapshotDiffRef,
    nullable: true,
    description: 'What leads from another state to this one: from the one before it in the run where none is named.',
    args: {
      from: t.arg.id({ description: 'Id of the old state, of any run; the UUID or the global id.' }),
      pointer: t.arg({ type: 'JSONPointer', defaultValue: '', description: 'Below which place of both.' }),
    },
    resolve: async (to, { from, pointer }, context) => {
      const { useCache } = to
      const old = from == null ? await loadPrevious(to, context) : await requireSnapshot(String(from), context)
      return { from: old && { ...old, useCache }, to, pointer: pointer ?? '' }
    },
  }),
}))

function loadPrevious(snapshot: Asked, context: Context): Promise<Asked | null> {
  return loadNeighbour(context, { side: 'previous', fields: STATE_NEEDS }).load(snapshot)
}

/** @throws AppError `NOT_FOUND`, `BAD_REQUEST`. */
async function requireSnapshot(id: string, context: Context): Promise<Asked> {
  const found = await loadSnapshot(context).load(isUuid(id) ? id : idOfType('Snapshot', id), STATE_NEEDS)
  if (!found) throw new AppError('NOT_FOUND', 'There is no such snapshot')
  return found
}

builder.objectFields(StepComparisonRef, (t) => ({
  diff: t.field({
    type: SnapshotDiffRef,
    nullable: true,
    description:
      'What leads from the newest state of the first run to that of the second; null where not both have one.',
    resolve: async ({ base, other }, _args, context) => {
      if (!base?.newest || !other?.newest) return null
      const load = (id: string) => loadSnapshot(context).load(id, STATE_NEEDS)
      const [from, to] = await Promise.all([load(base.newest.snapshotId), load(other.newest.snapshotId)])
      return from && to && { from, to, pointer: '' }
    },
  }),
}))
