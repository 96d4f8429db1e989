import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createRandom } from '../../support/random.ts'
import { allPages, checkRandomDiff, diffOf, textOf, UNBOUNDED } from './differential.ts'
import { applyPatch, modelOf } from './reference.ts'

const LOOK = { ...UNBOUNDED, first: 1000 }
const PAGE = { maxBytes: 32 * 2 ** 20, maxMillis: 5000 }

/** What is told of two texts, in a few signs. */
async function told(from: unknown, to: unknown): Promise<string[]> {
  const text = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  const { changes } = await diffOf(text(from), text(to)).diff.changes(LOOK)
  return changes.map(({ op, pointer, fromPointer }) =>
    [op, pointer, fromPointer].filter((part) => part !== null).join(' '),
  )
}

const message = (id: number, content = `what message ${id} says`) => ({ id, role: 'user', content })
const WORDS = 'an agent that calls tools and reads what they say about the plan for today'.split(' ')
const sentence = (seed: number) => {
  const random = createRandom(seed)
  return Array.from({ length: 55 }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ')
}
/** A state as an agent has it, of about so many bytes. */
function stateOf(sizeBytes: number) {
  const messages = Array.from({ length: Math.round(sizeBytes / 330) }, (_, i) => message(i, `${i} ${sentence(i)}`))
  return { run: 'r1', messages, total: 5 }
}

describe('random pairs of documents', () => {
  for (const [name, seeds, grain] of [
    ['read whole', 20, {}],
    ['by fine indexes', 20, { unitBytes: 64 }],
    ['by coarser ones', 15, { unitBytes: 400 }],
    ['in small windows', 10, { unitBytes: 64, limits: { bytes: 2000, children: 20 } }],
  ] as const) {
    it(`differ as a plain reference says, ${name}`, async () => {
      let same = 0
      for (let seed = 0; seed < seeds; seed++) {
        const { isSame } = await checkRandomDiff(seed, grain)
        if (isSame) same++
      }
      assert.ok(same > seeds / 10)
    })
  }
})

describe('two documents', () => {
  it('are the same whatever their white space, order of keys, escapes, and ways to write a number', async () => {
    const from = '{"a":[1.0,100,-0,1e400,12345678901234567890],"b":"\\u0041\\/","c":0,"c":{"x":null,"y":[]}}'
    const to = ' { "c" : {"y":[ ],"x":null}, "b":"A/", "a":[ 1, 1e2, 0, 10E+399, 1.2345678901234567890e19 ] } '
    assert.deepEqual(await told(from, to), [])
    assert.deepEqual(await told('[12345678901234567890]', '[12345678901234567891]'), ['CHANGED /0'])
    assert.deepEqual(await told('"\\ud800"', '"\\ud801"'), ['CHANGED '])
  })

  it('are told apart member by member, in the order of the new one', async () => {
    const from = { gone: 1, kept: 2, changed: { deep: { a: 1, b: 2 } }, 'a/b': 1, type: [] }
    const to = { type: {}, 'a/b': 2, changed: { deep: { b: 3, a: 1 } }, kept: 2, new: 4 }
    assert.deepEqual(await told(from, to), [
      'REMOVED /gone',
      'CHANGED /type',
      'CHANGED /a~1b',
      'CHANGED /changed/deep/b',
      'ADDED /new',
    ])
  })

  it('have one change where one element was put at the front, taken away, or changed', async () => {
    const list = Array.from({ length: 50 }, (_, i) => i % 7)
    assert.deepEqual(await told(list, [9, ...list]), ['ADDED /0'])
    assert.deepEqual(await told(list, list.toSpliced(20, 1)), ['REMOVED /20'])
    assert.deepEqual(await told(list, list.with(20, 99)), ['CHANGED /20'])
  })

  it('have their objects paired by an id, wherever they stand', async () => {
    const from = [message(1), message(2), message(3)]
    const to = [message(3), message(9), message(1, 'something else'), { ...message(2), role: 'tool' }]
    assert.deepEqual(await told(from, to), ['ADDED /1', 'CHANGED /2/content /0/content', 'CHANGED /3/role /1/role'])
    const named = [
      { run_id: 'a', n: 1 },
      { run_id: 'b', n: 1 },
    ]
    assert.deepEqual(
      await told(named, [
        { run_id: 'b', n: 1 },
        { run_id: 'a', n: 2 },
      ]),
      ['CHANGED /1/n /0/n'],
    )
  })

  it('have the last of equal keys compared', async () => {
    assert.deepEqual(await told('{"a":1,"b":2,"a":3}', '{"a":9,"a":3,"b":2}'), [])
    assert.deepEqual(await told('{"a":1,"a":2}', '{"a":2,"a":1}'), ['CHANGED /a'])
  })
})

describe('large documents', () => {
  it('are read where they differ, and nowhere else', async () => {
    const from = stateOf(6_000_000)
    const middle = from.messages.length >> 1
    for (const [what, to, expected, most] of [
      [
        'one leaf',
        { ...from, messages: from.messages.with(middle, message(middle)) },
        [`CHANGED /messages/${middle}/content`],
        300_000,
      ],
      ['one in front', { ...from, messages: [message(-1), ...from.messages] }, ['ADDED /messages/0'], 300_000],
      [
        'two appended',
        { ...from, messages: [...from.messages, message(-1), message(-2)] },
        [`ADDED /messages/${2 * middle}`, `ADDED /messages/${2 * middle + 1}`],
        300_000,
      ],
      ['keys in another order', { total: 5, messages: from.messages, run: 'r1' }, [], 100],
    ] as const) {
      const { diff, old, made } = diffOf(Buffer.from(JSON.stringify(from)), Buffer.from(JSON.stringify(to)))
      const { changes, isTruncated } = await diff.changes({ ...PAGE, first: 100 })
      assert.deepEqual(
        changes.map(({ op, pointer }) => `${op} ${pointer}`),
        expected,
        what,
      )
      assert.equal(isTruncated, false)
      assert.ok(
        Math.max(old.read.bytes, made.read.bytes) <= most,
        `${what}: ${old.read.bytes} and ${made.read.bytes} bytes`,
      )
    }
  })

  it('have one change where one number was put before a million', async () => {
    const numbers = Array.from({ length: 1_000_000 }, (_, i) => i)
    const [from, to] = [numbers, [7, ...numbers]].map((list) => Buffer.from(JSON.stringify(list)))
    const { diff, old, made } = diffOf(from as Buffer, to as Buffer)
    const { changes, hasNext } = await diff.changes({ ...PAGE, first: 100 })
    assert.deepEqual(
      changes.map(({ op, pointer }) => `${op} ${pointer}`),
      ['ADDED /0'],
    )
    assert.equal(hasNext, false)
    assert.ok(old.read.bytes + made.read.bytes < 700_000)
  })

  it('that were turned round are told right, in pages that end by what they read', async () => {
    const numbers = Array.from({ length: 100_000 }, (_, i) => i)
    const [from, to] = [numbers, numbers.toReversed()].map((list) => Buffer.from(JSON.stringify(list)))
    const { diff } = diffOf(from as Buffer, to as Buffer)
    const page = await diff.changes({ first: 100, maxBytes: 500_000, maxMillis: UNBOUNDED.maxMillis })
    assert.deepEqual([page.changes.length, page.hasNext], [100, true])
    assert.ok(page.changes.every(({ op }) => op === 'MOVED'))
  })

  it('that say the same in other words are found to be the same, in pages that end by what they read', async () => {
    const state = stateOf(3_000_000)
    const plain = Buffer.from(JSON.stringify(state))
    const turned = state.messages.map(({ id, role, content }) => ({ content, role, id }))
    for (const other of [JSON.stringify(state, null, 10), JSON.stringify({ ...state, messages: turned })]) {
      const { diff } = diffOf(plain, Buffer.from(other), { limits: { bytes: 400_000, children: 10_000 } })
      const pages = await allPages(diff, { first: 100, maxBytes: 1_000_000 })
      assert.deepEqual(
        pages.flatMap(({ changes }) => changes),
        [],
      )
      assert.ok(pages.length > 1 && pages.slice(0, -1).every(({ isTruncated }) => isTruncated))
      assert.equal(await diff.isIdentical(PAGE), true)
    }
  })

  it('with more members than are held at once, in another order, make a patch that is right', async () => {
    const members = Array.from({ length: 1500 }, (_, i) => [`key ${i}`, 'x'.repeat(900)] as const)
    const from = Buffer.from(JSON.stringify(Object.fromEntries(members)))
    const to = Buffer.from(JSON.stringify(Object.fromEntries([...members.toReversed().slice(1), ['new', 1]])))
    const { diff } = diffOf(from, to, { limits: { bytes: 300_000, children: 1000 } })
    assert.deepEqual(applyPatch(modelOf(from), await textOf(diff.patch())), modelOf(to))
  })
})
