import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { canonicalNumber } from '../../../src/json/diff/number.ts'

const digits = fc.stringMatching(/^\d{1,30}$/)
const exponent = fc.integer({ min: -400, max: 400 })

describe('the text of a number', () => {
  it('is one for all ways to write its value, and another for another value', () => {
    for (const [one, two, isSame] of [
      ['1.0', '1', true],
      ['1e2', '100', true],
      ['1E+2', '0.001e5', true],
      ['-0', '0.000e99', true],
      ['0.1', '1e-1', true],
      ['1e400', '10e399', true],
      ['1e99999999999999999999', '10e99999999999999999998', true],
      ['1e-99999999999999999999', '0.1e-99999999999999999998', true],
      ['12345678901234567890', '12345678901234567891', false],
      ['1e400', '1e401', false],
      ['1', '-1', false],
      ['10', '1', false],
    ] as const) {
      assert.equal(canonicalNumber(one) === canonicalNumber(two), isSame, `${one} ${two}`)
    }
  })

  it('does not change when its point is moved', () => {
    fc.assert(
      fc.property(digits, digits, exponent, (whole, fraction, power) => {
        const plain = BigInt(`${whole}${fraction}`)
        const moved = `${plain}e${power - fraction.length}`
        assert.equal(canonicalNumber(`${BigInt(whole)}.${fraction}e${power}`), canonicalNumber(moved))
        assert.equal(canonicalNumber(`-${plain}00e${power - 2}`), canonicalNumber(`-${plain}e${power}`))
      }),
      { seed: 14, numRuns: 300 },
    )
  })
})
