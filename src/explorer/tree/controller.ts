import type { ReadonlySignal } from '@preact/signals'
import type { Fault } from '../api/fault.ts'
import type { Place, TreeSource } from './source.ts'

export interface RowView {
  readonly row: number
  /** Undefined while its page is on its way, or where that failed. */
  readonly place: Place | undefined
  readonly fault: Fault | undefined
  /** 0 of the row that the tree begins with. */
  readonly depth: number
  /** 1 of the state's own root. */
  readonly level: number
  readonly ordinal: number
  /** Children of the same container; null while nobody has counted them. */
  readonly siblings: number | null
  readonly isOpen: boolean
}

/** One tree: what is open, and where one is. */
export interface TreeController {
  readonly source: TreeSource
  /** Counts up with every change of the rows. */
  readonly revision: ReadonlySignal<number>
  readonly rowCount: ReadonlySignal<number>
  readonly active: ReadonlySignal<number>
  readonly activePlace: ReadonlySignal<Place | undefined>
  /** Why there is no root. */
  readonly fault: ReadonlySignal<Fault | undefined>
  /** Whether it is on its way to a pointer. */
  readonly isRevealing: ReadonlySignal<boolean>
  /** Where the tree begins: below the state's root where a place lies too deep, or too far behind others. */
  readonly rootPointer: ReadonlySignal<string>
  rowAt(row: number): RowView
  /** Rows of the containers that this one lies in, the outermost first. */
  ancestorsOf(row: number): number[]
  /** Asks for what these rows show. */
  want(from: number, to: number): void
  activate(row: number): void
  toggle(row: number): void
  open(row: number): void
  close(row: number): void
  /** Row of the container that it lies in; -1 of the root. */
  parentRow(row: number): number
  /** Opens what lies beside it. @returns how many were opened. */
  openSiblings(row: number): number
  /** Opens everything above the level, and closes the rest. @returns whether some were left closed. */
  foldTo(level: number): Promise<boolean>
  /** Opens what leads to a pointer, and activates its row. @returns the row; -1 where it failed, with the fault set. */
  reveal(pointer: string): Promise<number>
  /** Pointers of open containers below the root, each after the one that it lies in; at most so many. */
  openPointers(most: number): readonly string[]
  /** Reads what is in view where the tree begins, and around the active row. */
  settle(): Promise<void>
  retry(): void
  /** Shows a failure beside the rows that are there. */
  tell(fault: Fault): void
  dispose(): void
}
