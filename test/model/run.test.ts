import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { millisBetween, toRfc3339 } from '../../src/model/instant.ts'
import { requireTags } from '../../src/model/run.ts'
import { requirePiiTags } from '../../src/model/snapshot.ts'

const BAD_REQUEST = { code: 'BAD_REQUEST' }

describe('data 1.16: tags', () => {
  const tags = (count: number, text: string) => Array.from({ length: count }, (_, i) => ({ key: `${i}`, value: text }))

  it('of a run are at most 64, of 64 KiB in sum, each part of 1 KiB', () => {
    requireTags([])
    requireTags(tags(64, 'x'.repeat(1000)))
    requireTags([{ key: 'k'.repeat(1024), value: 'é'.repeat(512) }])
    for (const refused of [
      tags(65, ''),
      tags(64, 'x'.repeat(1024)),
      [{ key: 'k', value: 'x'.repeat(1025) }],
      [{ key: 'é'.repeat(513), value: '' }],
      [{ key: 'a\0', value: '' }],
      [{ key: '\ud800', value: '' }],
    ]) {
      assert.throws(() => requireTags(refused), BAD_REQUEST)
    }
  })

  it('of personal data are at most 64, each of 256 bytes', () => {
    requirePiiTags(Array.from({ length: 64 }, () => 'x'.repeat(256)))
    for (const refused of [Array.from({ length: 65 }, () => 'x'), ['x'.repeat(257)], ['a\0']]) {
      assert.throws(() => requirePiiTags(refused), BAD_REQUEST)
    }
  })
})

describe('data 1.13: a moment', () => {
  it('is shown as RFC 3339, or as the nearest that it can say', () => {
    for (const [instant, shown] of [
      ['2026-11-23T01:41:09.123456Z', '2026-11-23T01:41:09.123456Z'],
      ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'],
      ['10000-01-01T00:00:00Z', '9999-12-31T23:59:59.999999Z'],
      ['294276-12-31T23:59:59Z', '9999-12-31T23:59:59.999999Z'],
      ['infinity', '9999-12-31T23:59:59.999999Z'],
      ['-infinity', '0001-01-01T00:00:00Z'],
      ['0044-03-15T12:00:00Z BC', '0001-01-01T00:00:00Z'],
      ['4713-01-01T00:00:00Z BC', '0001-01-01T00:00:00Z'],
    ] as const) {
      assert.equal(toRfc3339(instant), shown)
    }
  })

  it('is so far from another, where both are points in time', () => {
    assert.equal(millisBetween('2026-01-01T00:00:00Z', '2026-01-01T00:00:01.5Z'), 1500)
    for (const other of [null, 'infinity', '12026-01-01T00:00:00Z', '0044-03-15T12:00:00Z BC']) {
      assert.equal(millisBetween('2026-01-01T00:00:00Z', other), null)
      assert.equal(millisBetween(other, '2026-01-01T00:00:00Z'), null)
    }
  })
})
