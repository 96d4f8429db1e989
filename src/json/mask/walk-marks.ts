import type { BlockScanner } from '../wasm/block-scanner.ts'
import type { Checked } from './marks.ts'
import type { MaskedParts } from './masked-parts.ts'
import type { Open } from './open-places.ts'
import type { PlaceTable } from './place-table.ts'
import type { Place } from './places.ts'

/** What a walk goes on with, and leaves behind. */
export interface Walked {
  readonly out: MaskedParts
  readonly opened: Open[]
  /** Of the value that comes next. */
  place: Place | null
}

let loaded: PlaceTable | undefined

export interface WalkTools {
  /** Has the marks, and the bytes that they are of. */
  readonly blocks: BlockScanner
  readonly table: PlaceTable
}

/**
 * Goes from mark to mark, and masks what begins and ends between them. It stops before the last mark, and before what takes more than
 * marks: `checked.next` is where.
 */
export function walkMarks(state: Walked, checked: Checked, { blocks, table }: WalkTools): void {
  const { opened, out } = state
  if (loaded !== table) blocks.table.set(table.bytes)
  loaded = table
  for (let i = 0; i < opened.length; i++) {
    const { place, index } = opened[i] as Open
    blocks.opened[2 * i] = table.numberOf(place)
    blocks.opened[2 * i + 1] = index
  }
  checked.next = blocks.walk(checked.next, table.numberOf(state.place), opened.length)
  state.place = table.places[blocks.placeAfter()] ?? null
  opened.length = blocks.openedAfter()
  for (let i = 0; i < opened.length; i++) {
    opened[i] = {
      place: table.places[blocks.opened[2 * i] as number] as Place,
      index: blocks.opened[2 * i + 1] as number,
    }
  }
  const hidden = blocks.hidden()
  if (hidden === 0) return
  const { from } = checked
  const bytes = blocks.output.subarray(0, blocks.outputSize())
  out.replace({ from: from + blocks.outputFrom(), to: from + blocks.outputTo() }, bytes, hidden)
}
