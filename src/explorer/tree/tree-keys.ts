import type { KeyMap } from '../parts/keys.ts'
import { notify } from '../parts/notices.tsx'
import type { TreeController } from './controller.ts'

export interface TreeKeysOptions {
  readonly tree: TreeController
  /** Rows of a page. */
  readonly page: number
  readonly onChoose?: ((row: number) => void) | undefined
}

/** What the keys do while the tree has the focus. */
export function treeKeys({ tree, page, onChoose }: TreeKeysOptions): KeyMap {
  const move = (rows: number) => tree.activate(tree.active.peek() + rows)
  return {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    ArrowRight: () => enter(tree),
    ArrowLeft: () => leave(tree),
    PageDown: () => move(page),
    PageUp: () => move(-page),
    Home: () => tree.activate(0),
    End: () => tree.activate(tree.rowCount.peek() - 1),
    ' ': () => tree.toggle(tree.active.peek()),
    Enter() {
      tree.toggle(tree.active.peek())
      onChoose?.(tree.active.peek())
    },
  }
}

/** The letters, which do the same wherever the focus is. */
export function treeLetters(tree: TreeController): KeyMap {
  const levels = Array.from({ length: 9 }, (_, index) => [String(index + 1), () => fold(tree, index + 1)] as const)
  return {
    j: () => tree.activate(tree.active.peek() + 1),
    k: () => tree.activate(tree.active.peek() - 1),
    l: () => enter(tree),
    h: () => leave(tree),
    '*': () => void tree.openSiblings(tree.active.peek()),
    ...Object.fromEntries(levels),
  }
}

function enter(tree: TreeController): void {
  const active = tree.active.peek()
  if (tree.rowAt(active).isOpen) tree.activate(active + 1)
  else tree.open(active)
}

function leave(tree: TreeController): void {
  const active = tree.active.peek()
  if (active > 0 && tree.rowAt(active).isOpen) tree.close(active)
  else tree.activate(tree.parentRow(active))
}

async function fold(tree: TreeController, level: number): Promise<void> {
  if (await tree.foldTo(level)) notify('Some are left closed: at most 100 are opened at once')
}
