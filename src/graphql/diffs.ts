import { hash } from 'node:crypto'
import type { Trail } from '../json/diff/walk.ts'
import { type CursorCheck, decodeCursor, encodeCursor, MAX_PAGE_SIZE } from '../model/page.ts'
import type { Asked } from '../snapshots/views/parts.ts'
import { DIFF_LIMITS, numbersOf, openStateDiff, type StateDiff, trailOf } from '../snapshots/views/state-diff.ts'
import type { StateDocument } from '../snapshots/views/state-document.ts'
import type { Context } from './context.ts'
import { type PartNode, requirePage, toPartConnection } from './parts.ts'

/** Two states on their way through one answer. */
export interface DiffNode {
  readonly from: Asked | null
  readonly to: Asked
  readonly pointer: string
}

interface Opened {
  readonly diff: StateDiff
  readonly from: StateDocument | null
  readonly to: StateDocument
}

const opened = new WeakMap<DiffNode, Promise<Opened>>()

/** Once for all fields of it. */
function open(node: DiffNode, { parts }: Context): Promise<Opened> {
  const known = opened.get(node)
  if (known) return known
  const opening = (async () => {
    const [from, to] = await Promise.all([node.from && parts.open(node.from), parts.open(node.to)])
    return { diff: await openStateDiff({ from, to, pointer: node.pointer }), from, to }
  })()
  opened.set(node, opening)
  return opening
}

/** Asks the difference of two states something, when that has its turn. */
export async function askDiff<T>(node: DiffNode, context: Context, ask: (diff: StateDiff) => Promise<T>): Promise<T> {
  const { diff } = await open(node, context)
  return await context.parts.inTurn(() => ask(diff))
}

export interface ChangesArgs {
  readonly first?: number | null
  readonly after?: string | null
}

const LIST = 'changes'
const NUMBERS: CursorCheck = /^(\d{1,12}(\.\d{1,12})*)?$/

/** A page of the changes of a pair of states. @throws AppError `BAD_REQUEST` for a cursor of others, or of another place of them. */
export async function pageOfChanges(node: DiffNode, args: ChangesArgs, context: Context) {
  const first = args.first ?? MAX_PAGE_SIZE
  requirePage({ first })
  const { diff, from, to } = await open(node, context)
  const ids = JSON.stringify([node.from?.snapshotId ?? null, node.to.snapshotId, diff.name])
  const binding = hash('sha256', ids, 'base64url').slice(0, 22)
  const encode = (trail: Trail) => encodeCursor(LIST, [binding, numbersOf(trail).join('.')])
  const after = args.after == null ? null : readCursor(args.after, binding)
  const before = diff.bytesRead()
  const page = await context.parts.inTurn(() => diff.changes({ ...DIFF_LIMITS, first, after }))
  const partOf = (snapshot: Asked | null, document: StateDocument | null, place: PartNode['place'] | null) =>
    place && snapshot && document && { snapshot, version: document.version, place }
  const edges = page.changes.map(({ op, pointer, fromPointer, trail, ...change }) => ({
    cursor: encode(trail),
    node: {
      op,
      pointer,
      fromPointer,
      before: partOf(node.from, from, change.before),
      after: partOf(node.to, to, change.after),
    },
  }))
  const endCursor = page.end ? encode(page.end) : undefined
  return {
    ...toPartConnection(edges, { hasNextPage: page.hasNext, hasPreviousPage: after !== null, endCursor }),
    isTruncated: page.isTruncated,
    isApproximate: page.isApproximate,
    bytesRead: diff.bytesRead() - before,
  }
}

function readCursor(cursor: string, binding: string): Trail | null {
  const isBound: CursorCheck = { test: (part) => part === binding }
  const [, numbers = ''] = decodeCursor(LIST, cursor, [isBound, NUMBERS])
  return trailOf(numbers === '' ? [] : numbers.split('.').map(Number))
}
