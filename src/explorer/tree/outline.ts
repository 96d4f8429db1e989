import { isBelow } from '../pointer.ts'
import type { Place } from './source.ts'

/** A container whose children have rows. */
export interface Branch {
  readonly place: Place
  readonly parent: Branch | undefined
  /** Its place among the parent's children. */
  readonly ordinal: number
  readonly depth: number
  /** How many children have rows. */
  count: number
  /** Open children, by their ordinal. */
  readonly open: Map<number, Branch>
  /** Rows below it, those of open children included. */
  rows: number
}

/** One row: a child of a branch, or the root itself. */
export interface Spot {
  /** Undefined of the root. */
  readonly branch: Branch | undefined
  readonly ordinal: number
}

/** Which rows there are: arithmetic alone, whatever the number of children. Row 0 is the root. */
export interface Outline {
  readonly root: Branch
  readonly rowCount: number
  spotAt(row: number): Spot
  /** Row of a child; of the root without a branch. */
  rowOf(spot: Spot): number
  open(parent: Branch, ordinal: number, place: Place): Branch
  close(branch: Branch): void
  setCount(branch: Branch, count: number): void
}

export function createOutline(place: Place): Outline {
  const root = createBranch({ place, parent: undefined, ordinal: 0 })

  return {
    root,
    get rowCount() {
      return 1 + root.rows
    },
    spotAt: (row) => (row <= 0 ? { branch: undefined, ordinal: 0 } : spotBelow(root, Math.min(row, root.rows) - 1)),
    rowOf({ branch, ordinal }) {
      if (branch === undefined) return 0
      let row = 1 + offsetOf(branch, ordinal)
      for (let at = branch; at.parent !== undefined; at = at.parent) row += 1 + offsetOf(at.parent, at.ordinal)
      return row
    },
    open(parent, ordinal, opened) {
      const there = parent.open.get(ordinal)
      if (there) return there
      const branch = createBranch({ place: opened, parent, ordinal })
      parent.open.set(ordinal, branch)
      grow(parent, branch.rows)
      return branch
    },
    close(branch) {
      if (branch.parent === undefined) return
      branch.parent.open.delete(branch.ordinal)
      grow(branch.parent, -branch.rows)
    },
    setCount(branch, count) {
      const change = count - branch.count
      branch.count = count
      grow(branch, change)
    },
  }
}

function createBranch({ place, parent, ordinal }: Pick<Branch, 'place' | 'parent' | 'ordinal'>): Branch {
  // Where nobody has counted, one row stands for what comes.
  const count = place.childCount ?? 1
  return { place, parent, ordinal, depth: (parent?.depth ?? 0) + 1, count, open: new Map(), rows: count }
}

function grow(branch: Branch | undefined, rows: number): void {
  for (let at = branch; at !== undefined; at = at.parent) at.rows += rows
}

/** Rows of a branch before that child. */
function offsetOf(branch: Branch, ordinal: number): number {
  let offset = ordinal
  for (const [at, { rows }] of branch.open) if (at < ordinal) offset += rows
  return offset
}

function spotBelow(branch: Branch, row: number): Spot {
  let rest = row
  for (const [ordinal, child] of [...branch.open].sort(([one], [other]) => one - other)) {
    if (rest <= ordinal) break
    if (rest <= ordinal + child.rows) return spotBelow(child, rest - ordinal - 1)
    rest -= child.rows
  }
  return { branch, ordinal: rest }
}

/** The open container with that pointer. */
export function branchAt(root: Branch, pointer: string): Branch | undefined {
  if (root.place.pointer === pointer) return root
  for (const branch of root.open.values()) {
    if (branch.place.pointer === pointer) return branch
    if (isBelow(pointer, branch.place.pointer)) return branchAt(branch, pointer)
  }
  return undefined
}
