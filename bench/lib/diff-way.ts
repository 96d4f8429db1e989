import { open, readFile } from 'node:fs/promises'
import { openDiff } from '../../src/json/diff/diff.ts'
import type { DiffDocument } from '../../src/json/diff/side.ts'
import { openDocument } from '../../src/json/parts/document.ts'
import { decodeIndex } from '../../src/json/parts/index-codec.ts'

/*
 * One way to compare two documents, in a process of its own: `node bench/lib/diff-way.ts <way> <from> <to>`. Prints what it took.
 */
export interface WayResult {
  readonly changes: number
  /** Of the process, from where it had loaded its modules. */
  readonly cpuMillis: number
  readonly peakMegabytes: number
  /** Bytes of the old and of the new document that were read. */
  readonly readBytes: readonly [number, number]
  readonly reads: number
  /** Whether the page ended before everything was compared. */
  readonly isTruncated: boolean
}

type Compared = Pick<WayResult, 'changes' | 'readBytes' | 'reads' | 'isTruncated'>

const PAGE = { first: 1000, maxBytes: 32 * 2 ** 20, maxMillis: 5000 }

async function byIndex(paths: readonly [string, string]): Promise<() => Promise<Compared>> {
  return async () => {
    const [from, to] = await Promise.all(paths.map(openCounted))
    if (!from || !to) throw new Error('two documents are compared')
    const diff = openDiff({ from, to })
    const { changes, isTruncated } = await diff.changes(PAGE)
    const readBytes = [from.counts.bytes, to.counts.bytes] as const
    await Promise.all([from.close(), to.close()])
    return { changes: changes.length, readBytes, reads: from.counts.reads + to.counts.reads, isTruncated }
  }
}

async function openCounted(path: string) {
  const file = await open(path)
  const { size: sizeBytes } = await file.stat()
  const index = decodeIndex(await readFile(`${path}.index`), { sizeBytes, digest: path })
  const counts = { bytes: 0, reads: 0 }
  const read: DiffDocument['read'] = async (start, end) => {
    counts.bytes += end - start
    counts.reads++
    return (await file.read(Buffer.allocUnsafe(end - start), 0, end - start, start)).buffer
  }
  const stream = (): never => {
    throw new Error('nothing is streamed')
  }
  const place = await openDocument({ index, sizeBytes, read, stream }).at('')
  counts.bytes = 0
  counts.reads = 0
  return { document: { sizeBytes, index, read }, place, counts, close: () => file.close() }
}

/** What a library is asked, once both documents are parsed. */
const LIBRARIES: Readonly<Record<string, () => Promise<(from: unknown, to: unknown) => number>>> = {
  'JSON.parse alone': async () => () => 0,
  async jsondiffpatch() {
    const { create } = await import('jsondiffpatch')
    const objectHash = (item: object) => ('id' in item ? String(item.id) : JSON.stringify(item))
    const differ = create({ objectHash, arrays: { detectMove: true } })
    return (from, to) => JSON.stringify(differ.diff(from, to) ?? '').length
  },
  async microdiff() {
    const { default: diff } = await import('microdiff')
    return (from, to) => diff(from as object, to as object).length
  },
  async 'json-diff-ts'() {
    const { diff } = await import('json-diff-ts')
    return (from, to) => diff(from as object, to as object, { embeddedObjKeys: { messages: 'id' } }).length
  },
}

async function byLibrary(name: string, paths: readonly [string, string]): Promise<() => Promise<Compared>> {
  const compare = await LIBRARIES[name]?.()
  if (!compare) throw new Error(`There is no way ${name}`)
  return async () => {
    const texts = await Promise.all(paths.map((path) => readFile(path)))
    const [from, to] = texts.map((text) => JSON.parse(text.toString()))
    const readBytes = [texts[0]?.length ?? 0, texts[1]?.length ?? 0] as const
    return { changes: compare(from, to), readBytes, reads: 2, isTruncated: false }
  }
}

const [way = '', from = '', to = ''] = process.argv.slice(2)
const run = await (way === 'statelens' ? byIndex([from, to]) : byLibrary(way, [from, to]))
const before = process.cpuUsage()
const compared = await run()
const { user, system } = process.cpuUsage(before)
const result: WayResult = {
  ...compared,
  cpuMillis: (user + system) / 1000,
  peakMegabytes: process.resourceUsage().maxRSS / 1000,
}
process.stdout.write(JSON.stringify(result))
