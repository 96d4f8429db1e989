import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Transactions } from '../../src/model/transactions.ts'
import { readUnsettled, writeUnsettled } from '../../src/model/unsettled.ts'

const distance = fc.bigInt({ min: 1n, max: 2n ** 40n })
const width = fc.bigInt({ min: 1n, max: 1000n })

/** In order, and apart from each other. */
const transactions = (maxLength: number): fc.Arbitrary<Transactions> =>
  fc.array(fc.tuple(distance, width), { minLength: 1, maxLength }).map((pairs) => {
    let at = 0n
    return pairs.map(([away, wide]) => {
      const first = at + away
      at = first + wide
      return [first, at] as const
    })
  })

const read = fc.tuple(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), transactions(3))
const reads = fc.array(
  read.map(([upTo, open]) => ({ upTo: String(upTo), open })),
  { maxLength: 16 },
)

describe('what may still turn up before a place', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(transactions(40), reads, (open, late) => {
        assert.deepEqual(readUnsettled(writeUnsettled({ open, reads: late })), { open, reads: late })
      }),
    )
    assert.equal(writeUnsettled({ open: [], reads: [] }), '')
  })

  it('of more transactions than are told apart can be read all the same', () => {
    for (const step of [2n, 1000n, 2n ** 40n]) {
      const open = Array.from({ length: 2000 }, (_, i) => [BigInt(i) * step + 1n, BigInt(i) * step + 2n] as const)
      const known = readUnsettled(writeUnsettled({ open, reads: [] }))?.open ?? []
      assert.deepEqual(known.slice(0, 499), open.slice(0, 499))
      assert.deepEqual(known[499]?.[0], open[499]?.[0])
      assert.equal(known.length, 500)
    }
  })

  it('is nothing that another hand wrote', () => {
    for (const text of [
      '',
      '+',
      '1',
      '+g',
      '+1-',
      '+1-fffff',
      '+1;2',
      '+1;x;1',
      `+${'1.'.repeat(500)}1`,
      '+ffffffffffffffff',
    ]) {
      assert.equal(readUnsettled(text), null, text)
    }
  })
})
