import type { Compared } from './compared.ts'
import { bytesIn, bytesOf } from './patch.ts'
import type { PathStep } from './path.ts'
import type { Side } from './side.ts'
import { childrenOf, type Item } from './source.ts'

/** A larger object is not looked through for a null: it is taken to have one. */
const LOOK_MAX_BYTES = 16 * 2 ** 20

/** One member that a merge patch sets; null where it takes it away. */
interface Setting {
  /** Canonical texts of the keys that lead to it. */
  readonly keys: readonly string[]
  readonly item: Item | null
}

/**
 * A patch of RFC 7396, in pieces: members that changed, and arrays whole. It is looked through before its first piece.
 * @returns null where there are no words for it: a null takes a member away, so that none can be set to null.
 */
export async function mergePatchOf(compared: Compared): Promise<AsyncGenerator<Buffer> | null> {
  const { to, fromRoot, toRoot } = compared
  if (toRoot.type !== 'OBJECT') return bytesIn(to.document, toRoot)
  const root = await to.itemAt(toRoot)
  if (fromRoot.type !== 'OBJECT') return (await hasNullMember(root, to)) ? null : bytesIn(to.document, toRoot)
  for await (const { item } of settingsOf(compared)) if (item && (await isUnsayable(item, to))) return null
  return written(settingsOf(compared), to)
}

async function* settingsOf({ walk }: Compared): AsyncGenerator<Setting> {
  const { events } = await walk({ crossing: 'apart' })
  let array: Item | undefined
  for await (const event of events) {
    if (event.op === 'INEXACT' || event.op === 'STOPPED') continue
    const steps: PathStep[] = []
    for (let at = event.place; at; at = at.parent) steps.unshift(at)
    const first = steps.findIndex(({ step }) => typeof step === 'number')
    const outer = first === -1 ? undefined : steps[first - 1]?.item
    if (outer && outer === array) continue
    array = outer
    const keys = (first === -1 ? steps : steps.slice(0, first)).map(({ step }) => String(step))
    yield { keys, item: outer ?? event.to?.item ?? null }
  }
}

async function isUnsayable(item: Item, side: Side): Promise<boolean> {
  return item.text === 'null' || (await hasNullMember(item, side))
}

/** Whether there is a null in it that is no element of an array. */
async function hasNullMember(item: Item, side: Side): Promise<boolean> {
  const { hole, text, start, end } = item
  if (hole?.node?.type === 'OBJECT') {
    if (end - start > LOOK_MAX_BYTES) return true
    const bytes = await side.document.read(start, end)
    const source = { text: bytes.toString('latin1'), start, holes: [] }
    return await hasNullMember({ ...item, text: source.text, source, at: 0, hole: null }, side)
  }
  if (hole || !text.startsWith('{')) return false
  for (const child of childrenOf(item)) if (await isUnsayable(child, side)) return true
  return false
}

async function* written(settings: AsyncIterable<Setting>, side: Side): AsyncGenerator<Buffer> {
  let open: readonly string[] = []
  let text = '{'
  for await (const { keys, item } of settings) {
    const path = keys.slice(0, -1)
    const shared = path.findIndex((key, i) => key !== open[i])
    const depth = Math.min(shared === -1 ? path.length : shared, open.length)
    text += '}'.repeat(open.length - depth)
    if (!text.endsWith('{')) text += ','
    for (const key of path.slice(depth)) text += `${key}:{`
    yield Buffer.from(`${text}${keys.at(-1)}:`, 'latin1')
    if (item) yield* bytesOf(item, side)
    else yield Buffer.from('null')
    open = path
    // The end of what was set before.
    text = ''
  }
  yield Buffer.from(`${text}${'}'.repeat(open.length + 1)}`)
}
