import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { precondition, readRange } from '../../src/server/conditions.ts'

const ETAG = '"abc"'

function rangeOf(range: string, more: Record<string, string> = {}) {
  return readRange({ range, ...more }, { etag: ETAG, sizeBytes: 10 })
}

describe('Range', () => {
  it('reads the three forms of a single range, cut at the end', () => {
    assert.deepEqual(rangeOf('bytes=0-0'), { start: 0, end: 1 })
    assert.deepEqual(rangeOf('bytes=2-5'), { start: 2, end: 6 })
    assert.deepEqual(rangeOf('Bytes= 2-99'), { start: 2, end: 10 })
    assert.deepEqual(rangeOf('bytes=9-'), { start: 9, end: 10 })
    assert.deepEqual(rangeOf('bytes=-3'), { start: 7, end: 10 })
    assert.deepEqual(rangeOf('bytes=-99'), { start: 0, end: 10 })
  })

  it('cannot satisfy what lies outside', () => {
    for (const range of ['bytes=10-', 'bytes=10-12', 'bytes=-0', 'bytes=99999999999999999999-'])
      assert.equal(rangeOf(range), 'unsatisfiable', range)
  })

  it('ignores several ranges, other units and what is malformed', () => {
    for (const range of [
      'bytes=0-1,3-4',
      'bytes=-',
      'bytes=5-2',
      'bytes=a-b',
      'bytes=0x1-2',
      'items=0-1',
      'bytes 0-1',
      '',
    ])
      assert.equal(rangeOf(range), 'none', range)
  })

  it('holds only for the version that If-Range names', () => {
    assert.deepEqual(rangeOf('bytes=0-0', { 'if-range': ETAG }), { start: 0, end: 1 })
    for (const condition of ['"other"', `W/${ETAG}`, 'Wed, 21 Oct 2015 07:28:00 GMT'])
      assert.equal(rangeOf('bytes=0-0', { 'if-range': condition }), 'none', condition)
    assert.equal(readRange({ range: 'bytes=0-0', 'if-range': '"x"' }, { etag: undefined, sizeBytes: 10 }), 'none')
  })
})

describe('preconditions', () => {
  const outcome = (headers: Record<string, string>, etag: string | undefined = ETAG) => precondition(headers, etag)

  it('D16: If-Match names this version strongly, or the answer is 412', () => {
    for (const match of ['"abc"', '"x", "abc"', '*', ' * ', '"x,y","abc"']) {
      assert.equal(outcome({ 'if-match': match }), 'proceed', match)
    }
    for (const match of ['"nope"', 'W/"abc"', '"x", W/"abc"', '"abcd"', 'abc', '', '"a"bc"']) {
      assert.equal(outcome({ 'if-match': match }), 'failed', match)
    }
  })

  it('If-None-Match compares weakly, against each tag of the list', () => {
    for (const known of ['"abc"', 'W/"abc"', '"x", "abc"', '"x,y",W/"abc"', '*', ' * ']) {
      assert.equal(outcome({ 'if-none-match': known }), 'not modified', known)
    }
    for (const known of ['"abcd"', 'abc', '', '"a"bc"']) {
      assert.equal(outcome({ 'if-none-match': known }), 'proceed', known)
    }
  })

  it('D16: is there for * also without a tag, and no version that somebody has', () => {
    assert.equal(precondition({ 'if-match': '*' }, undefined), 'proceed')
    assert.equal(precondition({ 'if-match': '"abc"' }, undefined), 'failed')
    assert.equal(precondition({ 'if-none-match': '*' }, undefined), 'not modified')
    assert.equal(precondition({ 'if-none-match': '"abc"' }, undefined), 'proceed')
  })

  it('D16: come in the order of RFC 9110: If-Match before If-None-Match, and no date, as nothing has one', () => {
    assert.equal(outcome({ 'if-match': '"nope"', 'if-none-match': '"abc"' }), 'failed')
    assert.equal(outcome({ 'if-match': '"abc"', 'if-none-match': 'W/"abc"' }), 'not modified')
    assert.equal(outcome({ 'if-match': '"abc"', 'if-none-match': '"other"' }), 'proceed')
    const past = 'Wed, 21 Oct 2015 07:28:00 GMT'
    assert.equal(outcome({ 'if-unmodified-since': past, 'if-modified-since': past }), 'proceed')
    assert.equal(outcome({ 'if-modified-since': past, 'if-none-match': '"abc"' }), 'not modified')
    assert.equal(outcome({}), 'proceed')
  })
})
