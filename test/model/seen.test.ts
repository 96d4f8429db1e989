import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasSeen, readSeen, type Seen, seenBelow, seenBy, unseenBy, writeSeen } from '../../src/model/seen.ts'

/** A snapshot with up to 100 open transactions. */
const seen: fc.Arbitrary<Seen> = fc
  .record({
    begin: fc.bigInt({ min: 3n, max: 2n ** 40n }),
    gaps: fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 100 }),
  })
  .map(({ begin, gaps }) => {
    let at = begin
    const open = gaps.map((gap) => (at += BigInt(gap)))
    return seenBy(`${begin}:${at + 1n}:${open.join()}`)
  })

describe('what somebody has seen', () => {
  it('is all below the end of a snapshot but what was open', () => {
    const one = seenBy('10:20:10,14')
    const numbers = Array.from({ length: 25 }, (_, i) => BigInt(i))
    const unseen = numbers.filter((xid) => !hasSeen(one, xid))
    assert.deepEqual(unseen, [10n, 14n, 20n, 21n, 22n, 23n, 24n])
    const below = seenBelow(one, 13n)
    assert.deepEqual(
      numbers.filter((xid) => hasSeen(below, xid)),
      [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 11n, 12n],
    )
    assert.deepEqual(unseenBy(one).slice(0, 2), [
      [10n, 11n],
      [14n, 15n],
    ])
  })

  it('is read as it was written, where there is room', () => {
    fc.assert(fc.property(seen, (one) => assert.deepEqual(readSeen(writeSeen(one, 5000)), one)))
    assert.ok(writeSeen(seenBy('123456789:123456789:'), 140).length <= 10)
  })

  it('never grows where there is not', () => {
    fc.assert(
      fc.property(seen, fc.integer({ min: 60, max: 140 }), (one, charsMax) => {
        const text = writeSeen(one, charsMax)
        assert.ok(text.length <= charsMax, text)
        const known = readSeen(text)
        assert.ok(known && known.end === one.end)
        for (const [first] of one.open) assert.equal(hasSeen(known, first), false)
      }),
    )
  })

  it('is nothing that another hand wrote', () => {
    for (const text of ['', 'x', '1-2', '1..2', '-1', '1.2-3', 'ffffffffffffffff'])
      assert.equal(readSeen(text), null, text)
  })
})
