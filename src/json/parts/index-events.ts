import {
  FRAME_CHILD,
  FRAME_ORDINAL,
  FRAME_SIZE,
  FRAME_START,
  NOTE_CHILD,
  NOTE_CONTAINER,
  NOTE_GROUP,
  NOTE_SCALAR,
} from '../wasm/noted.ts'
import type { Note, NoteState } from './notes.ts'

/** What happens at a byte; in this order where two fall on one. */
export const OPENS = 0
export const CHILD_BEGINS = 1
export const CHILD_ENDS = 2
export const GROUP_ENDS = 3
export const CLOSES = 4

/** Something about a container of at least a unit. A group may also end in one that closes before it is so large. */
export interface IndexEvent {
  /** The bracket or the comma. */
  readonly at: number
  readonly what: number
  readonly depth: number
  /** Of the container. */
  readonly start: number
  /** Of the child behind the comma; of what closes, the number of children. */
  readonly ordinal: number
}

/** Brings notes into the order of the document. That a container or a child is large is known a unit behind its beginning. */
export interface IndexEvents {
  note(note: Note): void
  /** Looks at what is open. Everything is known then that happens up to a unit before this place. */
  look(state: NoteState): void
  /** Those before an offset, once. */
  takeBefore(offset: number): readonly IndexEvent[]
  /** Start and end of each, in pairs. */
  readonly scalars: readonly number[]
}

export function createIndexEvents(unit: number): IndexEvents {
  /** For each depth where the container starts that was told last, and its child. */
  const opened: number[] = []
  const begun: number[] = []
  const scalars: number[] = []
  let waiting: IndexEvent[] = []

  function opens(depth: number, start: number): void {
    if (opened[depth] === start) return
    opened[depth] = start
    waiting.push({ at: start, what: OPENS, depth, start, ordinal: 0 })
  }

  function begins(depth: number, start: number, child: { readonly from: number; readonly ordinal: number }): void {
    if (begun[depth] === child.from) return
    begun[depth] = child.from
    if (child.ordinal === 0) return
    waiting.push({ at: child.from - 1, what: CHILD_BEGINS, depth, start, ordinal: child.ordinal })
  }

  return {
    scalars,
    note([kind, depth, start, ...rest]) {
      const [from, end, ordinal] = rest
      if (kind === NOTE_GROUP) waiting.push({ at: from, what: GROUP_ENDS, depth, start, ordinal: end })
      else if (kind === NOTE_SCALAR) scalars.push(start, from)
      else if (kind === NOTE_CHILD) {
        begins(depth, start, { from, ordinal })
        if (end > 0) waiting.push({ at: end, what: CHILD_ENDS, depth, start, ordinal: ordinal + 1 })
      } else if (kind === NOTE_CONTAINER) {
        opens(depth, start)
        waiting.push({ at: from - 1, what: CLOSES, depth, start, ordinal: end })
      }
    },

    look({ frames, depth: open, offset }) {
      for (let level = 0; level < open; level++) {
        const frame = level * FRAME_SIZE
        const start = frames[frame + FRAME_START] ?? 0
        const from = frames[frame + FRAME_CHILD] ?? 0
        if (offset - start < unit) return
        opens(level + 1, start)
        if (offset - from >= unit) begins(level + 1, start, { from, ordinal: frames[frame + FRAME_ORDINAL] ?? 0 })
      }
    },

    takeBefore(offset) {
      waiting.sort((one, other) => one.at - other.at || one.what - other.what)
      const behind = waiting.findIndex(({ at }) => at >= offset)
      const taken = behind === -1 ? waiting : waiting.slice(0, behind)
      waiting = behind === -1 ? [] : waiting.slice(behind)
      return taken
    },
  }
}
