import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatBytes, formatDuration, shorten, visible } from '../../src/explorer/format.ts'
import { readSegment, writeSegment } from '../../src/explorer/path-segment.ts'
import { isBelow, jqPath, parentOf, pointerOf, readPointer, tokensOf } from '../../src/explorer/pointer.ts'
import { windowText } from '../../src/explorer/screens/window-text.ts'
import { diffTexts } from '../../src/explorer/screens/words.ts'

/** Ids that paths, proxies and browsers take for something else. */
const IDS = [
  'a/b c',
  '..',
  '.',
  '...',
  'a~1b',
  '~0',
  '~2',
  '%2F',
  'a?b#c',
  'zürich',
  '__proto__',
  '//',
  ' ',
  'a\u202eb',
]

describe('an id in a path', () => {
  it('comes back as it was, and is one segment that no browser takes away', () => {
    for (const id of IDS) {
      const segment = writeSegment(id)
      assert.equal(readSegment(segment), id, id)
      assert.doesNotMatch(segment, /[/?#]|%2F/i, id)
      const { pathname } = new URL(`http://host/explorer/runs/${segment}`)
      assert.equal(pathname, `/explorer/runs/${segment}`)
    }
  })

  it('is also read where somebody wrote its slash with a percent sign', () => {
    assert.equal(readSegment('refund-agent%2Fcase%208841'), 'refund-agent/case 8841')
    assert.equal(readSegment('100%'), '100%')
  })
})

describe('a pointer', () => {
  it('has the tokens that it was made of', () => {
    for (const tokens of [[], [''], ['a/b', 'm~n', '0'], ['__proto__', '~1']]) {
      assert.deepEqual(tokensOf(pointerOf(tokens)), tokens)
    }
    assert.deepEqual([parentOf('/a/b'), parentOf('/a'), parentOf('')], ['/a', '', undefined])
    assert.deepEqual([isBelow('/ab', '/a'), isBelow('/a/b', '/a'), isBelow('/a', '')], [false, true, true])
  })

  it('is read as one types it, and not where it is none', () => {
    assert.deepEqual(
      [readPointer(' a/b '), readPointer('/a~1b'), readPointer(''), readPointer('/a~2')],
      ['/a/b', '/a~1b', '', undefined],
    )
  })

  it('is a path of jq, with quotes where jq wants them', () => {
    assert.equal(
      jqPath(['messages', '3', 'tool name', 'id'], (depth) => depth === 1),
      '.messages[3]["tool name"].id',
    )
    assert.equal(
      jqPath(['0'], () => false),
      '.["0"]',
    )
    assert.equal(
      jqPath([], () => false),
      '.',
    )
  })
})

describe('what is shown', () => {
  it('has sizes and times of three digits', () => {
    assert.deepEqual([0, 999, 1000, 23_999_847, 999_999, 1e12].map(formatBytes), [
      '0 B',
      '999 B',
      '1.00 KB',
      '24.0 MB',
      '1.00 MB',
      '1.00 TB',
    ])
    assert.deepEqual([5, 1500, 702_000, 11_100_000].map(formatDuration), ['5 ms', '1.5 s', '11 min 42 s', '3 h 05 min'])
    assert.deepEqual([formatBytes(null), formatDuration(undefined)], ['–', '–'])
  })

  it('shows what turns or hides text as its escape, and keeps the joiners of scripts', () => {
    assert.equal(visible('a\u202eb\u0000c\u200bd\ud800e\ufefff'), 'a\\u202eb\\u0000c\\u200bd\ufffde\\ufefff')
    assert.equal(visible('👩\u200d💻\n\tक्\u200dष'), '👩\u200d💻\n\tक्\u200dष')
  })

  it('is never cut within a character', () => {
    assert.equal(shorten('ab🚚', 3), 'ab…')
    assert.equal(shorten('ab🚚', 4), 'ab🚚')
    assert.equal(shorten('a🚚b', 3), 'a🚚…')
  })
})

describe('windows of a text', () => {
  it('hold each character once and whole, wherever their bytes are cut', () => {
    const text = 'é🚚a東\u0301京🙂'.repeat(20)
    const bytes = Buffer.from(text)
    for (const size of [4, 5, 7, 32]) {
      let joined = ''
      for (let from = 0; from < bytes.length; from += size) {
        joined += windowText(bytes.subarray(from, from + size + 3), size, from > 0)
      }
      assert.equal(joined, text, `windows of ${size} bytes`)
    }
  })
})

describe('the words of two texts', () => {
  const sides = (before: string, after: string) => {
    const pieces = diffTexts(before, after)
    const without = (is: string) => pieces.filter((piece) => piece.is !== is).map(({ text }) => text)
    return { pieces, before: without('added').join(''), after: without('removed').join('') }
  }

  it('give both texts back', () => {
    for (const [before, after] of [
      ['the old parcel', 'the new parcel'],
      ['', 'a'],
      ['aaa', 'aa'],
      ['🚚🚚', '🚚🙂'],
      ['x'.repeat(50_000), `${'y'.repeat(50_000)}x`],
    ] as const) {
      const found = sides(before, after)
      assert.deepEqual([found.before, found.after], [before, after])
    }
  })

  it('differ by whole words', () => {
    const { pieces } = sides('the limit was 1000 then', 'the limit was 1200 then')
    assert.deepEqual(
      pieces.filter(({ is }) => is !== 'same').map(({ text }) => text),
      ['1000', '1200'],
    )
  })
})
