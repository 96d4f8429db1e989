import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { IndexNode, JsonIndex } from '../../../src/json/parts/json-index.ts'
import { createKeyHash, type KeyHash } from '../../../src/json/parts/key-hash.ts'
import { indexOf, open } from './documents.ts'
import { createMemoryKeys, lookInto, makeKeyTable } from './key-finder.ts'

const SEED = Buffer.from([0, 1, 2, 3, 4, 5, 6, 7])
const hash = createKeyHash(SEED)
const MANY = 5000

/** Each key and value as source text. */
function objectOf(members: readonly (readonly [key: string, value: unknown])[]): Buffer {
  return Buffer.from(`{${members.map(([key, value]) => `"${key}": ${value}`).join(', ')}}`)
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => [`key-${index}`, index] as const)

function nodeOf(index: JsonIndex): IndexNode {
  assert.ok(index.top.node)
  return index.top.node
}

function opened(bytes: Buffer, by: KeyHash = hash) {
  const index = indexOf(bytes, { unitBytes: 1024 })
  const keys = createMemoryKeys(bytes, { hash: by })
  const { document, reads } = open(bytes, index, { keys, searchBytes: 2048 })
  return { document, reads, keys, index, node: nodeOf(index) }
}

describe('the hash of a key', () => {
  it('is what others compute', () => {
    const told = (key: readonly number[]) => hash(Buffer.from(key)).toString(16)
    // Of the vectors of HalfSipHash with 64 bits, without the uppermost eleven.
    assert.equal(told([]), '1cb8b9591f8d21')
    assert.equal(told([0]), (BigInt('0x157338f8122455be') & 0x1fffffffffffffn).toString(16))
  })

  it('is another one by another seed', () => {
    assert.notEqual(createKeyHash(Buffer.alloc(8, 1))(Buffer.from('key')), hash(Buffer.from('key')))
  })
})

describe('a key of an object that is too large to be searched', () => {
  it('is found by one read once all keys are known, and an absent one by none', async () => {
    const { document, reads, keys } = opened(objectOf(numbered(MANY)))
    assert.equal((await document.at('/key-0')).sizeBytes, 1)
    assert.equal(keys.made.length, 1)
    for (const wanted of [1, 17, 2500, MANY - 1]) {
      reads.length = 0
      assert.equal(await document.preview(await document.at(`/key-${wanted}`)), String(wanted))
      assert.ok(reads.length <= 1, String(reads.length))
    }
    reads.length = 0
    await assert.rejects(document.at('/nowhere'), { code: 'POINTER_NOT_FOUND', details: { nearest: '' } })
    assert.deepEqual(reads, [])
    assert.equal(keys.made.length, 1)
  })

  it('is found near its end without that', async () => {
    const { document, keys } = opened(objectOf(numbered(MANY)))
    await document.at(`/key-${MANY - 1}`)
    assert.deepEqual(keys.made, [])
  })

  it('is the last one of equal keys, however they are written', async () => {
    const rest = numbered(MANY)
    const members = [...rest, ['\\u006bey-7', -1] as const, ...rest.slice(1000), ['\\ud83d', -2] as const]
    const { document } = opened(
      objectOf([['', -3], ['\\ud83d', 0], ['\\ud83d\\ude00', -4], ...members, ...rest.slice(3000)]),
    )
    for (const [pointer, value] of [
      ['/key-7', -1],
      ['/key-1500', 1500],
      ['/', -3],
      ['/\ud83d', -2],
      ['/\u{1f600}', -4],
    ] as const) {
      assert.equal(await document.preview(await document.at(pointer)), String(value), pointer)
    }
    await assert.rejects(document.at('/\ude00'), { code: 'POINTER_NOT_FOUND' })
    await assert.rejects(document.at('/\ufffd'), { code: 'POINTER_NOT_FOUND' })
  })

  it('is right as well where all hashes are equal, or some', async () => {
    for (const weak of [() => 0, (key: Uint8Array) => (key.at(-1) ?? 0) % 2, (key: Uint8Array) => hash(key) % 7]) {
      const { document } = opened(objectOf(numbered(MANY)), weak)
      for (const wanted of [0, 1, 1234]) {
        assert.equal(await document.preview(await document.at(`/key-${wanted}`)), String(wanted))
      }
      await assert.rejects(document.at('/nowhere'), { code: 'POINTER_NOT_FOUND' })
    }
  })

  it('may be as long as keys are read', async () => {
    const long = (letter: string) => letter.repeat(70_000)
    const members = [[long('a'), 1], ['before', 2], [long('b'), 3], ...numbered(MANY)] as const
    const { document } = opened(objectOf(members))
    assert.equal(await document.preview(await document.at(`/${long('a')}`)), '1')
    assert.equal(await document.preview(await document.at('/before')), '2')
    await assert.rejects(document.at(`/${long('c')}`), { code: 'POINTER_NOT_FOUND' })
  })

  it('is none of a value or of an object within', async () => {
    const within = numbered(MANY).map(
      ([key, value]) => [key, `{"inner": ["key", {"deep": "\\"a, \\\\"}], "x": ${value}}`] as const,
    )
    const { document } = opened(objectOf(within))
    for (const absent of ['inner', 'deep', 'key', 'x', 'a, ']) {
      await assert.rejects(document.at(`/${absent}`), { code: 'POINTER_NOT_FOUND' })
    }
    assert.equal(await document.preview(await document.at('/key-0/x')), '0')
  })
})

describe('a table of keys', () => {
  const bytes = objectOf(numbered(MANY))
  const index = indexOf(bytes, { unitBytes: 1024 })

  it('is of no use where a part of it is missing, or it is of an index that was cut elsewhere', async () => {
    const node = nodeOf(index)
    const table = await makeKeyTable(bytes, node, { hash })
    assert.ok(table.parts.length > 1)
    const every = numbered(MANY).map(([key]) => key)
    assert.ok(every.every((key) => lookInto(table, node, { key, hash })?.length === 1))
    const [first, ...rest] = table.parts
    const lost = every.filter((key) => lookInto({ ...table, parts: rest }, node, { key, hash }) === null)
    assert.equal(lost.length, (first?.pairs.length ?? 0) / 8)
    const other = nodeOf(indexOf(bytes, { unitBytes: 2048 }))
    assert.equal(lookInto(table, other, { key: 'key-1', hash }), null)
    assert.equal(lookInto({ ...table, head: table.head.subarray(1) }, node, { key: 'key-1', hash }), null)
  })

  it('has 8 bytes a key, and next to nothing for keys that are equal', async () => {
    const sizeOf = async (document: Buffer) => {
      const table = await makeKeyTable(document, nodeOf(indexOf(document, { unitBytes: 1024 })), { hash })
      return table.parts.reduce((sum, { pairs }) => sum + pairs.length, 0)
    }
    const unkept = (await sizeOf(bytes)) / 8
    assert.ok(unkept <= MANY && unkept > 0.9 * MANY, String(unkept))
    const same = await sizeOf(objectOf(numbered(MANY).map(([, value]) => ['the same', value] as const)))
    assert.ok(same < MANY, String(same))
  })
})
