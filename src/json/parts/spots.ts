import { AppError } from '../../errors.ts'
import type { CheckedBytes } from './checked-bytes.ts'
import { createEntryTexts, type EntryRange, type EntryTexts } from './entry-texts.ts'
import type { IndexEntry, IndexNode, JsonIndex } from './json-index.ts'
import type { TextValue, TextWalker } from './json-text.ts'
import { unescapeText } from './key-text.ts'
import type { JsonType, Place } from './place.ts'
import { childPointer } from './pointer.ts'

/** Longer keys are not read. */
const KEY_MAX_BYTES = 1024 * 1024

/** A place, and what is known of the inside of a container: its node, or the text that it stands in. */
export interface Spot extends Place {
  readonly ordinal: number
  readonly node: IndexNode | null
  readonly text: TextWalker | null
}

/** What a child is called. */
interface Name {
  readonly key: string | null
  readonly index: number | null
  readonly ordinal: number
}

/** Makes spots out of what was read, and reads what they need. */
export interface Spots {
  readonly texts: EntryTexts
  root(): Promise<Spot>
  /** The child of a node that an entry is, if the index tells all of it. */
  known(parent: Spot, entry: IndexEntry): Spot | null
  /** At once, unless its key is so long that it must be read. */
  inText(parent: Spot, text: TextWalker, value: TextValue): Spot | Promise<Spot>
  /** Between its quotes. */
  keySource(text: TextWalker, value: TextValue): Buffer | Promise<Buffer>
}

interface Options {
  readonly index: Pick<JsonIndex, 'top' | 'scalars'>
  readonly checked: CheckedBytes
}

export function createSpots({ index, checked }: Options): Spots {
  const texts = createEntryTexts(checked, index.scalars)

  function keySource(text: TextWalker, { keyStart, keyEnd }: TextValue): Buffer | Promise<Buffer> {
    const range = { start: keyStart + 1, end: keyEnd - 1 }
    return text.bytes(range.start, range.end) ?? longKey(range)
  }

  async function longKey(range: { readonly start: number; readonly end: number }): Promise<Buffer> {
    const sizeBytes = range.end - range.start
    if (sizeBytes > KEY_MAX_BYTES) {
      throw new AppError(
        'PAYLOAD_TOO_LARGE',
        `A key has ${sizeBytes} bytes, more than the ${KEY_MAX_BYTES} that are read`,
      )
    }
    const [bytes = Buffer.alloc(0)] = await checked.take([range])
    return bytes
  }

  return {
    texts,
    keySource,

    async root() {
      const { top } = index
      const node = top.node?.depth === 1 ? top.node : null
      if (node) return { ...ROOT, ...spotOfNode(node) }
      const [text] = await texts.load([top as EntryRange])
      if (!text) throw new RangeError('One text was asked for')
      return { ...ROOT, ...spotOfValue(text.value()), text }
    },

    known(parent, entry) {
      const { node, key, ordinal } = entry
      if (entry.count !== 1 || node?.depth !== (parent.node?.depth ?? 0) + 1) return null
      if (parent.type === 'ARRAY')
        return { ...nameIn(parent, { key: null, index: ordinal, ordinal }), ...spotOfNode(node) }
      return key && { ...nameIn(parent, { key: unescapeText(key), index: null, ordinal }), ...spotOfNode(node) }
    },

    inText(parent, text, value) {
      const { ordinal } = value
      const spot = { ...spotOfValue(value), text }
      if (parent.type === 'ARRAY') return { ...nameIn(parent, { key: null, index: ordinal, ordinal }), ...spot }
      const named = (source: Buffer) => ({
        ...nameIn(parent, { key: unescapeText(source), index: null, ordinal }),
        ...spot,
      })
      const source = keySource(text, value)
      return source instanceof Promise ? source.then(named) : named(source)
    },
  }
}

const ROOT = { pointer: '', key: null, index: null, ordinal: 0 }

function nameIn(parent: Place, name: Name): Name & { readonly pointer: string } {
  return { ...name, pointer: childPointer(parent.pointer, name.key ?? name.index ?? 0) }
}

function spotOfNode(node: IndexNode): SpotValue {
  const { type, start, end, childCount } = node
  return { type, start, end, sizeBytes: end - start, childCount, node, text: null }
}

function spotOfValue({ type, start, end, childCount, node }: TextValue): SpotValue {
  return { type, start, end, sizeBytes: end - start, childCount, node, text: null }
}

type SpotValue = Pick<Spot, 'start' | 'end' | 'sizeBytes' | 'childCount' | 'node' | 'text'> & {
  readonly type: JsonType
}
