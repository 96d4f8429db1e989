import { useEffect, useState } from 'preact/hooks'
import type { TreeController } from '../tree/controller.ts'
import { createTree } from '../tree/create-tree.ts'
import { createRemoteSource } from '../tree/remote-source.ts'
import type { SnapshotHead } from './state.tsx'

/** A state and its tree. */
export interface Prepared {
  readonly snapshot: SnapshotHead
  readonly tree: TreeController
}

/** Containers that are opened again in the next state: each may be a question. */
const KEPT_OPEN = 12

/**
 * The tree of a state. Of the next one it is there when its first rows are, with the same places open: until then the one before stays.
 * @param at where the next one has its active row.
 */
export function usePrepared(snapshot: SnapshotHead, at: string): Prepared {
  const { snapshotId } = snapshot
  const [shown, setShown] = useState<Prepared>(() => ({ snapshot, tree: createTree(createRemoteSource(snapshotId)) }))
  useEffect(() => {
    if (shown.snapshot.snapshotId === snapshotId) return
    const tree = createTree(createRemoteSource(snapshotId))
    let isShown = false
    let isOver = false
    takeOver(shown.tree, tree, at).then(() => {
      if (isOver) return
      isShown = true
      setShown({ snapshot, tree })
    })
    return () => {
      isOver = true
      if (!isShown) tree.dispose()
    }
  }, [snapshotId])
  useEffect(() => () => shown.tree.dispose(), [shown.tree])
  return shown.snapshot.snapshotId === snapshotId ? { ...shown, snapshot } : shown
}

async function takeOver(before: TreeController, next: TreeController, at: string): Promise<void> {
  const open = before.rootPointer.peek() === '' ? before.openPointers(KEPT_OPEN) : []
  for (const pointer of open) {
    const row = await next.reveal(pointer)
    if (row !== -1) next.open(row)
    // What is gone is passed over; what cannot be read now is not tried again and again.
    else if (next.fault.peek()?.code !== 'POINTER_NOT_FOUND') return
  }
  await reveal(next, at)
  await next.settle()
}

/** Where there is nothing at the pointer, its nearest place is shown behind the message that says so. @returns the row; -1. */
export async function reveal(tree: TreeController, pointer: string): Promise<number> {
  const row = await tree.reveal(pointer)
  const fault = tree.fault.peek()
  if (row !== -1 || fault?.detail.nearest === undefined) return row
  await tree.reveal(fault.detail.nearest)
  tree.tell(fault)
  return -1
}
