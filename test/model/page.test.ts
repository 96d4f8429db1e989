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
    assert.deepEqual(parse({}), { size: 20, backward: false, after: null, before: null })
    assert.deepEqual(parse({ first: null, last: null, after: null, before: null }), parse({}))
  })

  it('has 0 to 100 items', () => {
    for (const size of [0, 1, 100]) {
      assert.deepEqual(parse({ first: size, after: CURSOR }), { size, backward: false, after: KEY, before: null })
      assert.deepEqual(parse({ last: size, before: CURSOR }), { size, backward: true, after: null, before: KEY })
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
    const forward = { size: 2, backward: false, after: null, before: null }
    assert.deepEqual(toPage([1, 2, 3], forward), { items: [1, 2], hasNextPage: true, hasPreviousPage: false })
    assert.deepEqual(toPage([1, 2], forward), { items: [1, 2], hasNextPage: false, hasPreviousPage: false })
    assert.equal(toPage([1], { ...forward, after: KEY }).hasPreviousPage, true)
    assert.deepEqual(toPage([], { ...forward, size: 0 }), { items: [], hasNextPage: false, hasPreviousPage: false })
  })

  it('that was read backward is in list order all the same', () => {
    const backward = { size: 2, backward: true, after: null, before: KEY }
    assert.deepEqual(toPage([9, 8, 7], backward), { items: [8, 9], hasNextPage: true, hasPreviousPage: true })
    assert.deepEqual(toPage([9], { ...backward, before: null }), {
      items: [9],
      hasNextPage: false,
      hasPreviousPage: false,
    })
  })
})
