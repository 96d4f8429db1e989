import { randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Database } from '../../db/connect.ts'
import {
  addStateKeys,
  dropStateKeys,
  finishStateKeys,
  loadStateKeyHeads,
  loadStateKeys,
  type StateKeysName,
} from '../../db/queries/state-keys.ts'
import type { IndexNode, JsonIndex } from '../../json/parts/json-index.ts'
import { createKeyHash, type KeyHash, SEED_BYTES } from '../../json/parts/key-hash.ts'
import { readKeys } from '../../json/parts/key-pass.ts'
import { entriesOf, hashOfKey, type KeyHead, readKeyHead } from '../../json/parts/key-table.ts'
import type { IndexSubject } from './index-subject.ts'
import type { StateIndexes } from './state-indexes.ts'

/** Of one object in a state. */
export interface KeysSubject {
  readonly subject: IndexSubject
  readonly index: JsonIndex
  /** The object, in this index. */
  readonly node: IndexNode
}

/** Where the keys of large objects are, which their indexes do not keep: in the database. */
export interface KeyTables {
  /** Numbers of the entries in which a key may be; null where there is no table, or not all of it. @throws what the database rejects with. */
  find(of: KeysSubject, key: string): Promise<readonly number[] | null>
  /**
   * Makes the table of an object, unless it cannot be kept, as in a database that takes no writes: then little is read.
   * @param chunks all of its `unkeptRange`, checked.
   * @throws what the chunks throw.
   */
  make(of: KeysSubject, chunks: AsyncIterable<Buffer>): Promise<void>
}

/** Each may have 2 KiB. */
const HEADS_MAX = 1000

interface Table {
  readonly name: StateKeysName
  readonly head: KeyHead
  readonly hash: KeyHash
}

export function createKeyTables(db: Database, indexes: Pick<StateIndexes, 'has' | 'keep'>): KeyTables {
  const known = new LRUCache<string, Table>({ max: HEADS_MAX })

  async function look({ name, head, hash }: Table, key: Buffer): Promise<readonly number[] | null> {
    const wanted = hashOfKey(key, hash)
    const { bucket, partCount } = head.bucketOf(wanted)
    const parts = partCount === 0 ? [] : await loadStateKeys(db, name, bucket)
    return parts.length === partCount ? entriesOf(parts, wanted) : null
  }

  async function load({ subject, node }: KeysSubject): Promise<readonly Table[]> {
    const owner = { key: subject.key, container: node.start }
    const heads = await loadStateKeyHeads(db, owner)
    return heads.flatMap(({ seed, head: kept }) => {
      const head = readKeyHead(kept, node)
      return head && seed.length === SEED_BYTES ? [{ name: { ...owner, seed }, head, hash: createKeyHash(seed) }] : []
    })
  }

  /** @returns whether it is in the database, to its end. */
  async function write(name: StateKeysName, node: IndexNode, chunks: AsyncIterable<Buffer>): Promise<boolean> {
    const passing = readKeys(chunks, { node, hash: createKeyHash(name.seed) })
    let partCount = 0
    try {
      let next = await passing.next()
      for (; !next.done; next = await passing.next()) {
        if (!(await isDone(addStateKeys(db, name, next.value)))) return false
        partCount += next.value.length
      }
      return await finishStateKeys(db, name, { head: next.value, partCount }).catch(() => false)
    } finally {
      // Whoever leaves early lets go of what is read.
      await passing.return(Buffer.alloc(0))
    }
  }

  async function keepIndex(subject: IndexSubject, index: JsonIndex): Promise<void> {
    if (!(await indexes.has(subject))) await indexes.keep(subject, index)
  }

  return {
    async find(of, key) {
      const bytes = Buffer.from(key)
      const label = `${of.subject.key.toString('hex')} ${of.node.start}`
      const last = known.get(label)
      const found = last && (await look(last, bytes))
      if (found) return found
      known.delete(label)
      for (const table of await load(of)) {
        const entries = await look(table, bytes)
        if (!entries) continue
        known.set(label, table)
        return entries
      }
      return null
    },

    async make({ subject, index, node }, chunks) {
      const name = { key: subject.key, container: node.start, seed: randomBytes(SEED_BYTES) }
      let isMade = false
      try {
        isMade = (await isDone(keepIndex(subject, index))) && (await write(name, node, chunks))
      } finally {
        if (!isMade) await isDone(dropStateKeys(db, name))
      }
    },
  }
}

/** A reader does not fail with what could not be kept. */
async function isDone(keeping: Promise<void>): Promise<boolean> {
  return await keeping.then(
    () => true,
    () => false,
  )
}
