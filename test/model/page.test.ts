import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  CURSOR_INSTANT,
  CURSOR_INTEGER,
  CURSOR_TEXT,
  decodeCursor,
  encodeCursor,
  type PageArgs,
  parsePage,
  toPage,
} from '../../src/model/page.ts'

const BAD_REQUEST = { code: 'BAD_REQUEST' }
const LIST = 'runs'
const CHECKS = [CURSOR_INSTANT, CURSOR_TEXT]
const KEY = ['2026-04-12T02:00:00.123456Z', "run 1:'a'"]
const CURSOR = encodeCursor(LIST, KEY)

const NOTHING = { hasBefore: false, hasBehind: false, counted: null }

const parse = (args: PageArgs) => parsePage(LIST, args, CHECKS)

describe('a cursor', () => {
  it('gives back the position that it was made of', () => {
    assert.deepEqual(decodeCursor(LIST, CURSOR, CHECKS), KEY)
    assert.match(CURSOR, /^[\w-]+$/)
  })

  it('is refused by every other list', () => {
    assert.throws(() => decodeCursor('steps', CURSOR, CHECKS), BAD_REQUEST)
    assert.throws(() => decodeCursor(LIST, CURSOR, [CURSOR_INSTANT]), BAD_REQUEST)
    assert.throws(() => decodeCursor(LIST, CURSOR, [CURSOR_INTEGER, CURSOR_TEXT]), BAD_REQUEST)
  })

  it('data 1.13: holds moments that RFC 3339 cannot say, and 1.19: numbers of 64 bits', () => {
    for (const at of ['infinity', '-infinity', '12026-01-01T00:00:00Z', '0044-03-15T12:00:00Z BC']) {
      const key = [at, 'run']
      assert.deepEqual(decodeCursor(LIST, encodeCursor(LIST, key), CHECKS), key)
    }
    const decode = (seq: string) => decodeCursor(LIST, encodeCursor(LIST, [seq]), [CURSOR_INTEGER])
    for (const seq of ['9223372036854775807', '-9223372036854775808', '0']) assert.deepEqual(decode(seq), [seq])
    for (const seq of ['9223372036854775808', '-9223372036854775809', '1e3', '']) {
      assert.throws(() => decode(seq), BAD_REQUEST, seq)
    }
  })

  it('is refused when a hand made it', () => {
    const made = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    for (const cursor of [
      '',
      'x',
      ' ',
      made(null),
      made({}),
      made([]),
      made([LIST]),
      made([LIST, ...KEY, 'more']),
      made([LIST, KEY[0], 7]),
      made([LIST, KEY[0], '\ud800']),
      made([LIST, KEY[0], 'a\0']),
      made([LIST, KEY[0], '']),
      made([LIST, '2026-04-12', KEY[1]]),
      made([LIST, "2026-04-12T02:00:00Z' or true", KEY[1]]),
      made([LIST, KEY[0], 'a'.repeat(513)]),
      'A'.repeat(1_000_000),
    ]) {
      assert.throws(() => decodeCursor(LIST, cursor, CHECKS), BAD_REQUEST, cursor.slice(0, 80))
    }
    fc.assert(fc.property(fc.string(), (text) => assert.throws(() => decodeCursor(LIST, text, CHECKS), BAD_REQUEST)))
  })
})

describe('a page', () => {
  it('has 20 items where no size is given', () => {
    const page = { size: 20, backward: false, after: null, before: null, wantsEnds: true, wantsTotal: false }
    assert.deepEqual(parse({}), page)
    assert.deepEqual(parse({ first: null, last: null, after: null, before: null }), parse({}))
  })

  it('has 0 to 100 items', () => {
    for (const size of [0, 1, 100]) {
      const { backward: isForward, after } = { ...parse({ first: size, after: CURSOR }) }
      assert.deepEqual([parse({ first: size }).size, isForward, after], [size, false, KEY])
      const { backward, before } = parse({ last: size, before: CURSOR })
      assert.deepEqual([parse({ last: size }).size, backward, before], [size, true, KEY])
    }
    for (const size of [-1, 101, 2_147_483_647]) {
      assert.throws(() => parse({ first: size }), { ...BAD_REQUEST, message: /^first / })
      assert.throws(() => parse({ last: size }), { ...BAD_REQUEST, message: /^last / })
    }
  })

  it('is counted from one end', () => {
    assert.throws(() => parse({ first: 1, last: 1 }), BAD_REQUEST)
    assert.equal(parse({ before: CURSOR }).backward, true)
    assert.equal(parse({ before: CURSOR, after: CURSOR }).backward, false)
    assert.equal(parse({ first: 1, before: CURSOR }).backward, false)
  })

  it('says whether there is more before and behind it', () => {
    const forward = { ...parse({ first: 2 }), after: null, before: null }
    const ends = (page: { readonly hasNextPage: boolean; readonly hasPreviousPage: boolean }) => [
      page.hasPreviousPage,
      page.hasNextPage,
    ]
    assert.deepEqual(toPage([1, 2, 3], forward, NOTHING).items, [1, 2])
    assert.deepEqual(ends(toPage([1, 2, 3], forward, NOTHING)), [false, true])
    assert.deepEqual(ends(toPage([1, 2], forward, NOTHING)), [false, false])
    assert.deepEqual(ends(toPage([], { ...forward, size: 0 }, NOTHING)), [false, false])
    // A cursor alone says nothing: what it was of may be gone.
    assert.deepEqual(ends(toPage([1], { ...forward, after: KEY, before: KEY }, NOTHING)), [false, false])
    assert.deepEqual(ends(toPage([1], { ...forward, after: KEY }, { ...NOTHING, hasBefore: true })), [true, false])
    assert.deepEqual(ends(toPage([1], { ...forward, before: KEY }, { ...NOTHING, hasBehind: true })), [false, true])
  })

  it('that was read backward is in list order all the same', () => {
    const backward = { ...parse({ last: 2 }), before: KEY }
    const page = toPage([9, 8, 7], backward, { ...NOTHING, hasBehind: true })
    assert.deepEqual(page, { items: [8, 9], hasNextPage: true, hasPreviousPage: true, totalCount: null })
    assert.deepEqual(toPage([9], { ...backward, before: null }, NOTHING), {
      items: [9],
      hasNextPage: false,
      hasPreviousPage: false,
      totalCount: null,
    })
  })

  it('tells the length of a list of at most 1,000', () => {
    for (const [counted, totalCount] of [
      [null, null],
      [0, 0],
      [1000, 1000],
      [1001, null],
    ] as const) {
      assert.equal(toPage([], parse({ first: 0 }), { ...NOTHING, counted }).totalCount, totalCount)
    }
  })
})
