import { createGrants } from './grants.ts'
import { CHILD_BEGINS, CLOSES, createIndexEvents, GROUP_ENDS, type IndexEvent, OPENS } from './index-events.ts'
import type { IndexEntry, IndexNode, JsonIndex } from './json-index.ts'
import type { Note, NoteState } from './notes.ts'
import { createRunHasher } from './run-hasher.ts'

type OpenEntry = { -readonly [Key in keyof IndexEntry]: IndexEntry[Key] }

/** A node that is not whole yet. */
interface Growing {
  readonly entries: IndexEntry[]
  open: OpenEntry
}

/** An open container of at least a unit. It becomes a node with the first cut in it. */
interface Container {
  readonly depth: number
  readonly start: number
  readonly isObject: boolean
  readonly firstKey: Buffer | null
  node: Growing | null
}

/** Makes an index out of a document and the notes about it. What it makes depends on the document alone, however that is cut. */
export interface IndexBuilder {
  /** Takes the next bytes, at most a unit of them. */
  push(bytes: Uint8Array): void
  note(note: Note): void
  /** Once what was pushed is noted. */
  follow(state: NoteState): void
  end(state: NoteState): JsonIndex
}

const OBJECT = 0x7b
const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Longer keys are left in the document. */
const KEY_MAX_BYTES = 64
const KEY_LOOK_BYTES = 256

export function createIndexBuilder(unit: number): IndexBuilder {
  const hasher = createRunHasher(unit)
  const events = createIndexEvents(unit)
  const grants = createGrants(unit)
  const containers: Container[] = []
  const top: OpenEntry = { ...entryFrom(0, 0), count: 1 }
  /** The last entry of the node that closed last, until a run ends: that one is its. */
  let closed: OpenEntry | null = null

  /** What is filled now. */
  function filling(): OpenEntry {
    for (let level = containers.length - 1; level >= 0; level--) {
      const node = containers[level]?.node
      if (node) return node.open
    }
    return top
  }

  function takeRun(): void {
    const entry = closed ?? filling()
    if (entry.runCount === 0) entry.firstRun = hasher.count() - 1
    entry.runCount++
    closed = null
  }

  /** What lies in it so far was of the entry around it, and becomes its first one's. */
  function becomeNode(container: Container): Growing {
    const around = filling()
    const { firstRun, runCount, node } = around
    Object.assign(around, { firstRun: 0, runCount: 0, node: null })
    const open = { ...entryFrom(container.start + 1, 0), key: container.firstKey, firstRun, runCount, node }
    container.node = { entries: [], open }
    return container.node
  }

  function finishEntry({ entries, open }: Growing, { at, ordinal }: IndexEvent): void {
    open.to = at
    open.count = ordinal - open.ordinal
    if (open.key && (open.count > 1 || !grants.key(open.key.length, at))) open.key = null
    entries.push(open)
  }

  /** The key that comes first behind a bracket or comma, if it is short and no more than some whitespace is before it. */
  function keyAt(start: number): Buffer | null {
    // Not more than is there however the document is cut.
    const bytes = hasher.bytesAt(start, start + Math.min(KEY_LOOK_BYTES, unit))
    const from = bytes.indexOf(QUOTE) + 1
    for (let at = from; from > 0 && at < Math.min(bytes.length, from + KEY_MAX_BYTES + 1); at++) {
      if (bytes[at] === BACKSLASH) at++
      else if (bytes[at] === QUOTE) return Buffer.from(bytes.subarray(from, at))
    }
    return null
  }

  function cut(container: Container, event: IndexEvent): void {
    const node = container.node ?? becomeNode(container)
    const next = event.at + 1
    hasher.advance(next, takeRun)
    hasher.cut()
    takeRun()
    finishEntry(node, event)
    node.open = { ...entryFrom(next, event.ordinal), key: container.isObject ? keyAt(next) : null }
  }

  /** Where cuts that are not needed would be near to others, they are granted, or left out with all that they would have told. */
  function isCut({ node, start }: Container, { at, what }: IndexEvent): boolean {
    if (node && node.open.from > at) return false
    if (node || what === GROUP_ENDS) return true
    // Otherwise one entry would hold two nodes.
    if (what === CHILD_BEGINS && (filling().node?.start ?? -1) > start) return true
    return at + 1 - hasher.from() >= unit / 2 || grants.node(at)
  }

  function close({ node: growing, ...container }: Container, event: IndexEvent): void {
    containers.pop()
    if (!growing) return
    finishEntry(growing, event)
    const { depth, start, isObject } = container
    const node: IndexNode = {
      type: isObject ? 'OBJECT' : 'ARRAY',
      depth,
      start,
      end: event.at + 1,
      childCount: event.ordinal,
      entries: growing.entries,
    }
    filling().node = node
    closed ??= growing.open
  }

  function handle(event: IndexEvent): void {
    const { what, depth, start } = event
    if (what === OPENS) {
      const isObject = hasher.byteAt(start) === OBJECT
      const firstKey = isObject ? keyAt(start + 1) : null
      containers.push({ depth, start, isObject, firstKey, node: null })
      return
    }
    const container = containers.at(-1)
    if (container?.start !== start) return
    if (what === CLOSES) close(container, event)
    else if (isCut(container, event)) cut(container, event)
  }

  function build(to: number): void {
    for (const event of events.takeBefore(to)) {
      hasher.advance(event.at, takeRun)
      handle(event)
    }
    hasher.advance(to, takeRun)
  }

  return {
    push: (bytes) => hasher.push(bytes),
    note: (note) => events.note(note),
    follow(state) {
      events.look(state)
      if (state.offset > unit) build(state.offset - unit)
    },
    end({ offset }) {
      build(offset)
      hasher.cut()
      takeRun()
      top.to = offset
      return { unitBytes: unit, sizeBytes: offset, runs: hasher.runs(), top, scalars: new Float64Array(events.scalars) }
    },
  }
}

function entryFrom(from: number, ordinal: number): OpenEntry {
  return { from, to: from, ordinal, count: 0, key: null, node: null, firstRun: 0, runCount: 0 }
}
