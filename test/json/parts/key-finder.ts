import type { KeyFinder } from '../../../src/json/parts/descent.ts'
import type { IndexNode } from '../../../src/json/parts/json-index.ts'
import type { KeyHash } from '../../../src/json/parts/key-hash.ts'
import { readKeys, unkeptRange } from '../../../src/json/parts/key-pass.ts'
import { entriesOf, hashOfKey, type KeyPart, readKeyHead } from '../../../src/json/parts/key-table.ts'

export interface KeyTable {
  readonly head: Buffer
  readonly parts: readonly KeyPart[]
}

async function* cut(bytes: Buffer, step: number): AsyncGenerator<Buffer> {
  // What is not kept may change afterwards.
  for (let at = 0; at < bytes.length; at += step) yield Buffer.from(bytes.subarray(at, at + step))
}

export interface MakeTableOptions {
  readonly hash: KeyHash
  /** Size of the chunks. */
  readonly step?: number
}

export async function makeKeyTable(bytes: Buffer, node: IndexNode, options: MakeTableOptions): Promise<KeyTable> {
  const { hash, step = 100 } = options
  const { start, end } = unkeptRange(node) ?? { start: 0, end: 0 }
  const passing = readKeys(cut(bytes.subarray(start, end), step), { node, hash })
  const parts: KeyPart[] = []
  let next = await passing.next()
  for (; !next.done; next = await passing.next()) parts.push(...next.value)
  return { head: next.value, parts }
}

/** As a table that is kept is looked into; null where it is of no use. */
export function lookInto(
  { head: kept, parts }: KeyTable,
  node: IndexNode,
  { key, hash }: { key: string; hash: KeyHash },
) {
  const head = readKeyHead(kept, node)
  const wanted = hashOfKey(Buffer.from(key), hash)
  const { bucket, partCount } = head?.bucketOf(wanted) ?? { bucket: 0, partCount: -1 }
  const found = parts.filter((part) => part.bucket === bucket).map(({ pairs }) => pairs)
  return found.length === partCount ? entriesOf(found, wanted) : null
}

/** Tables in memory; how many objects were read for them is counted. */
export function createMemoryKeys(bytes: Buffer, options: MakeTableOptions): KeyFinder & { readonly made: IndexNode[] } {
  const tables = new Map<IndexNode, KeyTable>()
  const made: IndexNode[] = []
  const find = async (node: IndexNode, key: string) => {
    const table = tables.get(node)
    return table ? lookInto(table, node, { key, hash: options.hash }) : null
  }
  return {
    made,
    find,
    async learn(node, key) {
      made.push(node)
      tables.set(node, await makeKeyTable(bytes, node, options))
      return await find(node, key)
    },
  }
}
