import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Aligned, align } from '../../../src/json/diff/align.ts'

/** Length of the longest common subsequence, the slow and sure way. */
function longestCommon(from: readonly string[], to: readonly string[]): number {
  let row = new Array<number>(to.length + 1).fill(0)
  for (const left of from) {
    const next = [0]
    for (const [j, right] of to.entries()) {
      next.push(left === right ? (row[j] ?? 0) + 1 : Math.max(row[j + 1] ?? 0, next[j] ?? 0))
    }
    row = next
  }
  return row[to.length] ?? 0
}

function pairsOf({ places }: Aligned): (readonly [number, number])[] {
  return [...places].flatMap((j, i) => (j === -1 ? [] : [[i, j] as const]))
}

const letters = (size: number) => fc.array(fc.constantFrom(...'abcdefgh'.slice(0, size)), { maxLength: 40 })

describe('the alignment of two sequences', () => {
  it('pairs equal items only, in the order of both', () => {
    fc.assert(
      fc.property(letters(8), letters(8), (from, to) => {
        let last = -1
        for (const [i, j] of pairsOf(align(from, to))) {
          assert.equal(from[i], to[j])
          assert.ok(j > last)
          last = j
        }
      }),
      { seed: 14, numRuns: 500 },
    )
  })

  it('pairs as many as there can be where nothing stands once', () => {
    fc.assert(
      fc.property(letters(3), letters(3), (from, to) => {
        const [twice, other] = [
          [...from, ...from],
          [...to, ...to, ...to],
        ]
        const isRepeated = 'abc'.split('').every((name) => twice.includes(name) === other.includes(name))
        fc.pre(isRepeated)
        assert.equal(pairsOf(align(twice, other)).length, longestCommon(twice, other))
      }),
      { seed: 14, numRuns: 300 },
    )
  })

  it('finds one item among a million', () => {
    const many = Array.from({ length: 1_000_000 }, (_, i) => String(i % 1000))
    const { places, isExact } = align(many, ['new', ...many])
    assert.ok(isExact)
    assert.ok(places.every((j, i) => j === i + 1))
  })

  it('keeps what is unique in place when all else is turned round', () => {
    const from = ['x', 'a', 'b', 'c', 'y', 'd', 'z']
    const to = ['x', 'c', 'b', 'a', 'y', 'd', 'z']
    const pairs = pairsOf(align(from, to)).map(([i]) => from[i])
    assert.equal(pairs.length, 5)
    assert.ok(pairs.includes('y') && pairs.includes('d'))
  })

  it('leaves a part with too many edits alone, and says so', () => {
    const block = (first: string, second: string) => Array.from({ length: 4000 }, (_, i) => (i % 3 ? first : second))
    const from = ['head', ...block('a', 'b'), ...block('c', 'd'), 'tail']
    const to = ['head', ...block('d', 'c'), ...block('b', 'a'), 'tail']
    const { places, isExact } = align(from, to)
    assert.equal(isExact, false)
    assert.deepEqual([places[0], places.at(-1)], [0, to.length - 1])
  })
})
